"""When requests arrive in an open loop: a Poisson process whose rate changes in steps."""

import random
from collections.abc import Iterator, Sequence

from loadtest.phases import Segment


def poisson(segments: Sequence[Segment], sources: int, rng: random.Random) -> Iterator[float]:
    """Seconds from the begin of each arrival at one of so many sources.

    Gaps are exponential. The process has no memory, so it can start anew where the rate changes;
    and the arrivals of independent sources together are a Poisson process of the whole rate.
    """
    begin = 0.0
    for segment in segments:
        time, end = begin, begin + segment.seconds
        while segment.rate and (time := time + rng.expovariate(segment.rate / sources)) < end:
            yield time
        begin = end
