"""The embedded checkpoint, its questions, and the walk through the whole path on one machine."""
