"""`python -m loadtest`: several targets in one go, and tables out of result files."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtest.command_line import add_options
from loadtest.errors import ResultError
from loadtest.local.comparison import add_local_options, dated_results
from loadtest.local.comparison import run as run_local
from loadtest.reports.report import comparison
from loadtest.results.result import Result, read_result, write_text

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, 1 for a failed test or file, 2 for bad options."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    if arguments[:1] == ["compare"]:
        options, others = parser.parse_known_args(arguments)
        return _compare(arguments[1:], others, options)
    if arguments[:1] == ["local"] and not {"-h", "--help"} & set(arguments):
        return run_local(arguments[1:])
    options = parser.parse_args(arguments)
    try:
        results = [read_result(path) for path in options.files]
        text = comparison(results, target_names(results, options.files))
        if options.output:
            write_text(options.output, text)
    except ResultError as error:
        sys.stderr.write(f"loadtest: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0


def target_names(results: Sequence[Result], paths: Sequence[Path]) -> list[str]:
    """One name per target, with the file's name where two targets are called the same."""
    named = [
        (target.name, path)
        for result, path in zip(results, paths, strict=True)
        for target in result.targets
    ]
    counts = Counter(name for name, _ in named)
    return [name if counts[name] == 1 else f"{name} ({path.stem})" for name, path in named]


def _compare(arguments: Sequence[str], others: Sequence[str], options: Any) -> int:
    """Becomes Locust, so that signals and the exit code are its own."""
    if not options.targets and "LOADTEST_TARGETS" not in os.environ:
        sys.stderr.write("loadtest: compare needs --targets targets.yaml\n")
        return 2
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"]
    command += ["--only-summary", *arguments]
    if not options.results_dir and "LOADTEST_RESULTS_DIR" not in os.environ:
        folder = dated_results()
        command += ["--results-dir", str(folder)]
        sys.stderr.write(f"loadtest: the results go to {folder}\n")
    sys.stderr.flush()
    return os.execv(command[0], command)


class _Parser(argparse.ArgumentParser):
    """Shows the options that Locust's parser will take: and their variables."""

    def add_argument_group(self, *args: Any, **kwargs: Any) -> Any:
        group = super().add_argument_group(*args, **kwargs)
        add = group.add_argument

        def add_argument(
            *names: str, env_var: str | None = None, **settings: Any
        ) -> argparse.Action:
            if env_var:
                settings["help"] += f" [{env_var}]"
            return add(*names, **settings)

        group.add_argument = add_argument  # type: ignore[method-assign]
        return group


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest",
        description="Load tests of question-answering models; docs/loadtest.md has it all. "
        "locust -f loadtest/locustfile.py --host URL runs them too, with Locust's web UI.",
    )
    verbs = parser.add_subparsers(required=True, metavar="verb", parser_class=_Parser, dest="verb")
    compare = verbs.add_parser(
        "compare",
        help="measure several targets in one go, taking turns",
        description="Measure the targets of a file in one go, taking turns, and write "
        "results/<date>/: requests.csv, summary.json, report.md and charts. Locust's own options "
        "are taken too, as --processes 2.",
        allow_abbrev=False,
    )
    add_options(compare)
    local = verbs.add_parser(
        "local",
        help="serve every deployment on this machine, and what else one could run; compare them",
        description="Start the baseline, the optimized model with and without IOBinding, Triton "
        "and the peers as local processes on loopback, compare them in turns, and stop them. The "
        "options of compare are taken too.",
        allow_abbrev=False,
    )
    add_local_options(local)
    add_options(local)
    table = verbs.add_parser(
        "table",
        help="print Markdown tables, with two or more targets the speed-up over the first",
        description="Print a Markdown table per target and, for two or more, a joint one "
        "with each one's speed-up over the first.",
    )
    table.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="result files, the baseline first"
    )
    table.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
