"""Whether an artifact answers alike on CPUs with other instruction sets."""
