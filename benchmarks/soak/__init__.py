"""Whether the server stays whole under twice the load that it can take."""
