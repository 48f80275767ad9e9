"""The figures of `benchmarks.serving`: who is compared with whom, under which load."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.errors import BenchmarkError
from benchmarks.load import closed_loop, lone_client
from benchmarks.rounds import Figure, differences, interleave, ratios
from benchmarks.serving.offline import BUDGETS, offline
from benchmarks.serving.setting import CLIENTS, FAKE, Setting
from benchmarks.workload import v2_requests
from predictor.sessions.loading import ORT_SESSION

FIXED_COST = "benchmarks.serving.sessions:FixedCostSession"
TOKENS = 384
_DISTINCT = 16


def cost(setting: Setting) -> list[Figure]:
    """p50 of a lone client over that of the bare app; the session costs nothing."""
    requests = _long_requests(setting, setting.sizes.lone)
    p50 = setting.compare(setting.against_bare(), requests, partial(_p50, requests))
    return [
        Figure(
            "cost",
            f"p50 of a lone client, {TOKENS} tokens: predictor over bare FastAPI app",
            ratios(p50["predictor"], p50["bare"]),
            bound=1.2,
            at_most=True,
            unit="×",
            detail=f"{median(p50['predictor']):.3f} ms over {median(p50['bare']):.3f} ms",
        )
    ]


def rate(setting: Setting) -> list[Figure]:
    """Requests per second of many clients over that of the bare app; the session costs nothing."""
    requests = _long_requests(setting, setting.sizes.many)
    rates = setting.compare(setting.against_bare(), requests, partial(_rate, requests))
    return [
        Figure(
            "rate",
            f"requests/s of {CLIENTS} clients, {TOKENS} tokens: predictor over bare FastAPI app",
            ratios(rates["predictor"], rates["bare"]),
            bound=0.8,
            at_most=False,
            unit="×",
            detail=f"{median(rates['predictor']):.0f}/s over {median(rates['bare']):.0f}/s",
        )
    ]


def batching_cost(setting: Setting) -> list[Figure]:
    """What the batcher adds to the p50 of a lone client, who has nobody to be batched with."""
    requests = _long_requests(setting, setting.sizes.lone)
    p50 = setting.compare(setting.on_and_off(FAKE), requests, partial(_p50, requests))
    return [
        Figure(
            "batching-cost",
            f"p50 of a lone client, {TOKENS} tokens: batching on minus off",
            differences(p50["on"], p50["off"]),
            bound=0.15,
            at_most=True,
            unit="ms",
            detail=f"{median(p50['on']):.3f} ms on, {median(p50['off']):.3f} ms off",
        )
    ]


def throughput(setting: Setting) -> list[Figure]:
    """Features per second over HTTP against the session's best offline, and against no batching."""
    questions = setting.texts().squad_like(setting.sizes.features)
    requests = v2_requests(questions)
    with (
        offline(setting.folder, questions, setting.cores.server, setting.scratch) as child,
        setting.side_by_side(setting.on_and_off(ORT_SESSION), requests) as servers,
    ):
        if child.features != len(questions):
            raise BenchmarkError("a question of throughput has more than one feature")
        passes = {str(budget): partial(child.rate, budget) for budget in BUDGETS}
        trial = interleave(passes, rounds=2, dropped=1)
        best = sorted(passes, key=lambda budget: -median(trial[budget]))[:2]
        tried = ", ".join(f"{budget}: {median(values):.1f}" for budget, values in trial.items())
        setting.say(f"  offline features/s by token budget, 1 is one by one: {tried}")
        rates = interleave(
            {name: partial(_rate, requests, server.port) for name, server in servers.items()}
            | {budget: passes[budget] for budget in best},
            rounds=setting.sizes.long_rounds,
            dropped=setting.sizes.dropped,
        )
    budget = max(best, key=lambda name: median(rates[name]))
    on, off, alone = rates["on"], rates["off"], rates[budget]
    return [
        Figure(
            "throughput",
            f"features/s of {CLIENTS} clients, SQuAD-like lengths: HTTP over the session offline",
            ratios(on, alone),
            bound=0.9,
            at_most=False,
            unit="×",
            detail=f"{median(on):.1f}/s over {median(alone):.1f}/s (batches of {budget} tokens)",
        ),
        Figure(
            "throughput-batching",
            f"features/s of {CLIENTS} clients, SQuAD-like lengths: batching on over off",
            ratios(on, off),
            bound=1.0,
            at_most=False,
            unit="×",
            detail=f"{median(on):.1f}/s on, {median(off):.1f}/s off",
        ),
    ]


def fixed_cost(setting: Setting) -> list[Figure]:
    """Requests per second with batching over without, where every run costs 20 ms."""
    requests = v2_requests(setting.texts().squad_like(setting.sizes.many))
    # Without batching 50 requests take a second. With it the first and the last runs are small,
    # so that side needs more requests than the other for its rate to be the steady one.
    few = requests[: max(2 * CLIENTS, len(requests) // 8)]
    with setting.side_by_side(setting.on_and_off(FIXED_COST), few) as servers:
        rates = interleave(
            {
                "on": partial(_rate, requests, servers["on"].port),
                "off": partial(_rate, few, servers["off"].port),
            },
            rounds=setting.sizes.long_rounds,
            dropped=setting.sizes.dropped,
        )
    return [
        Figure(
            "fixed-cost",
            f"requests/s of {CLIENTS} clients where a run costs 20 ms: batching on over off",
            ratios(rates["on"], rates["off"]),
            bound=8.0,
            at_most=False,
            unit="×",
            detail=f"{median(rates['on']):.0f}/s on, {median(rates['off']):.0f}/s off",
        )
    ]


FIGURES: dict[str, Callable[[Setting], list[Figure]]] = {
    "cost": cost,
    "rate": rate,
    "batching-cost": batching_cost,
    "throughput": throughput,
    "fixed-cost": fixed_cost,
}


def _long_requests(setting: Setting, count: int) -> list[bytes]:
    texts = setting.texts()
    distinct = v2_requests([texts.question(TOKENS) for _ in range(_DISTINCT)])
    return [distinct[number % _DISTINCT] for number in range(count)]


def _p50(requests: list[bytes], port: int) -> float:
    return lone_client(port, requests).percentile_ms(50)


def _rate(requests: list[bytes], port: int) -> float:
    return closed_loop(port, requests, CLIENTS).rate
