"""Which bounds a test did not keep."""

from collections.abc import Iterator

from loadtest.errors import WrongError
from loadtest.options import Options
from loadtest.phases import SPIKE_ROW
from loadtest.results.result import Result, Row, TargetResult


def broken_bounds(result: Result, options: Options) -> list[str]:
    """One line for each bound that a target broke.

    Every row must keep the bounds, but of two scenarios: `throughput` is to find one step that
    keeps them, and during a spike latency and rate are shown, not judged.
    """
    return [f"{target.name}: {line}" for target in result.targets for line in _of(target, options)]


def _of(target: TargetResult, options: Options) -> Iterator[str]:
    if target.lost:
        yield target.lost
    first = f"; first: {target.failures[0]}" if target.failures else ""
    wrong = target.outcomes.get(WrongError.outcome, 0)
    share = target.failed / target.requests if target.requests else 0.0
    if share > options.max_error_rate:
        outcomes = ", ".join(f"{count} {name}" for name, count in target.outcomes.items())
        yield (
            f"{target.failed} of {target.requests} requests failed ({share:.2%}, at most "
            f"{options.max_error_rate:.2%}): {outcomes}{first}"
        )
    elif wrong:
        yield f"{wrong} answers were not to what was asked{first}"
    if options.scenario == "throughput":
        yield from _capacity(target, options)
        return
    for row in target.rows:
        if row.name != SPIKE_ROW:
            yield from _of_row(row, options)


def _of_row(row: Row, options: Options) -> Iterator[str]:
    if options.max_p99 and row.client and row.client.p99 > options.max_p99:
        yield f"{row.name}: p99 {row.client.p99:.2f} ms, at most {options.max_p99:g}"
    if options.min_rate and row.rate < options.min_rate:
        yield f"{row.name}: {row.rate:.2f} answers/s, at least {options.min_rate:g}"


def best_step(target: TargetResult, max_p99: float) -> Row | None:
    """The row with the highest rate of those that keep the bound on p99 (0: any)."""
    kept = [row for row in target.rows if row.client and row.client.p99 <= (max_p99 or 1e99)]
    return max(kept, key=lambda row: row.rate, default=None)


def _capacity(target: TargetResult, options: Options) -> Iterator[str]:
    best = best_step(target, options.max_p99)
    if best is None:
        if options.max_p99 and target.rows:
            yield f"no step has a p99 of at most {options.max_p99:g} ms"
    elif best.rate < options.min_rate:
        yield f"{best.name}: {best.rate:.2f} answers/s, at least {options.min_rate:g}"
