"""One-shot structured pruning: which heads and neurons leave, and what makes up for them."""
