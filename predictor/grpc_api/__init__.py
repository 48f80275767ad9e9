"""V2 over gRPC, on KServe's messages."""
