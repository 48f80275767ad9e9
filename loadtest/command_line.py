"""The load test's own options on Locust's command line, in the environment and in the web UI."""

import argparse
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

from loadtest.errors import OptionError
from loadtest.option_values import at_least, lengths, name, not_negative, one_of, positive, share
from loadtest.options import DEFAULT_LENGTHS, PROTOCOLS, SCENARIOS, Options

_NOT_IN_WEB_UI = (
    "--targets", "--token", "--tokenizer", "--questions", "--results", "--results-dir",
)  # fmt: skip


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
        "--targets", "", str, "<file.yaml>",
        "Targets to measure side by side, instead of the one at --host; the options of a target "
        "below stand for what the file leaves out.",
    )  # fmt: skip
    add(
        "--target-name", "", str, "<name>",
        "The target's name in the tables, the host by default; with --targets, the names of those "
        "to measure, separated by commas.",
    )  # fmt: skip
    add(
        "--protocol", "v2", one_of(PROTOCOLS), "<protocol>",
        f"What the target speaks: {', '.join(PROTOCOLS)}.",
    )  # fmt: skip
    add("--model-name", "qa", name, "<name>", "Model to ask.")
    add(
        "--host-header", "", str, "<name>",
        "Host header (gRPC: authority) to send, for a gateway that routes by it.",
    )  # fmt: skip
    add("--token", "", str, "<token>", "Bearer token to send.")
    add(
        "--tokenizer", "", str, "<tokenizer.json>",
        "The model's tokenizer, to make texts of exact lengths with; without one they are made "
        "of words that the target counts as one token each.",
    )  # fmt: skip
    add(
        "--max-length", 0, at_least(0), "<tokens>",
        "Longest sequence that the model takes, where neither it nor the tokenizer's folder tells.",
    )  # fmt: skip
    group = parser.add_argument_group("Load test: how it is asked")
    add(
        "--scenario", "latency-table", one_of(SCENARIOS), "<name>",
        f"What to do: {', '.join(SCENARIOS)}.",
    )  # fmt: skip
    add(
        "--lengths", "", lengths, "<n,n,...>",
        "Sequence lengths in tokens, special tokens included. latency-table measures them in this "
        f"order, {DEFAULT_LENGTHS} by default; the other scenarios draw from them, by default "
        "from a distribution like SQuAD's.",
    )  # fmt: skip
    add(
        "--questions", "", str, "<squad.json>",
        "Ask the questions of this file (SQuAD's layout, .json or .json.gz) in all scenarios but "
        "latency-table.",
    )  # fmt: skip
    add(
        "--requests-per-length", 50, at_least(1), "<n>",
        "latency-table: measured requests per sequence length.",
    )  # fmt: skip
    add(
        "--warmup", 3, at_least(0), "<n>",
        "latency-table: requests before the measured ones of each length, in no figure.",
    )  # fmt: skip
    add(
        "--pause", 0.0, not_negative, "<seconds>",
        "latency-table: wait between an answer and the next request, so that what a server does "
        "after an answer is not in the latency of the target that is asked next.",
    )  # fmt: skip
    add("--seed", 0, int, "<n>", "Seed of all that is random. Defaults to 0.")
    add(
        "--request-timeout", 30.0, positive, "<seconds>",
        "A request without a whole answer after this time has failed.",
    )  # fmt: skip
    add(
        "--settle", 1.0, not_negative, "<seconds>",
        "Under load: time at the begin of each phase that is in no figure.",
    )  # fmt: skip
    add(
        "--duration", 60.0, positive, "<seconds>",
        "open-loop, mixed, soak: measured time per target; spike: time before and after the spike.",
    )  # fmt: skip
    add(
        "--rate", 10.0, positive, "<requests/s>",
        "open-loop, soak, spike: arrivals per second, at random (Poisson).",
    )  # fmt: skip
    add(
        "--rounds", 3, at_least(1), "<n>",
        "open-loop, mixed: parts into which the duration is cut when several targets take turns.",
    )  # fmt: skip
    add("--step-seconds", 10.0, positive, "<seconds>", "throughput: measured time of each step.")
    add(
        "--max-users", 64, at_least(1), "<n>",
        "throughput: users at most; they double from 1 until twice in a row less than a tenth is "
        "won.",
    )  # fmt: skip
    add("--spike-factor", 4.0, positive, "<x>", "spike: the rate's multiple during the spike.")
    add("--spike-seconds", 10.0, positive, "<seconds>", "spike: length of the spike.")
    add(
        "--max-in-flight", 256, at_least(1), "<n>",
        "open-loop, soak, spike: answers waited for at a time, per process; what is due meanwhile "
        "waits, and the wait counts.",
    )  # fmt: skip
    group = parser.add_argument_group("Load test: what must hold, else exit code 1")
    add(
        "--max-p99", 0.0, not_negative, "<ms>",
        "Highest p99 latency of a row of the tables, 0 for any (throughput: of the step that "
        "counts).",
    )  # fmt: skip
    add(
        "--max-error-rate", 0.0, share, "<share>",
        "Highest share of requests that failed, 0 to 1. Defaults to 0.",
    )  # fmt: skip
    add(
        "--min-rate", 0.0, not_negative, "<requests/s>",
        "Least answers per second of a row, 0 for any (throughput: of the best step).",
    )  # fmt: skip
    group = parser.add_argument_group("Load test: what is written")
    add(
        "--results", "", str, "<file.json>",
        "Write the figures to this JSON file, for python -m loadtest table.",
    )  # fmt: skip
    add(
        "--results-dir", "", str, "<folder>",
        "Write every request (CSV), the figures (JSON), the tables (Markdown) and the charts (SVG) "
        "into this folder.",
    )  # fmt: skip
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
