"""`python -m benchmarks.engine` on a tiny model, without its rival."""

from __future__ import annotations

import pytest

from benchmarks.engine import __main__ as engine
from benchmarks.engine import systems
from benchmarks.engine.figures import DENSE, FP32, FP32_BEFORE, INT8


@pytest.mark.integration
def test_tiny_models_go_all_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(systems, "_RIVAL", tmp_path / "none")
    file = tmp_path / "engine.md"
    few = ["--shapes", "tiny", "--rounds", "2", "--questions", "6", "--output", str(file)]
    # It holds no bound of BERT-large's.
    assert engine.main(few) == 1
    out, err = capsys.readouterr()
    assert "bounds missed: " in err
    text = file.read_text("utf-8")
    assert text in out
    assert "Left out, OpenVINO: it is not installed; `make peers` does that." in text
    tables = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| ")}
    fixed, real = text.split("## Real lengths")
    assert all(name in fixed for name in (DENSE, FP32, INT8))
    assert tables[DENSE].count("(1.0)") == 4
    assert all(name in real for name in (FP32_BEFORE, FP32, INT8))
    # Fused or not, the norm changes no answer.
    assert "100.0 %" in tables[FP32_BEFORE]
    assert {"int8-32", "int8-512", "traffic-fp32"} <= set(tables)
    assert not {"ahead-32", "traffic-warm"} & set(tables)
    assert "- int8, 512 tokens, ms a run: " in text
