"""The command line: what each verb takes."""

from __future__ import annotations

import argparse
import math

from k8s.rollout.smoke import CONTEXT, QUESTION

EXAMPLES = """\
examples:
  python -m k8s.rollout apply 2 --namespace qa        optimize, publish and serve version 2
  python -m k8s.rollout apply 3 --set max-f1-drop=2   with another gate than the job before
  python -m k8s.rollout apply 3 --retry               after its job has failed
  python -m k8s.rollout status
  python -m k8s.rollout rollback                      to what was served before
  python -m k8s.rollout rollback --to 1

exit status: 0 done; 1 the cluster cannot be reached, forbids it, or is in no state for it;
2 wrong usage; 3 failed, and what was served before is served again. Killed at any point, the same
command goes on where it was.
"""


def parser() -> argparse.ArgumentParser:
    """Each verb's namespace has `verb` and everything that __main__ reads."""
    whole = argparse.ArgumentParser(
        prog="python -m k8s.rollout",
        description="Roll a version of an artifact out to its InferenceService, and back.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="verb")
    apply = verbs.add_parser(
        "apply",
        help="run the version's optimize job, serve it, prove it; else put the old one back",
    )
    apply.add_argument("version", type=_version, metavar="VERSION", help="a positive integer")
    apply.add_argument("--image", help="optimize image; default: that of the newest job")
    apply.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE",
        help="option of `optimize build` that differs from the newest job's; may be repeated",
    )  # fmt: skip
    apply.add_argument("--retry", action="store_true", help="replace the version's failed job")
    apply.add_argument(
        "--job-timeout", type=_seconds, default=21600.0, metavar="SECONDS",
        help="for the job to end (default: 21600)",
    )  # fmt: skip
    status = verbs.add_parser("status", help="what is published, served and under way")
    rollback = verbs.add_parser("rollback", help="serve the previous version again, and prove it")
    rollback.add_argument("--to", type=_version, metavar="N", help="this version instead")
    for verb in (apply, status, rollback):
        _common(verb)
    for verb in (apply, rollback):
        verb.add_argument(
            "--dry-run", action="store_true", help="let the API server check, change nothing"
        )
    return whole


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--namespace", "-n", help="default: the context's")
    verb.add_argument("--name", default="qa", help="the InferenceService (default: qa)")
    verb.add_argument("--context", help="of the kubeconfig; default: the current one")
    verb.add_argument(
        "--timeout", type=_seconds, default=600.0, metavar="SECONDS",
        help="for the service to serve a version (default: 600)",
    )  # fmt: skip
    verb.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="SECONDS",
        help="between two looks (default: 2)",
    )  # fmt: skip
    verb.add_argument(
        "--url", help="ask the service here; default: each pod, through the API server"
    )
    verb.add_argument(
        "--smoke-question", type=_text, default=QUESTION, metavar="TEXT", help="asked as a test"
    )
    verb.add_argument(
        "--smoke-context", type=_text, default=CONTEXT, metavar="TEXT", help="that holds its answer"
    )


def _version(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    return text


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number
