"""What serving costs beside the least that could serve the same answers."""
