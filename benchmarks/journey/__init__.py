"""What the journey from checkpoint to artifact brings."""
