"""Arguments and variables of containers, read by the programs' own parsers."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo.__main__ import parser as demo_parser
from demo.page.asking import Model
from loadtest.__main__ import _parser as loadtest_parser
from loadtest.errors import LoadTestError
from loadtest.targets import Target, read_targets
from optimize.verbs.parser import parser as optimize_parser
from predictor.__main__ import parser as predictor_parser
from predictor.errors import StartupError
from predictor.sessions.loading import NAMES
from predictor.settings import PREFIX, Settings, read_settings
from tests.k8s.images import ENTRYPOINTS, target
from tests.k8s.rendering import TRITON, Object, Pod, named, pods

ROOT = Path(__file__).resolve().parents[2]

# Read by libraries.
_LIBRARIES = {"HOME", "HF_TOKEN"}
# Locust's parser takes the arguments; its import patches the interpreter, so it gets its own.
_LOCUST = """
import json, sys
from locust.argument_parser import get_parser
from loadtest.errors import LoadTestError
from loadtest.command_line import add_options, options_from
from loadtest.targets import targets_of
parser = get_parser(default_config_files=[])
parser.allow_abbrev = False
add_options(parser)
given = parser.parse_args(sys.argv[1:])
try:
    # A worker is told by its master.
    given.worker or targets_of(options_from(given), given.host or "")
except LoadTestError as error:
    sys.exit(str(error))
print(json.dumps([v for a in parser._actions if (v := getattr(a, 'env_var', None))]))
"""
_REFERENCE = re.compile(r"\$\((\w+)\)")


def check(pod: Pod, objects: list[Object], renamed: dict[str, str]) -> None:
    """Raises AssertionError where a program would refuse how it is started."""
    for container in pod.containers:
        if container["image"] == TRITON["image"]:
            continue
        where = f"{pod.owner} {container['name']}"
        variables = _variables(container, objects)
        command = container.get("command") or ENTRYPOINTS[target(container["image"], renamed)]
        given = container.get("args", [])
        arguments = [_resolved(argument, variables) for argument in given]
        with tempfile.TemporaryDirectory() as folder:
            written = _written(container, pod, objects, Path(folder))
            for path, here in written.items():
                arguments = [argument.replace(path, here) for argument in arguments]
            known = _PROGRAMS[" ".join(command)](where, arguments, variables)
        known |= _LIBRARIES | set(_REFERENCE.findall(" ".join(given)))
        unread = set(variables) - known
        assert not unread, f"{where}: nobody reads {unread}"


def check_all(objects: list[Object]) -> None:
    """Checks every pod of the objects, whose images have their own names."""
    for pod in pods(objects):
        check(pod, objects, {})


def _variables(container: Object, objects: list[Object]) -> dict[str, str]:
    maps = named(objects, "ConfigMap")
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= maps[source["configMapRef"]["name"]]["data"]
    return variables | {item["name"]: item.get("value", "x") for item in container.get("env", [])}


def _written(container: Object, pod: Pod, objects: list[Object], folder: Path) -> dict[str, str]:
    """Writes the files that the container has from ConfigMaps: path there → path here."""
    maps = named(objects, "ConfigMap")
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    result = {}
    for mount in container.get("volumeMounts", []):
        # KServe's own mounts are of no volume here.
        source = volumes.get(mount["name"], {}).get("configMap")
        for name, text in maps[source["name"]]["data"].items() if source else ():
            (folder / name).write_text(text, encoding="utf-8")
            result[f"{mount['mountPath']}/{name}"] = str(folder / name)
    return result


def _resolved(argument: str, variables: dict[str, str]) -> str:
    """As the kubelet and KServe do."""
    for name, value in variables.items():
        argument = argument.replace(f"$({name})", value)
    assert "$(" not in argument, f"{argument}: no such variable"
    return argument.replace("{{.Name}}", "qa")


# Each program: raises AssertionError, or returns the variables that it reads.


def _predictor(where: str, arguments: list[str], variables: dict[str, str]) -> set[str]:
    given = vars(_parsed(predictor_parser(), arguments, where))
    own = {n.lower().removeprefix("spanserve_"): value for n, value in variables.items()}
    # Settings take values from the process's environment; these are the manifest's.
    chosen = {name: given.get(name, own.get(name)) for name in Settings.model_fields}
    try:
        settings = read_settings(chosen, variables)
    except StartupError as error:
        raise AssertionError(f"{where}: {error}") from error
    module, _, name = NAMES.get(settings.session, settings.session).partition(":")
    found = importlib.util.find_spec(module)
    assert found, f"{where}: there is no module {module}"
    source = Path(str(found.origin)).read_text(encoding="utf-8")
    assert re.search(rf"^class {name}\b", source, re.MULTILINE), f"{where}: {module} has no {name}"
    return {PREFIX + field.upper() for field in Settings.model_fields}


def _optimize(where: str, arguments: list[str], variables: dict[str, str]) -> set[str]:
    given = _parsed(optimize_parser(), arguments, where)
    owner = where.split()[0]
    assert owner == f"Job/optimize-{given.name}-{given.version}", f"{where}: is misnamed"
    for path in (given.model, str(given.dataset or "")):
        if path.startswith("/app/"):
            assert (ROOT / path.removeprefix("/app/")).exists(), f"{where}: no {path} in the image"
    return set()


def locust(where: str, arguments: list[str], variables: dict[str, str]) -> set[str]:
    """Of the load test; raises AssertionError, or returns the variables that it reads."""
    command = [sys.executable, "-c", _LOCUST, *arguments]
    environment = os.environ | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {done.stderr.strip().splitlines()[-1:]}"
    return set(json.loads(done.stdout))


def _loadtest(where: str, arguments: list[str], variables: dict[str, str]) -> set[str]:
    if arguments[:1] == ["compare"]:
        # Which becomes Locust, with what follows.
        return locust(where, ["--headless", "--only-summary", *arguments[1:]], variables)
    _parsed(loadtest_parser(), arguments, where)
    return set()


def _demo(where: str, arguments: list[str], variables: dict[str, str]) -> set[str]:
    given = _parsed(demo_parser(), arguments, where)
    try:
        for target in read_targets(given.targets, Target(name="", host="")):
            Model(target)
    except LoadTestError as error:
        raise AssertionError(f"{where}: {error}") from error
    return set()


_PROGRAMS = {
    "python -m demo": _demo,
    "python -m predictor": _predictor,
    "python -m optimize": _optimize,
    "locust -f loadtest/locustfile.py": locust,
    "python -m loadtest": _loadtest,
}


def _parsed(
    parser: argparse.ArgumentParser, arguments: list[str], where: str
) -> argparse.Namespace:
    errors = io.StringIO()
    # A manifest spells flags out: an abbreviation of today may be ambiguous tomorrow.
    for each in (parser, *_verbs(parser)):
        each.allow_abbrev = False
    try:
        with contextlib.redirect_stderr(errors):
            return parser.parse_args(arguments)
    except SystemExit as error:
        raise AssertionError(f"{where}: {errors.getvalue().strip().splitlines()[-1]}") from error


def _verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()
