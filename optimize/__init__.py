"""The offline image: from a checkpoint to a measured, verified and published artifact."""
