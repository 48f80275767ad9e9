"""Which of several variants is served: a rule, and the reason in words.

Of the variants that keep F1 on a sample within its bound, the one with the lowest median latency;
where others are as fast but for 3 %, the one with the smallest file of these. Files that differ by
less than 3 % are equally small: then latency decides after all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimize.data.metrics import Scores

TIE = 1.03
LONGEST = 384


@dataclass(frozen=True)
class Candidate:
    """A variant as it was measured.

    Attributes:
        name: Of the variant, which is the step's too.
        kept: What stayed fp32, in words.
        scores: On the sample; None where it could not be made or run.
        p50_ms: Median latency at the length of the choice; None likewise.
        size_bytes: Of the model file; None where it could not be made.
        refused: Why it is out of the question; None where it is within the bound.
        relaxed: Whether it was made since every whole variant was refused, some products in fp32.
    """

    name: str
    kept: str
    scores: Scores | None
    p50_ms: float | None
    size_bytes: int | None
    refused: str | None = None
    relaxed: bool = False


@dataclass(frozen=True)
class Choice:
    """What was compared, and what came of it.

    Attributes:
        sample: What F1 was measured on, in words.
        questions: How many there were.
        length: Tokens at which latency was measured.
        reference: The fp32 graph that all are made of.
        candidates: Every variant, in the order in which they were made.
        reason: Why the one that is served is.
    """

    sample: str
    questions: int
    length: int
    reference: Candidate
    candidates: tuple[Candidate, ...]
    reason: str


def at_length(lengths: Sequence[int], most: int) -> int:
    """The length that decides: the longest up to 384 tokens that the model takes.

    Args:
        lengths: At which latency is measured.
        most: The model's longest feature, in tokens.
    """
    bound = min(LONGEST, most)
    return max((length for length in lengths if length <= bound), default=bound)


def order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates within the bound, the best one first."""
    left = [c for c in candidates if c.refused is None]
    best_first = []
    while left:
        equals = _as_fast_as_the_fastest(left)
        least = min(map(_size, equals))
        best = min((c for c in equals if _size(c) <= TIE * least), key=_latency)
        left.remove(best)
        best_first.append(best)
    return best_first


def reason(
    candidates: Sequence[Candidate], served: str, failed: Mapping[str, str], length: int
) -> str:
    """One sentence that says why the served step is the one.

    Args:
        candidates: All of them.
        served: The step's name; fp32 where it is no candidate.
        failed: Those that came before it and failed the last gate, with what it said.
        length: Tokens at which latency was measured.
    """
    left = [c for c in order(candidates) if c.name not in failed]
    after = f", after {' and '.join(failed)} failed the last gate" if failed else ""
    won = next((c for c in left if c.name == served), None)
    if won is None:
        return f"{served} is served: no variant keeps F1 within its bound{after}."
    if won.relaxed:
        return (
            f"{served} is served: every whole variant was refused, so the products that int8 costs "
            f"most stay fp32, one more each time until one passes{after}."
        )
    if won.p50_ms is None:
        return (
            f"{served} has the smallest file of those that keep F1 within its bound, "
            f"{_size(won) / 1e6:.1f} MB; this machine cannot measure their latency{after}."
        )
    fastest = min(left, key=_latency)
    if won == fastest:
        rivals = [c.name for c in _as_fast_as_the_fastest(left) if c != won]
        smaller = f"; {', '.join(rivals)}, within 3 % of it, is not smaller" if rivals else ""
        return (
            f"{served} has the lowest median latency at {length} tokens of those that keep F1 "
            f"within its bound, {_latency(won):.2f} ms{smaller}{after}."
        )
    return (
        f"{served} has the smallest file, {_size(won) / 1e6:.1f} MB, of those whose median latency "
        f"at {length} tokens is within 3 % of the lowest, {_latency(fastest):.2f} ms of "
        f"{fastest.name}{after}."
    )


def _as_fast_as_the_fastest(candidates: Sequence[Candidate]) -> list[Candidate]:
    bound = TIE * min(map(_latency, candidates))
    return [c for c in candidates if _latency(c) <= bound]


def _latency(candidate: Candidate) -> float:
    return float("inf") if candidate.p50_ms is None else candidate.p50_ms


def _size(candidate: Candidate) -> float:
    return float("inf") if candidate.size_bytes is None else candidate.size_bytes
