"""The load test's own command-line options, added to Locust's."""

import argparse
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

from loadtest.errors import OptionError
from loadtest.option_values import at_least, lengths, name, not_negative, one_of, positive, share

SCENARIOS = ("latency-table", "throughput", "open-loop", "mixed", "soak", "spike")
PROTOCOLS = ("v2", "v2-binary", "v1", "grpc")
DEFAULT_LENGTHS = "8,16,32,64,128,256,384,512"
_NOT_IN_WEB_UI = (
    "--targets", "--token", "--tokenizer", "--questions", "--results", "--results-dir",
)  # fmt: skip


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


def add_options(parser: Any) -> None:
    """Add the options to Locust's parser, each with its LOADTEST_ environment variable."""
    group: Any = None

    def add(flag: str, default: Any, kind: Any, metavar: str, text: str) -> None:
        if default not in ("", 0):
            shown = default if isinstance(default, str) else f"{default:g}"
            text += f" Defaults to {shown}."
        action = group.add_argument(
            flag, env_var=variable(flag), default=default, type=kind, metavar=metavar, help=text
        )
        # Locust shows no option of a group in its web UI unless told so. A secret is not sent to
        # browsers, nor do they name files.
        action.include_in_web_ui = flag not in _NOT_IN_WEB_UI
        action.is_secret = action.is_required = action.is_multiple = False

    group = parser.add_argument_group("Load test: what is asked")
    add(
        "--targets",
        "",
        str,
        "<file.yaml>",
        "Targets to measure side by side, instead of the one at --host; the options of a target "
        "below stand for what the file leaves out.",
    )
    add(
        "--target-name",
        "",
        str,
        "<name>",
        "The target's name in the tables, the host by default; with --targets, the names of those "
        "to measure, separated by commas.",
    )
    add(
        "--protocol",
        "v2",
        one_of(PROTOCOLS),
        "<protocol>",
        f"What the target speaks: {', '.join(PROTOCOLS)}.",
    )
    add("--model-name", "qa", name, "<name>", "Model to ask.")
    add(
        "--host-header",
        "",
        str,
        "<name>",
        "Host header (gRPC: authority) to send, for a gateway that routes by it.",
    )
    add("--token", "", str, "<token>", "Bearer token to send.")
    add(
        "--tokenizer",
        "",
        str,
        "<tokenizer.json>",
        "The model's tokenizer, to make texts of exact lengths with; without one they are made "
        "of words that the target counts as one token each.",
    )
    add(
        "--max-length",
        0,
        at_least(0),
        "<tokens>",
        "Longest sequence that the model takes, where neither it nor the tokenizer's folder tells.",
    )
    group = parser.add_argument_group("Load test: how it is asked")
    add(
        "--scenario",
        "latency-table",
        one_of(SCENARIOS),
        "<name>",
        f"What to do: {', '.join(SCENARIOS)}.",
    )
    add(
        "--lengths",
        "",
        lengths,
        "<n,n,...>",
        "Sequence lengths in tokens, special tokens included. latency-table measures them in this "
        f"order, {DEFAULT_LENGTHS} by default; the other scenarios draw from them, by default "
        "from a distribution like SQuAD's.",
    )
    add(
        "--questions",
        "",
        str,
        "<squad.json>",
        "Ask the questions of this file (SQuAD's layout, .json or .json.gz) in all scenarios but "
        "latency-table.",
    )
    add(
        "--requests-per-length",
        50,
        at_least(1),
        "<n>",
        "latency-table: measured requests per sequence length.",
    )
    add(
        "--warmup",
        3,
        at_least(0),
        "<n>",
        "latency-table: requests before the measured ones of each length, in no figure.",
    )
    add(
        "--pause",
        0.0,
        not_negative,
        "<seconds>",
        "latency-table: wait between an answer and the next request, so that what a server does "
        "after an answer is not in the latency of the target that is asked next.",
    )
    add("--seed", 0, int, "<n>", "Seed of all that is random. Defaults to 0.")
    add(
        "--request-timeout",
        30.0,
        positive,
        "<seconds>",
        "A request without a whole answer after this time has failed.",
    )
    add(
        "--settle",
        1.0,
        not_negative,
        "<seconds>",
        "Under load: time at the begin of each phase that is in no figure.",
    )
    add(
        "--duration",
        60.0,
        positive,
        "<seconds>",
        "open-loop, mixed, soak: measured time per target; spike: time before and after the spike.",
    )
    add(
        "--rate",
        10.0,
        positive,
        "<requests/s>",
        "open-loop, soak, spike: arrivals per second, at random (Poisson).",
    )
    add(
        "--rounds",
        3,
        at_least(1),
        "<n>",
        "open-loop, mixed: parts into which the duration is cut when several targets take turns.",
    )
    add("--step-seconds", 10.0, positive, "<seconds>", "throughput: measured time of each step.")
    add(
        "--max-users",
        64,
        at_least(1),
        "<n>",
        "throughput: users at most; they double from 1 until twice in a row less than a tenth is "
        "won.",
    )
    add("--spike-factor", 4.0, positive, "<x>", "spike: the rate's multiple during the spike.")
    add("--spike-seconds", 10.0, positive, "<seconds>", "spike: length of the spike.")
    add(
        "--max-in-flight",
        256,
        at_least(1),
        "<n>",
        "open-loop, soak, spike: answers waited for at a time, per process; what is due meanwhile "
        "waits, and the wait counts.",
    )
    group = parser.add_argument_group("Load test: what must hold, else exit code 1")
    add(
        "--max-p99",
        0.0,
        not_negative,
        "<ms>",
        "Highest p99 latency of a row of the tables, 0 for any (throughput: of the step that "
        "counts).",
    )
    add(
        "--max-error-rate",
        0.0,
        share,
        "<share>",
        "Highest share of requests that failed, 0 to 1. Defaults to 0.",
    )
    add(
        "--min-rate",
        0.0,
        not_negative,
        "<requests/s>",
        "Least answers per second of a row, 0 for any (throughput: of the best step).",
    )
    group = parser.add_argument_group("Load test: what is written")
    add(
        "--results",
        "",
        str,
        "<file.json>",
        "Write the figures to this JSON file, for python -m loadtest table.",
    )
    add(
        "--results-dir",
        "",
        str,
        "<folder>",
        "Write every request (CSV), the figures (JSON), the tables (Markdown) and the charts (SVG) "
        "into this folder.",
    )
    group.add_argument(
        "--no-overhead", env_var=variable("--no-overhead"), action="store_true",
        help="Do not measure what the client itself costs, which --results-dir does at the begin.",
    )  # fmt: skip


def variable(flag: str) -> str:
    """The environment variable of an option."""
    return "LOADTEST_" + flag.removeprefix("--").replace("-", "_").upper()


def options_from(namespace: argparse.Namespace) -> Options:
    """The options out of Locust's parsed command line, or out of the web UI's form.

    Raises OptionError: what the web UI takes has not been checked before.
    """
    values = {field.name: getattr(namespace, field.name) for field in fields(Options)}
    values["num_users"] = values["num_users"] or 0
    kinds = _Kinds()
    add_options(kinds)
    for dest, parse in kinds.of.items():
        try:
            values[dest] = parse(str(values[dest]))
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise OptionError(f"--{dest.replace('_', '-')}: {error}") from error
    return Options(**values)


class _Kinds:
    """Looks like a parser, and keeps what each option's value is parsed with."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    def add_argument_group(self, _: str) -> "_Kinds":
        return self

    def add_argument(self, flag: str, **settings: Any) -> SimpleNamespace:
        if "type" in settings:
            self.of[flag.removeprefix("--").replace("-", "_")] = settings["type"]
        return SimpleNamespace()
