"""The protocols as their clients speak them, one request at a time."""
