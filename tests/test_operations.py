"""docs/operations.md says what is so: options, exit statuses, figures, alerts."""

import argparse
import math
import re
from pathlib import Path

import yaml

from k8s.rollout.arguments import parser
from k8s.rollout.errors import RolloutError
from k8s.rollout.service import PREVIOUS, UNFINISHED

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SERVING = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
RATE = 100


def test_every_option_of_the_rollout():
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for verb in verbs.choices.values():
        for action in verb._actions:
            for flag in action.option_strings:
                if flag.startswith("--") and flag != "--help":
                    assert f"`{flag}`" in TEXT, flag


def test_the_defaults():
    options = vars(parser().parse_args(["apply", "1"]))
    (row,) = re.findall(r"^\| `--timeout`, `--job-timeout` \| (.*?) \|", TEXT, re.MULTILINE)
    assert row == f"{options['timeout']:g}, {options['job_timeout']:g}"
    (row,) = re.findall(r"^\| `--interval` \| (.*?) \|", TEXT, re.MULTILINE)
    assert row == f"{options['interval']:g}"


def test_every_command_is_one():
    commands = re.findall(r"^python -m k8s\.rollout (.*)$", TEXT, flags=re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        parser().parse_args(command.split())


def test_every_exit_status():
    def tree(error):
        yield error
        for child in error.__subclasses__():
            yield from tree(child)

    rows = {int(s) for s in re.findall(r"^\| (\d) \|", TEXT, flags=re.MULTILINE)}
    assert {error.exit_status for error in tree(RolloutError)} | {0, 2} == rows


def test_the_annotations():
    assert f"`{PREVIOUS}`" in TEXT
    assert f"`{UNFINISHED}`" in TEXT


def test_capacity_is_worked_out_from_what_was_measured():
    (measured,) = re.findall(r"\| (\d+\.\d)/s over \d+\.\d/s \|\n\| the same: batching", SERVING)
    service = float(measured)
    assert f"µ = {measured}/s" in TEXT
    assert f"{1000 / service:.0f} ms a request" in TEXT
    rows = re.findall(r"^\| (\d+) ms \| (\S+)/s \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 3
    for p99, rate, replicas, more in rows:
        each = service - math.log(100) / (int(p99) / 1000)
        assert rate == f"{each:.1f}"
        assert int(replicas) == math.ceil(RATE / each)
        assert int(more) == int(replicas) + 1
    assert f"SPANSERVE_MAX_QUEUE_REQUESTS={int(service * 0.5)}`" in TEXT
    assert f"holds {512 / service:.0f} seconds" in TEXT
    assert "| 626/s, 48/s |" in SERVING
    assert f"{32 / 626 * 1000:.0f} ms each" in TEXT
    assert f"{0.7 * 626:.0f}/s" in TEXT


def test_every_alert_is_explained():
    folder = ROOT / "k8s" / "components" / "monitoring"
    alerts = set()
    for path in folder.rglob("*.y*ml"):
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if manifest and manifest.get("kind") == "PrometheusRule":
                for group in manifest["spec"]["groups"]:
                    alerts |= {rule["alert"] for rule in group["rules"] if "alert" in rule}
    assert alerts
    rows = re.findall(r"^\| ((?:`Spanserve\w+`(?:, )?)+) \|", TEXT, re.MULTILINE)
    assert alerts == set(re.findall(r"Spanserve\w+", " ".join(rows)))
