"""Measured processes: asked in turns, and what is said of one that ends."""

from __future__ import annotations

import sys

import pytest

from benchmarks.engine import asking
from benchmarks.errors import BenchmarkError
from loadtest.prompts import Prompt

# Answers as benchmarks.engine.worker does; what it says took tokens × its argument, in seconds.
SCRIPT = """
import json, sys
print(json.dumps({"versions": {"it": "1"}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "length" in asked:
        print(json.dumps({"seconds": asked["length"] * float(sys.argv[1])}), flush=True)
    else:
        answers = [sys.argv[1] + question for question, _ in asked["questions"]]
        print(json.dumps({"seconds": [1.0] * len(answers), "answers": answers}), flush=True)
"""


def commands(**scripts):
    return {name: [sys.executable, "-c", *script] for name, script in scripts.items()}


def test_each_system_is_asked_for_everything(tmp_path):
    with asking.started(commands(a=(SCRIPT, "1"), b=(SCRIPT, "2")), tmp_path) as workers:
        assert [worker.versions for worker in workers] == [{"it": "1"}] * 2
        assert asking.fixed(workers, (3, 5), rounds=2) == {
            ("a", 3): [3.0] * 2, ("a", 5): [5.0] * 2, ("b", 3): [6.0] * 2, ("b", 5): [10.0] * 2,
        }  # fmt: skip
        questions = [Prompt(f"q{number}", "") for number in range(2 * asking.BLOCK + 1)]
        seconds, answers = asking.traffic(workers, questions)
    assert answers["b"] == [f"2{one.question}" for one in questions]
    assert seconds["a"] == [1.0] * len(questions)


def test_one_that_cannot_run_says_why_and_one_that_fails_is_an_error(tmp_path):
    cannot = """print('{"cannot": "no such instructions"}')"""
    with asking.started(commands(a=(cannot,)), tmp_path) as workers:
        assert workers[0].cannot == "no such instructions"
    ends = SCRIPT.replace("for line", "sys.exit('it is broken')\nfor line")
    with asking.started(commands(a=(SCRIPT, "1"), b=(ends,)), tmp_path) as workers:
        processes = [worker._process for worker in workers]
        with pytest.raises(BenchmarkError, match="b ended: it is broken"):
            asking.fixed(workers[1:], (3,), rounds=1)
        assert processes[0].poll() is None
    assert all(process.returncode is not None for process in processes)
    never = commands(a=(SCRIPT, "1"), b=("import sys; sys.exit('no')",))
    with pytest.raises(BenchmarkError, match="b ended: no"), asking.started(never, tmp_path):
        pass
