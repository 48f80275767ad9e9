"""How large a batch pays on an execution provider, and what a run's start is worth in tokens."""

from __future__ import annotations

from predictor.artifact import ArtifactSpec
from predictor.batch_plan import ALONE
from predictor.sessions.protocol import MAX_BATCH_TOKENS
from predictor.sessions.providers import CUDA

_CPU_OVERHEAD_TOKENS = 8


def run_overhead_tokens(provider: str, spec: ArtifactSpec, max_batch_tokens: int) -> int:
    """How many tokens cost as much as starting a run does; see Session."""
    if provider == CUDA:
        return max_batch_tokens  # it is busy with starting kernels until the budget is reached
    # Dynamic quantization takes an activation's range over the batch: in company an answer would
    # be another one. Calibrated ranges are the same in any company.
    alone = spec.precision == "int8" and spec.activation_ranges != "static"
    return ALONE if alone else _CPU_OVERHEAD_TOKENS


def cpu_batch_tokens(threads: int) -> int:
    """Above so many tokens a batch on a CPU is no cheaper than its features one by one."""
    return min(256 * threads, MAX_BATCH_TOKENS)
