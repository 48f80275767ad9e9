"""`python -m loadtest table`: Markdown tables and speed-ups out of result files."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from loadtest.results import Result, ResultError, read_result, write_text
from loadtest.tables import report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, 1 for a bad file, 2 for a bad command line."""
    options = _parser().parse_args(arguments)
    try:
        results = [read_result(path) for path in options.results]
        text = report(results, target_names(results, options.results))
        if options.output:
            write_text(options.output, text)
    except ResultError as error:
        sys.stderr.write(f"loadtest: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0


def target_names(results: Sequence[Result], paths: Sequence[Path]) -> list[str]:
    """One name per result, with the file's name where two targets are called the same."""
    counts = Counter(result.target for result in results)
    return [
        result.target if counts[result.target] == 1 else f"{result.target} ({path.stem})"
        for result, path in zip(results, paths, strict=True)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="Tables of the results that locust -f loadtest/locustfile.py wrote.",
    )
    verbs = parser.add_subparsers(required=True, metavar="verb")
    table = verbs.add_parser(
        "table",
        help="print Markdown tables, with two or more files the speed-up over the first",
        description="Print a Markdown table per result file and, for two or more, a joint one "
        "with each target's speed-up over the first.",
    )
    table.add_argument(
        "results", nargs="+", type=Path, metavar="FILE", help="result files, the baseline first"
    )
    table.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
