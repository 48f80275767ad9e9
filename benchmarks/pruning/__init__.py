"""What pruning costs in answers, and brings in time."""
