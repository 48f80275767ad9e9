"""The latency table as a Locust test: one sequential user that ends the test when it is done."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def"

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust import LoadTestShape, User, events, task
from locust.exception import StopUser
from locust.runners import LocalRunner

# Locust makes only the working directory and this file's own folder importable. Appended, because
# Locust takes the first entry off again after loading this file.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from loadtest.options import Options, add_options, options_from  # noqa: E402
from loadtest.recording import Recording  # noqa: E402
from loadtest.results import ResultError, check_writable, write_result  # noqa: E402
from loadtest.scenario import run_latency_table  # noqa: E402
from loadtest.tables import run_table  # noqa: E402


@dataclass
class Test:
    """The state of the running test; the web UI runs several in one process."""

    recording: Recording | None = None
    over: bool = False
    exit_code: int = 0
    table: str = ""


test = Test()


class LatencyTableUser(User):
    """Sends every request of the latency table, one after the other."""

    fixed_count = 1

    @task
    def latency_table(self) -> None:
        """The whole test; Locust runs a task again and again, so the second turn stops the user."""
        recording = test.recording
        if recording is None or test.over:
            raise StopUser()
        host = self.environment.host
        try:
            if host:
                options = options_from(self.environment.parsed_options)
                run_latency_table(host, options, recording, self._report)
            else:
                recording.fail("no target: give --host http://name:port")
        finally:
            test.over = True

    def _report(
        self, length: int, latency_s: float, size: int, exception: Exception | None
    ) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=f"seq {length}",
            response_time=latency_s * 1e3,
            response_length=size,
            exception=exception,
            context={},
        )


class OneUserUntilOver(LoadTestShape):
    """One user, whatever --users says, until the last request is answered."""

    def tick(self) -> tuple[int, float] | None:
        return None if test.over else (1, 1.0)
