"""`python -m k8s.rollout`: the command line of the rollout driver."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from k8s.rollout import status
from k8s.rollout.access import Access, Direct, Forwarded
from k8s.rollout.arguments import parser
from k8s.rollout.cluster import Deadline
from k8s.rollout.connection import connect
from k8s.rollout.driver import Driver, Patience
from k8s.rollout.errors import RolloutError
from k8s.rollout.job import Changes
from k8s.rollout.job_run import JobRun
from k8s.rollout.output import say
from k8s.rollout.serving import Serving
from k8s.rollout.smoke import Smoke


class Interrupted(BaseException):
    """A signal; not KeyboardInterrupt, which the Kubernetes client takes for a failed request."""


def main(argv: list[str] | None = None) -> int:
    """Runs a verb; the exit status is 0, that of the error, or 128 + the signal."""
    arguments = parser().parse_args(argv)
    try:
        with _signals():
            _run(arguments)
    except RolloutError as error:
        sys.stderr.write(f"rollout: error: {error}\n")
        return error.exit_status
    except Interrupted as interrupted:
        sys.stderr.write("rollout: interrupted; the same command again goes on from here\n")
        return 128 + int(interrupted.args[0])
    return 0


def _run(arguments: argparse.Namespace) -> None:
    # Checked before anything is asked of the cluster.
    direct = Direct(arguments.url) if arguments.url else None
    changes = Changes(arguments.image, arguments.set) if arguments.verb == "apply" else Changes()
    cluster = connect(arguments.context, arguments.namespace)
    access: Access = direct or Forwarded(cluster)
    name, interval = arguments.name, arguments.interval
    smoke = Smoke(name, arguments.smoke_question, arguments.smoke_context)
    serving = Serving(cluster, name, access, smoke, interval)
    if arguments.verb == "status":
        cluster.deadline = Deadline(arguments.timeout)
        for line in status.lines(cluster, name, serving):
            say(line)
        return
    patience = Patience(arguments.timeout, getattr(arguments, "job_timeout", 0.0))
    driver = Driver(cluster, JobRun(cluster, name, interval), serving, patience, name)
    dry_run = arguments.dry_run
    if dry_run:
        say("dry run: the API server checks what follows, and keeps none of it")
    if arguments.verb == "apply":
        driver.apply(arguments.version, changes, retry=arguments.retry, dry_run=dry_run)
    else:
        driver.roll_back(arguments.to, dry_run=dry_run)


@contextmanager
def _signals() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into Interrupted, and keeps the client's threads quiet."""
    old = {number: signal.signal(number, _raise) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = threading.excepthook
    # A forwarded connection that breaks ends its thread with a traceback; who reads it knows.
    threading.excepthook = lambda _: None
    try:
        yield
    finally:
        threading.excepthook = hook
        for number, handler in old.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> None:
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main())
