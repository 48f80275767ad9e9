"""What artifacts are worth: answers, latencies, and parity with each other."""
