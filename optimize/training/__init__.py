"""Training: recovery of a pruned model, and pruning while training."""
