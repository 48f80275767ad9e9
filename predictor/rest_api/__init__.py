"""V1 and V2 over REST, on KServe's app."""
