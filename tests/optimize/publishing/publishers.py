"""Publishers as processes of their own, stopped or killed at any line they run."""

import multiprocessing
import os
import pathlib
import shutil
import signal
import sys

import predictor.artifact as artifact_module
from optimize.errors import OptimizeError
from optimize.publishing import publish, staging, triton
from predictor.artifact import read_spec

# Forks from a process without threads that has everything imported: milliseconds per publisher.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__])

REPORTS = {"report.md": "# report\n"}
_FILES = {
    module.__file__ for module in (publish, staging, triton, artifact_module, pathlib, shutil)
}


def publish_artifact(source, spec, folder, reports):
    """Publishes one artifact."""
    with publish.prepared(source, spec, folder, reports) as appear:
        appear()


def artifact(source, root):
    """Publishes the artifact in `source` at `<root>/qa/1`."""
    publish_artifact(source, read_spec(source), publish.target(root, "qa", 1), REPORTS)


def triton_models(source, root):
    """Publishes the artifact in `source`, for Triton too."""
    folder = publish.target(root, "qa", 1)
    publish_artifact(source, read_spec(source), folder, REPORTS)
    triton.publish(folder, instances=1)


def count_lines(job, *arguments):
    """How many lines a publisher runs."""
    publisher = Publisher(job, *arguments)
    assert publisher.outcome() == "published"
    return publisher.lines


class Publisher:
    """A process that publishes, and at its line number `at` dies or waits for `resume`."""

    def __init__(self, job, source, root, at=0, die=False):
        self._reached, self._go = processes.Event(), processes.Event()
        self._receive, send = processes.Pipe(duplex=False)
        self._process = processes.Process(
            target=_run, args=(job, source, root, at, die, self._reached, self._go, send)
        )
        self._process.start()
        send.close()

    def wait_for_line(self):
        assert self._reached.wait(60)

    def resume(self):
        self._go.set()

    def outcome(self):
        """`published`, the error's class name and text, or None where it was killed."""
        try:
            outcome, self.lines = self._receive.recv()
            return outcome
        except EOFError:
            return None
        finally:
            self._process.join(60)
            self._receive.close()
            self.exitcode = self._process.exitcode
            self._process.close()


def _run(job, source, root, at, die, reached, go, send):
    line = 0

    def step():
        nonlocal line
        line += 1
        if line == at and die:
            os.kill(os.getpid(), signal.SIGKILL)
        elif line == at:
            reached.set()
            go.wait(60)

    try:
        _trace(step, job, (source, root))
    except OptimizeError as error:
        send.send((f"{type(error).__name__}: {error}", line))
    else:
        send.send(("published", line))


def _trace(step, job, arguments):
    def tracer(frame, event, _):
        if frame.f_code.co_filename not in _FILES:
            return None
        if event == "line":
            step()
        return tracer

    sys.settrace(tracer)
    try:
        job(*arguments)
    finally:
        sys.settrace(None)
