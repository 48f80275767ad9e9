"""The values of the load test's own options."""

from dataclasses import dataclass

SCENARIOS = ("latency-table", "throughput", "open-loop", "mixed", "soak", "spike")
PROTOCOLS = ("v2", "v2-binary", "v1", "grpc")
DEFAULT_LENGTHS = "8,16,32,64,128,256,384,512"


@dataclass(frozen=True)
class Options:
    """What to measure: every option's value under its name; times in seconds, p99 in ms.

    They are what the command line, the environment and the web UI can hold: an empty text, or a 0
    where that is no sensible value, stands for "not given".
    """

    scenario: str
    targets: str
    target_name: str
    protocol: str
    model_name: str
    host_header: str
    token: str
    tokenizer: str
    max_length: int
    lengths: str
    questions: str
    requests_per_length: int
    warmup: int
    pause: float
    seed: int
    request_timeout: float
    settle: float
    duration: float
    rate: float
    rounds: int
    step_seconds: float
    max_users: int
    spike_factor: float
    spike_seconds: float
    max_in_flight: int
    max_p99: float
    max_error_rate: float
    min_rate: float
    results: str
    results_dir: str
    no_overhead: bool
    num_users: int = 0

    @property
    def token_counts(self) -> tuple[int, ...]:
        """The sequence lengths asked for, in tokens; empty where none are given."""
        return tuple(int(part) for part in self.lengths.split(",") if part.strip())

    @property
    def users(self) -> int:
        """Concurrent users of the closed loops, Locust's own --users."""
        return self.num_users or 1
