"""What serving costs, and whether the server stays whole under too much load."""
