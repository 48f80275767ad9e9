"""The latency table as a Locust test: one sequential user, and an end after the last request."""

# Locust ships its types half done.
# mypy: disable-error-code="misc, no-untyped-call, untyped-decorator"

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner

# Locust makes only the working directory and this file's own folder importable. Appended rather
# than inserted, because Locust takes the first entry off again once this file is loaded.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from loadtest.options import add_options, options_from
from loadtest.recording import Recording
from loadtest.results import ResultError, check_writable, write_result
from loadtest.scenario import run_latency_table
from loadtest.tables import run_table


@dataclass
class State:
    """Where the current test stands; the web UI runs several in one process."""

    recording: Recording | None = None
    over: bool = False
    ran_through: bool = False
    failed: bool = False
    table: str = ""


state = State()


class LatencyTableUser(User):
    """Sends every request of the latency table, one after the other."""

    fixed_count = 1

    @task
    def latency_table(self) -> None:
        """The whole test; Locust repeats a task, so its second turn only stops the user."""
        recording = state.recording
        if recording is None or state.over:
            raise StopUser()
        host = self.environment.host
        options = options_from(self.environment.parsed_options)
        try:
            if host:
                run_latency_table(host, options, recording, self._report)
            else:
                recording.fail("no target: give --host http://name:port")
            state.ran_through = True
        finally:
            state.over = True

    def _report(
        self, sequence_length: int, latency_s: float, size: int, error: Exception | None
    ) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=f"seq {sequence_length}",
            response_time=latency_s * 1e3,
            response_length=size,
            exception=error,
            context={},
        )


class OneUserUntilOver(LoadTestShape):
    """One user, whatever --users says, until the last request is answered."""

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks for every second; None ends the test."""
        return None if state.over else (1, 1.0)


def refuse_what_cannot_work(environment: Environment, **_: Any) -> None:
    """Before anything is sent: no distributed run, no result file that cannot be written."""
    if not isinstance(environment.runner, LocalRunner):
        raise SystemExit("loadtest: one sequential user runs in one process, not distributed")
    results = options_from(environment.parsed_options).results
    if results:
        try:
            check_writable(results)
        except ResultError as error:
            raise SystemExit(f"loadtest: {error}") from error


def begin(environment: Environment, **_: Any) -> None:
    """Start recording a test."""
    options = options_from(environment.parsed_options)
    state.recording = Recording(options, environment.host or "")
    state.over = state.ran_through = state.failed = False
    if environment.parsed_options.headless:
        # Locust takes SIGTERM only once a headless shape has ended: without this, a cancelled test
        # would lose what it measured.
        gevent.signal_handler(signal.SIGTERM, environment.runner.quit)


def finish(environment: Environment, **_: Any) -> None:
    """Write what was recorded, once per test, and say on stderr what went wrong."""
    recording, state.recording = state.recording, None
    if recording is None:
        return
    options = options_from(environment.parsed_options)
    if not state.ran_through:
        recording.fail(f"stopped early, after {recording.measured} measured requests")
    state.over = False
    result = recording.result()
    state.table = run_table(result) if result.rows else ""
    if recording.failed:
        count = "" if recording.failed == 1 else f" (the first of {recording.failed} failures)"
        sys.stderr.write(f"loadtest: {result.failures[0]}{count}\n")
    state.failed = recording.failed > 0
    if options.results:
        try:
            write_result(options.results, result)
        except ResultError as error:
            sys.stderr.write(f"loadtest: {error}\n")
            state.failed = True
    if not environment.parsed_options.headless:
        show_table()


def decide_exit_code(environment: Environment, **_: Any) -> None:
    """Exit with 1 when the last test failed; the web UI's SIGTERM comes here first."""
    finish(environment)
    if state.failed:
        environment.process_exit_code = 1


def show_table(**_: Any) -> None:
    """Print the last test's table; without web UI at the very end, below Locust's own tables."""
    if state.table:
        sys.stdout.write(f"\n{state.table}\n")
        sys.stdout.flush()
        state.table = ""


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(refuse_what_cannot_work)
events.test_start.add_listener(begin)
events.test_stop.add_listener(finish)
events.quitting.add_listener(decide_exit_code)
events.quit.add_listener(show_table)
