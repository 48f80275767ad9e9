"""A real Triton server on a CPU."""
