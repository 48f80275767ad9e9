"""What tests of training train: tiny networks of a family, and windows of random tokens."""

import numpy as np

from optimize.source import checkpoint
from optimize.training.features import TrainingFeature
from tests.optimize.source import sources


def source(kind, folder, **options):
    """A loaded checkpoint of a family."""
    return checkpoint.load(str(sources.write(kind, folder, **options)))


def windows(count, seed=0, longest=20):
    """Windows of 5 tokens and more; a third have no answer."""
    random = np.random.default_rng(seed)
    made = []
    for length in random.integers(5, longest + 1, count):
        start = 0 if random.random() < 0.3 else int(random.integers(1, length))
        end = int(random.integers(start, length)) if start else 0
        ids = random.integers(5, 90, length).astype(np.int32)
        types = (np.arange(length) > 3).astype(np.uint8)
        made.append(TrainingFeature(ids, types, start, end))
    return made
