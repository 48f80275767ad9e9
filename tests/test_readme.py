"""README and docs name every command, option and setting there is."""

import argparse
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from demo.__main__ import parser as demo_parser
from demo.local import parser as local_parser
from demo.page.edge import MOST_BYTES
from demo.page.examples import MOST_QUESTION, MOST_TEXT
from loadtest.errors import RequestError
from loadtest.local.comparison import add_local_options
from loadtest.local.deployments import NAMES
from loadtest.options import PROTOCOLS, SCENARIOS
from loadtest.targets import targets_of
from optimize.verbs.parser import parser as optimize_parser
from predictor.codecs.v2 import OUTPUTS
from predictor.errors import PredictorError
from predictor.metrics import Metrics
from predictor.settings import PREFIX, Settings
from tests.loadtest.given import Parser as LoadTestParser
from tests.loadtest.given import options as loadtest_options

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def flags(parser):
    return {
        flag for action in parser._actions for flag in action.option_strings if flag != "--help"
    } - {"-h"}


def test_the_two_commands_are_targets_and_ci_runs_them():
    section = README.partition("## Two commands\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^make (\w+)", section, flags=re.MULTILINE)
    assert commands == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    ci = (ROOT / ".ci" / "run").read_text()
    for command in commands:
        assert re.search(rf"^{command}:", makefile, flags=re.MULTILINE)
        assert re.search(rf"^make {command}$", ci, flags=re.MULTILINE)


OPTIMIZE = (ROOT / "docs" / "optimize.md").read_text(encoding="utf-8")
(VERBS,) = (a for a in optimize_parser()._actions if isinstance(a, argparse._SubParsersAction))


@pytest.mark.parametrize("verb", VERBS.choices)
def test_every_option_of_optimize(verb):
    assert f"`{verb}`" in README or f"optimize {verb}" in README
    assert f"[`{verb}`](#{verb})" in OPTIMIZE
    (text,) = re.findall(rf"^## {verb}\n(.*?)(?=^## |\Z)", OPTIMIZE, re.MULTILINE | re.DOTALL)
    assert flags(VERBS.choices[verb]) <= set(re.findall(r"--[a-z0-9-]+", text))


@pytest.mark.parametrize("verb", VERBS.choices)
def test_the_example_of_every_verb_is_one(verb):
    help_ = VERBS.choices[verb].format_help()
    _, _, example = help_.partition("example:\n  python -m optimize ")
    assert optimize_parser().parse_args(example.split()).verb == verb


SERVING = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_every_setting_of_the_predictor():
    for name, field in Settings.model_fields.items():
        row = next(line for line in SERVING.splitlines() if line.startswith(f"| `--{name}`"))
        assert f"`{PREFIX}{name.upper()}`" in row
        default = ("off", "on")[field.default] if field.annotation is bool else field.default
        assert f" {default} " in row


LOADTEST = (ROOT / "docs" / "loadtest.md").read_text(encoding="utf-8")


def test_every_option_of_the_load_test():
    parser = LoadTestParser()
    for action in parser._actions:
        (flag,) = action.option_strings[-1:]
        if flag == "--help":
            continue
        row = next(line for line in LOADTEST.splitlines() if line.startswith(f"| `{flag}` |"))
        _, _, environment, default, _ = row.split("|")
        assert environment.strip() == f"`{parser.variables[flag]}`"
        if action.default and not isinstance(action.default, bool):
            shown = action.default if isinstance(action.default, str) else f"{action.default:g}"
            assert default.strip() == shown


def test_every_option_and_deployment_of_the_local_comparison():
    parser = argparse.ArgumentParser(add_help=False)
    add_local_options(parser)
    (section,) = re.findall(
        r"^## Every deployment on one machine\n(.*?)^## ", LOADTEST, re.MULTILINE | re.DOTALL
    )
    for action in parser._actions:
        (flag,) = action.option_strings
        assert f"`{flag}`" in section
        if isinstance(action.default, float):
            assert f"`{flag}` ({action.default:g})" in section
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE) == list(NAMES)


def test_every_scenario_protocol_and_outcome_of_the_load_test():
    def tree(error):
        return {error.outcome}.union(*map(tree, error.__subclasses__()))

    assert all(f"| `{scenario}` |" in LOADTEST for scenario in SCENARIOS)
    assert all(re.search(rf"\b{protocol} \(|, {protocol},", LOADTEST) for protocol in PROTOCOLS)
    assert all(f"(`{outcome}`)" in LOADTEST for outcome in tree(RequestError) - {"error"})


def test_the_targets_of_the_load_test_s_documentation(tmp_path, monkeypatch):
    (text,) = re.findall(r"```yaml\n(.*?)```", LOADTEST, re.DOTALL)
    (tmp_path / "targets.yaml").write_text(text)
    (tmp_path / "qa" / "1").mkdir(parents=True)
    (tmp_path / "qa" / "1" / "tokenizer.json").touch()
    monkeypatch.setenv("QA_TOKEN", "secret")
    options = loadtest_options("--targets", str(tmp_path / "targets.yaml"))
    baseline, optimized = targets_of(options, "")
    assert (baseline.name, baseline.protocol) == ("baseline", "v2")
    assert (optimized.token, optimized.host_header) == ("secret", "qa.example.com")
    keys = {field.name for field in dataclasses.fields(optimized)}
    assert all(re.search(rf"\b{key}: ", text) for key in keys - {"token"})


def test_every_output():
    rows = "".join(line for line in SERVING.splitlines() if line.startswith("| `"))
    assert all(f"`{output['name']}`" in rows for output in OUTPUTS)


@pytest.mark.parametrize(
    "module",
    ["predictor", "optimize", "loadtest", "demo", "demo.local", "demo.walkthrough", "demo.guide"],
)
def test_help_answers(module):
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_make_help_lists_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    for target in ("demo", "demo-ui", "test", "lint", "help"):
        assert f"make {target}" in done.stdout


def test_every_metric_is_documented():
    registry = CollectorRegistry()
    Metrics(registry)
    names = {metric.name + "_total" * (metric.type == "counter") for metric in registry.collect()}
    assert names == set(re.findall(r"`(spanserve_\w+)", SERVING))


def test_every_status_is_documented():
    def tree(error):
        yield error
        for child in error.__subclasses__():
            yield from tree(child)

    rows = re.findall(r"^\| (\d{3}) \| (\w+) \|", SERVING, flags=re.MULTILINE)
    assert {(e.http_status, e.grpc_status) for e in tree(PredictorError)} == {
        (int(http), grpc) for http, grpc in rows
    }


DEMO = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")


def test_every_option_of_the_page():
    options = {
        flag: action.default
        for parser in (demo_parser(), local_parser())
        for action in parser._actions
        for flag in action.option_strings
    }
    rows = re.findall(r"^\| `(--\w+)` \|([^|]*)\|", DEMO, flags=re.MULTILINE)
    assert {flag for flag, _ in rows} == {f for f in options if f.startswith("--")} - {"--help"}
    for flag, default in rows:
        assert str(options[flag] or "").endswith(default.strip())


def test_the_limits_of_the_page():
    assert f"{MOST_TEXT:,} letters of text, {MOST_QUESTION} of a question" in DEMO
    assert f"bodies of {MOST_BYTES // 1024} KiB" in DEMO


def test_the_picture_of_the_page():
    picture = ROOT / "docs" / "images" / "demo.png"
    assert "](docs/images/demo.png)" in README
    assert "](images/demo.png)" in DEMO
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000
