"""What was measured: records, figures, and the bounds that they keep."""
