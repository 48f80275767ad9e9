"""What must hold of a soak, decided from what was seen; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.soak.prober import Probes
from benchmarks.soak.senders import HUNG_UP, Outcome
from benchmarks.soak.traffic import WORKING

RSS_GROWTH = 0.05
RSS_SLACK_BYTES = 16 << 20
PROBE_P99_SECONDS = 0.1
PROBE_MOST_SECONDS = 1.0
# Of the capacity; the rest may go into reading and refusing what is too much.
LEAST_GOODPUT = 0.5


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and how it stands."""

    name: str
    held: bool
    text: str


@dataclass(frozen=True)
class QueueBound:
    """How much the server may answer while an accepted request waits, in tokens.

    Counted in tokens, not in seconds, since other tenants of a machine change its speed.

    Attributes:
        queue_tokens: The most that may wait.
        ahead_tokens: How much may overtake, and run with or before a request.
        own_tokens: The largest request's own.
    """

    queue_tokens: int
    ahead_tokens: int
    own_tokens: int

    @property
    def tokens(self) -> int:
        """The bound. While a long request's own tokens run, as many of newcomers' may."""
        return self.queue_tokens + self.ahead_tokens + 2 * self.own_tokens

    def describe(self) -> str:
        """The bound and where it comes from."""
        return (
            f"{self.tokens} = {self.queue_tokens} queued + {self.ahead_tokens} ahead + "
            f"twice {self.own_tokens} own tokens"
        )


def check_statuses(outcomes: Sequence[Outcome]) -> list[Check]:
    """No status but those a shot may have, no 5xx but 503 and 504, and 429 with Retry-After."""
    wrong = [o for o in outcomes if o.shot.allowed and o.status not in o.shot.allowed]
    fives = [o for o in outcomes if o.status >= 500 and o.status not in (503, 504)]
    refused = [o for o in outcomes if o.status == 429]
    valid = [o for o in refused if o.shot.kind in WORKING]
    silent = [o for o in refused if not o.retry_after]
    too_large = [o for o in outcomes if o.status == 413]
    return [
        Check("no 5xx but 503 and 504", not fives, _first(fives)),
        Check("every answer is one its request may have", not wrong, _first(wrong)),
        Check(
            "valid requests beyond the queue are refused with 429",
            bool(valid),
            f"{len(valid)} of them",
        ),
        Check("every 429 carries Retry-After", not silent, _first(silent)),
        Check(
            "what is too large is refused with 413", bool(too_large), f"{len(too_large)} of them"
        ),
    ]


def check_latency(outcomes: Sequence[Outcome], bound: QueueBound) -> Check:
    """The p99 of what was answered while a request waited is within the bound of the queue."""
    name = "p99 of answered requests is within the queue's bound"
    answered = sorted((o for o in outcomes if o.status == 200), key=lambda o: o.ended)
    if not answered:
        return Check(name, False, "none answered")
    ends = np.array([o.ended for o in answered])
    done = np.concatenate([[0], np.cumsum([o.shot.tokens for o in answered])])
    first = np.searchsorted(ends, [o.ended - o.seconds for o in answered])
    last = np.searchsorted(ends, ends, side="right")
    waited = np.percentile(done[last] - done[first], 99)
    p50, p99 = np.percentile([o.seconds for o in answered], [50, 99])
    return Check(
        name,
        bool(waited <= bound.tokens),
        f"p99 {waited:.0f} tokens (p50 {p50:.2f} s, p99 {p99:.2f} s); bound {bound.describe()}",
    )


def check_goodput(tokens_per_second: float, capacity: float) -> Check:
    """Overload does not keep the server from working."""
    share = tokens_per_second / capacity
    return Check(
        f"goodput at twice the capacity is at least {LEAST_GOODPUT:.0%} of it",
        share >= LEAST_GOODPUT,
        f"{tokens_per_second:.0f} of {capacity:.0f} tokens/s, {share:.0%}",
    )


def check_memory(rss: Sequence[int]) -> Check:
    """Resident memory at the end against that after the first third, the warm-up.

    Args:
        rss: Bytes, one sample a second.
    """
    window = max(1, len(rss) // 10)
    warm = median(rss[len(rss) // 3 :][:window])
    end = median(rss[-window:])
    return Check(
        f"memory grows by at most {RSS_GROWTH:.0%} + {RSS_SLACK_BYTES >> 20} MiB after warm-up",
        end - warm <= RSS_GROWTH * warm + RSS_SLACK_BYTES,
        f"{warm / 2**20:.1f} MiB, then {end / 2**20:.1f} MiB",
    )


def check_probes(probes: Probes) -> list[Check]:
    """Liveness and readiness answer, and answer fast."""
    if not probes.seconds:
        return [Check("probes are answered", False, "none was")]
    p99, most = np.percentile(probes.seconds, [99, 100])
    figures = f"{len(probes.seconds)} probes, p99 {p99 * 1e3:.1f} ms, slowest {most * 1e3:.0f} ms"
    fast = bool(p99 < PROBE_P99_SECONDS and most <= PROBE_MOST_SECONDS)
    return [
        Check("probes are answered with 200", not probes.failures, _some(probes.failures)),
        Check(
            f"probes: p99 < {PROBE_P99_SECONDS * 1e3:.0f} ms, none > {PROBE_MOST_SECONDS:.0f} s",
            fast,
            figures,
        ),
    ]


def answered_tokens(outcomes: Sequence[Outcome]) -> int:
    """Tokens of everything that was answered with 200."""
    return sum(outcome.shot.tokens for outcome in outcomes if outcome.status == 200)


def status_table(outcomes: Sequence[Outcome]) -> str:
    """How often each kind of request had each status."""
    counts = Counter((o.shot.kind, o.status) for o in outcomes)
    statuses = sorted({status for _, status in counts})
    names = [{0: "broken", HUNG_UP: "hung up"}.get(s, str(s)) for s in statuses]
    kinds = sorted({kind for kind, _ in counts}, key=lambda k: (k not in WORKING, k))
    lines = [f"{'':16}" + "".join(f"{name:>9}" for name in names)]
    for kind in kinds:
        row = "".join(f"{counts[kind, status] or '':>9}" for status in statuses)
        lines.append(f"{kind:16}{row}")
    return "\n".join(lines) + "\n"


def _first(outcomes: Sequence[Outcome]) -> str:
    return _some([f"{o.shot.kind} on {o.shot.protocol}: {o.status} {o.text}" for o in outcomes])


def _some(texts: Sequence[str]) -> str:
    """How many, and the most frequent ones."""
    if not texts:
        return ""
    common = "; ".join(f"{text} (×{count})" for text, count in Counter(texts).most_common(3))
    return f"{len(texts)}: {common}"
