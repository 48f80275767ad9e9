"""Parity, benchmark and report, on engines that need no model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from optimize import memory
from optimize.data.metrics import Scores
from optimize.data.squad import Example
from optimize.errors import GateFailed
from optimize.evaluation import benchmark, evaluate, parity
from optimize.evaluation.benchmark import Latency
from optimize.evaluation.parity import Parity
from optimize.reporting.report import Report, StepFigures
from predictor.types import Logits, Question

QUESTIONS = [Question("Where?", "In a house of straw."), Question("Who?", "The pig. " * 40)]


def shifted(engine, monkeypatch, by):
    run = engine.session.run
    monkeypatch.setattr(
        engine.session,
        "run",
        lambda batch: Logits(*(x + np.float32(by) for x in run(batch))),
        raising=False,
    )
    return engine


def test_an_engine_equals_itself(fake_engine):
    found = parity.compare(fake_engine, fake_engine, QUESTIONS)
    assert (found.max_logit_difference, found.span_agreement) == (0.0, 1.0)
    parity.check_logits("onnx", found, 1e-9)


def test_a_difference_is_found_and_gated(make_artifact, fake_engine, monkeypatch):
    other = type(fake_engine).load(make_artifact("b"), session="fake")
    found = parity.compare(shifted(other, monkeypatch, 0.25), fake_engine, QUESTIONS)
    assert found.max_logit_difference == pytest.approx(0.25, abs=1e-6)
    with pytest.raises(GateFailed, match=r"graph: logits differ by 2\.50e-01"):
        parity.check_logits("graph", found, 1e-2)


def test_a_logit_that_is_no_number_fails_the_gate(make_artifact, fake_engine, monkeypatch):
    other = type(fake_engine).load(make_artifact("b"), session="fake")
    nan = [Logits(np.full(64, np.nan), np.zeros(64))]
    monkeypatch.setattr(
        other, "run", lambda features: [Logits(*(x[: len(f)] for x in nan[0])) for f in features]
    )
    found = parity.compare(other, fake_engine, QUESTIONS[:1])
    assert np.isnan(found.max_logit_difference)
    with pytest.raises(GateFailed):
        parity.check_logits("fp16", found, 1.0)


def test_span_agreement_is_gated():
    parity.check_spans("int8", Parity(1.0, 1.0, 0.9), 0.9)
    with pytest.raises(GateFailed, match="int8: 80.0% of the answers"):
        parity.check_spans("int8", Parity(1.0, 1.0, 0.8), 0.85)


def test_every_step_is_measured_at_every_length_it_takes(fake_engine):
    rounds = []
    latencies = benchmark.measure(
        {"a": fake_engine, "b": fake_engine}, (8, 64, 128), 3, lambda: rounds.append(1)
    )
    assert {name: list(found) for name, found in latencies.items()} == {"a": [8, 64], "b": [8, 64]}
    assert len(rounds) == 3 + benchmark.BURN_IN_ROUNDS
    assert all(found.p50_ms > 0 for step in latencies.values() for found in step.values())


def test_evaluation_is_what_the_engine_answers(fake_engine):
    examples = [
        Example(str(i), "t", q.question, q.context, ("x",)) for i, q in enumerate(QUESTIONS)
    ]
    done = []
    _, predictions = evaluate.evaluate(fake_engine, examples, lambda: done.append(1))
    for example, question in zip(examples, QUESTIONS, strict=True):
        (result,), _ = fake_engine.answer([question])
        assert predictions[example.id].null_score_diff == result.null_score_diff
        if result.answers[0].text:
            assert predictions[example.id].best == result.answers[0].text
    assert len(done) == len(examples)


def step(name, mean, f1):
    scores = Scores(200, 50.0, f1, 5.0, 1.0, 1.0, f1, 0.0)
    latency = {8: Latency(1.0, 0.0, 1.0, 1.0), 64: Latency(mean, 0.5, mean, mean)} if mean else {}
    return StepFigures(name, "fp32", 90_000_000, 0.5, None, scores, latency, {})


def report(*steps):
    return Report("qa", 1, "b" * 64, steps[-1].name, {}, {"dataset": "d.json"}, steps)


def test_speed_ups_are_of_the_longest_common_length():
    found = report(step("baseline", 80.0, 60.0), step("onnx", 40.0, 59.5), step("int8", 20.0, 59.0))
    row = next(line for line in found.to_markdown().splitlines() if "**int8**" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[4] == "59.00"
    assert cells[8:11] == ["20.00 ± 0.50", "4.00", "2.00"]
    assert found.figures()["speed_up"] == 4.0
    assert json.loads(found.to_json())["steps"][1]["latency"]["64"]["mean_ms"] == 40.0


def test_peak_memory_and_notes_are_lines_of_the_report():
    kept = {"MatMul_1": "MatMul_1_output reaches 7e+04", "MatMul_2": "its weight reaches 8e+04"}
    last = replace(
        step("fp16", 20.0, 59.0), notes={"nodes kept in fp32": kept}, peak_memory_so_far_mib=4321
    )
    found = replace(report(step("baseline", 80.0, 60.0), last), conditions={"dataset": None})
    lines = found.to_markdown().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert [row[-1] for row in rows] == ["peak memory so far (MiB)", "---:", "–", "4321"]
    at = lines.index("- fp16: nodes kept in fp32:")
    assert lines[at + 1 : at + 3] == [f"  - {name}: {text}" for name, text in kept.items()]
    (_, written) = json.loads(found.to_json())["steps"]
    assert (written["peak_memory_so_far_mib"], written["notes"]) == (4321, last.notes)


def test_the_peak_is_of_this_process():
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        pytest.skip("there is no /proc")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    kernels = int(line.split()[1]) / 1024
    assert 0.9 * kernels <= memory.peak_mib() <= 2 * kernels


def cells(text, caption):
    """Rows of the table below a caption, the head left out."""
    lines = text.split(f"{caption}:\n\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_length_has_percentiles_and_speed_ups():
    steps = (step("baseline", 80.0, 60.0), step("fp16", 10.0, 9.0), step("fp32", 20.0, 60.0))
    found = replace(
        report(*steps),
        rejected={"fp16": "F1 fell"},
        conditions={"dataset": None, "provider": "CPUExecutionProvider", "threads": 2, "rounds": 9},
    )
    text = found.to_markdown()
    assert "Mean ± std in ms (CPUExecutionProvider, 2 threads, batch 1, 9 rounds):" in text
    assert cells(text, "p50 / p99 in ms")[1] == [
        "64",
        "80.00 / 80.00",
        "10.00 / 10.00",
        "20.00 / 20.00",
    ]
    caption = "Times faster than the baseline / than the step before"
    assert cells(text, caption) == [
        ["8", "1.00", "1.00 / 1.00", "1.00 / 1.00"],
        ["64", "1.00", "8.00 / 8.00", "4.00 / 4.00"],
    ]
    latency = json.loads(found.to_json())["steps"][0]["latency"]["64"]
    assert latency == {"mean_ms": 80.0, "std_ms": 0.5, "p50_ms": 80.0, "p99_ms": 80.0}


def test_a_latency_that_was_not_measured_is_not_guessed():
    found = report(step("baseline", None, 60.0), step("fp16", None, 60.0))
    assert found.figures()["speed_up"] is None
    assert "Latency was not measured" in found.to_markdown()
