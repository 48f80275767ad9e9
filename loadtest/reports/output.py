"""The files that a test writes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.options import Options
from loadtest.reports.charts import CHARTS, chart_of
from loadtest.reports.report import report, summary
from loadtest.results.recording import Recording
from loadtest.results.records import RecordFile
from loadtest.results.result import Result, check_writable, write_result, write_text
from loadtest.scenarios.overhead import measure_overhead
from loadtest.targets import Target

logger = logging.getLogger(__name__)

RECORDS, SUMMARY, REPORT = "requests.csv", "summary.json", "report.md"


def check_output(options: Options) -> None:
    """Raises ResultError unless what is asked for can be written."""
    if options.results:
        check_writable(Path(options.results))
    if options.results_dir:
        check_writable(Path(options.results_dir) / SUMMARY)


class Output:
    """What one test writes; `records` takes every request where a folder is asked for."""

    def __init__(self, options: Options) -> None:
        """Opens the file of all requests; raises ResultError."""
        self._options = options
        self._folder = Path(options.results_dir) if options.results_dir else None
        if self._folder:
            for name in CHARTS:
                # Of a test before: it would stand beside figures that are not its own.
                (self._folder / f"{name}.svg").unlink(missing_ok=True)
        self.records = RecordFile(self._folder / RECORDS) if self._folder else None

    def measure_overhead(self, recording: Recording, targets: Sequence[Target]) -> None:
        """Measures what the client costs with each protocol, where a folder is asked for."""
        if not self._folder or self._options.no_overhead:
            return
        for protocol in dict.fromkeys(target.protocol for target in targets):
            try:
                recording.overhead[protocol] = measure_overhead(protocol)
            except LoadTestError as error:
                logger.warning("What the client costs over %s is not known: %s", protocol, error)

    def write(self, result: Result) -> None:
        """Writes everything; raises ResultError."""
        if self.records:
            self.records.close()
        if self._options.results:
            write_result(Path(self._options.results), result)
        if not self._folder:
            return
        write_result(self._folder / SUMMARY, result)
        chart = None
        if drawn := chart_of(result):
            chart = self._folder / f"{drawn[0]}.svg"
            write_text(chart, drawn[1])
        write_text(self._folder / REPORT, report(result, chart))


def finished_text(result: Result) -> str:
    """What the terminal shows at the end, nothing where nothing was measured."""
    return summary(result) if any(target.rows for target in result.targets) else ""
