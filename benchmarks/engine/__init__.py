"""Our engine on a CPU beside what else could run the same weights there."""
