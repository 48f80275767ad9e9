"""Requests on their way to a run: admitted, queued, batched, answered."""
