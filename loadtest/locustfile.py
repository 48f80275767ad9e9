"""The load test as a Locust test: users that do what the phases of a scenario say, then an end."""

# Locust ships its types half done.
# mypy: disable-error-code="misc, no-untyped-call, untyped-decorator"

import itertools
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.runners import LocalRunner, WorkerRunner

# Locust makes only the working directory and this file's own folder importable. Second, because
# Locust takes the first entry off again once this file is loaded, and before any other copy.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from loadtest.command_line import add_options, options_from
from loadtest.errors import LoadTestError, OptionError, ResultError
from loadtest.options import Options
from loadtest.phases import Phase
from loadtest.reports.output import Output, check_output, finished_text
from loadtest.results.recording import Recording
from loadtest.results.records import Record
from loadtest.scenarios.conductor import Conductor
from loadtest.scenarios.generator import Generator
from loadtest.targets import Target, targets_of

logger = logging.getLogger(__name__)

_DO, _TELL = "loadtest-do", "loadtest-tell"


@dataclass
class State:
    """Where the current test stands in this process; the web UI runs several in one process."""

    generator: Generator | None = None
    conductor: Conductor | None = None
    leading: gevent.Greenlet | None = None
    recording: Recording | None = None
    output: Output | None = None
    refused: bool = False
    failed: bool = False
    text: str = ""


state = State()
_numbers = itertools.count()


class LoadUser(User):
    """Asks what the current phase says, over a connection of its own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._number = next(_numbers)

    @task
    def turn(self) -> None:
        """Requests of one phase, or a short wait where there is nothing to do."""
        if state.generator is None:
            gevent.sleep(0.02)
        else:
            state.generator.turn(self._number)


class UsersOfThePhase(LoadTestShape):
    """As many users as the current phase asks for, whatever --users says, until the last one."""

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks for every second; None ends the test."""
        if state.conductor is None:
            return None if state.refused else (1, 100.0)
        return None if state.conductor.over else (state.conductor.users, 100.0)


def set_up(environment: Environment, **_: Any) -> None:
    """Before anything is sent: no options and no files that cannot work; the ways of messages."""
    runner = environment.runner
    if isinstance(runner, LocalRunner | WorkerRunner):
        runner.register_message(_DO, do)
    if isinstance(runner, WorkerRunner):
        return
    runner.register_message(_TELL, hear)
    try:
        options = options_from(environment.parsed_options)
        if environment.host or options.targets or environment.parsed_options.headless:
            targets_of(options, environment.host or "")
        check_output(options)
    except LoadTestError as error:
        sys.stderr.write(f"loadtest: {error}\n")
        raise SystemExit(2 if isinstance(error, OptionError) else 1) from error


def begin(environment: Environment, **_: Any) -> None:
    """Start recording a test, where it is led from."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        return
    state.failed, state.refused, state.text = False, False, ""
    if environment.parsed_options.headless:
        # Locust takes SIGTERM only once a headless shape has ended: without this, a cancelled test
        # would lose what it measured.
        gevent.signal_handler(signal.SIGTERM, runner.quit)
    try:
        options = options_from(environment.parsed_options)
        targets = targets_of(options, environment.host or "")
        state.recording = Recording(options)
        state.output = Output(options)
    except LoadTestError as error:
        # Only the web UI comes here: its form is not checked before.
        sys.stderr.write(f"loadtest: {error}\n")
        state.recording, state.failed, state.refused = None, True, True
        return
    state.output.measure_overhead(state.recording, targets)
    state.conductor = Conductor(
        options,
        targets,
        state.recording,
        state.output.records,
        runner,
        lambda message: runner.send_message(_DO, message),
    )
    state.leading = gevent.spawn(state.conductor.run)


def do(environment: Environment, msg: Any, **_: Any) -> None:
    """What the conductor says to this process' generator."""
    if msg.data["do"] == "begin":
        phase = Phase.from_message(msg.data["phase"])
        if phase.number == 0:
            options = Options(**msg.data["options"])
            targets = [Target(**target) for target in msg.data["targets"]]
            state.generator = new_generator(environment, options, targets)
        if state.generator:
            state.generator.begin(phase, msg.data["sources"])
    elif state.generator:
        state.generator.pause()


def new_generator(environment: Environment, options: Options, targets: list[Target]) -> Generator:
    """A generator whose requests Locust sees too."""

    def tell(what: str, data: dict[str, Any]) -> None:
        environment.runner.send_message(_TELL, {"what": what, **data})

    def observe(target: Target, record: Record) -> None:
        length = f"{record.tokens} tokens" if options.scenario == "latency-table" else record.row
        environment.events.request.fire(
            request_type=target.protocol,
            name=f"{target.name}, {length}" if options.targets else length,
            response_time=record.latency_ms,
            response_length=record.size,
            exception=None if record.answered else LoadTestError(record.message),
            context={},
        )

    return Generator(options, targets, environment.runner.worker_index, tell, observe)


def hear(environment: Environment, msg: Any, **_: Any) -> None:
    """What a generator says to the conductor."""
    if state.conductor:
        state.conductor.hear(msg.data["what"], msg.data)


def finish(environment: Environment, **_: Any) -> None:
    """Write what was recorded, once per test, and say on stderr what went wrong."""
    conductor, recording, output = state.conductor, state.recording, state.output
    if conductor and not conductor.over:
        if state.leading:
            state.leading.kill()
        conductor.stop()
    if state.generator:
        state.generator.close()
        state.generator = None
    state.conductor = state.leading = state.recording = state.output = None
    state.refused = False
    if recording is None or output is None:
        return
    result = recording.result()
    state.failed = result.failed
    for line in [*result.faults, *result.broken]:
        sys.stderr.write(f"loadtest: {line}\n")
    try:
        output.write(result)
    except ResultError as error:
        sys.stderr.write(f"loadtest: {error}\n")
        state.failed = True
    state.text = finished_text(result)
    if not environment.parsed_options.headless:
        show_text()


def decide_exit_code(environment: Environment, **_: Any) -> None:
    """Exit with 1 when the last test failed; the web UI's SIGTERM comes here first.

    Locust's own verdict is 1 after any failed request, also of those that the bounds allow.
    """
    finish(environment)
    if state.failed:
        environment.process_exit_code = 1
    elif not environment.runner.exceptions:
        environment.process_exit_code = 0


def show_text(**_: Any) -> None:
    """Print the last test's tables; without web UI at the very end, below Locust's own tables."""
    if state.text:
        sys.stdout.write(f"\n{state.text}\n")
        sys.stdout.flush()
        state.text = ""


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(set_up)
events.test_start.add_listener(begin)
events.test_stop.add_listener(finish)
events.quitting.add_listener(decide_exit_code)
events.quit.add_listener(show_text)
