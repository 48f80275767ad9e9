"""The offline image: from a checkpoint to a measured, verified and published artifact."""

import os

# Read when torch loads its OpenMP runtime. Its threads spin for so long by default that PyTorch
# gets many times slower as soon as anything else runs on the same cores. This much costs the
# baseline nothing on a quiet machine; not spinning at all would (a third at eight tokens).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
