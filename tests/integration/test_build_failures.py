"""What a build refuses, or cannot do: one line and nothing left behind, or the next best step."""

import json

import pytest

from optimize.errors import GateFailed
from optimize.graph import quantize
from optimize.source import compaction
from predictor.artifact import load_spec
from tests.integration.building import in_process, one_error_line, optimize


def test_full_disks_are_one_line_and_leave_nothing(checkpoint, mount, tmp_path):
    """The output has room for the baseline alone, the scratch folder for a step or two."""
    short = ("--precision", "fp32", "--rounds", "1", "--sequence-lengths", "8")
    root = mount("size=100m")
    result = optimize("build", "--model", checkpoint, "--output", root, *short)
    assert result.returncode == 1
    line = f"{root / 'qa' / '1'}: cannot be written (No space left on device)"
    assert one_error_line(result) == f"optimize: error: {line}"
    assert list(root.iterdir()) == []
    for precision in ("fp32", "auto"):
        # The steps before int8 fill three quarters of it.
        scratch = mount("size=120m" if precision == "fp32" else "size=400m")
        output = tmp_path / "out"
        result = optimize(
            "build", "--model", checkpoint, "--output", output, *short, "--precision", precision,
            TMPDIR=scratch,
        )  # fmt: skip
        assert result.returncode == 1
        assert "no space left for the steps" in one_error_line(result)
        assert list(scratch.glob("optimize-*")) == []
        assert not output.exists()


def test_a_failed_gate_publishes_nothing(checkpoint, tmp_path):
    result = optimize(
        "build", "--model", checkpoint, "--output", tmp_path / "root", "--precision", "int8",
        "--min-span-agreement", "1.01",
    )  # fmt: skip
    assert result.returncode == 3
    assert "int8-asymmetric: " in one_error_line(result)
    assert not (tmp_path / "root").exists()


def test_a_wrong_compaction_is_not_published(checkpoint, tmp_path, monkeypatch):
    compact = compaction.compact

    def wrong(state, config, **options):
        compacted = compact(state, config, **options)
        compacted.state["qa_outputs.weight"] = compacted.state["qa_outputs.weight"] * -3
        return compacted

    monkeypatch.setattr(compaction, "compact", wrong)
    for baseline in (None, str(checkpoint)):
        with pytest.raises(GateFailed, match="pruned: logits differ"):
            in_process(checkpoint, tmp_path / "root", baseline=baseline)
    assert not (tmp_path / "root").exists()


def test_auto_falls_back_where_a_gate_fails(checkpoint, tmp_path):
    result = optimize(
        "build", "--model", checkpoint, "--output", tmp_path, "--rounds", "1",
        "--sequence-lengths", "8", "--min-span-agreement", "1.01",
    )  # fmt: skip
    assert result.returncode == 0
    assert load_spec(tmp_path / "qa" / "1").precision == "fp32"
    assert "- not served: int8 (" in result.stdout


def test_auto_falls_back_where_a_step_does_not_run(checkpoint, tmp_path, monkeypatch):
    def broken(source, path, variant, ranges):
        if variant.asymmetric:
            raise ValueError("no such operator")
        path.write_bytes(b"no model")

    monkeypatch.setattr(quantize, "to_int8", broken)
    folder = in_process(checkpoint, tmp_path)
    assert load_spec(folder).precision == "fp32"
    rejected = json.loads((folder / "report.json").read_text())["rejected"]
    assert set(rejected) == {"int8", "int8-asymmetric"}
    with pytest.raises(GateFailed, match="int8-asymmetric: cannot be made"):
        in_process(checkpoint, tmp_path, precision="int8", version=2)


def test_bad_arguments_leave_nothing(checkpoint, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        "does not exist": ("--model", tmp_path / "nowhere", "--output", tmp_path / "out"),
        "no config.json": ("--model", empty, "--output", tmp_path / "out"),
        "not a SQuAD file": (
            "--model", checkpoint, "--output", tmp_path / "out",
            "--dataset", checkpoint / "config.json",
        ),
        "cannot be written": ("--model", checkpoint, "--output", "/proc/nowhere"),
        "name": ("--model", checkpoint, "--output", tmp_path / "out", "--name", ".."),
    }  # fmt: skip
    for message, arguments in cases.items():
        result = optimize("build", *arguments)
        assert result.returncode in (1, 2)
        assert message in one_error_line(result)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--threads", "-1"),
        ("--doc-stride", "-5"),
        ("--max-seq-length", "4"),
        ("--opset", "99"),
        ("--null-threshold", "inf"),
        ("--max-f1-drop", "nan"),
        ("--version", "0"),
        ("--sequence-lengths", "8,x"),
    ],
)
def test_options_out_of_range_are_refused_at_once(option, tmp_path):
    result = optimize("build", "--model", "m", "--output", tmp_path, *option, timeout=30)
    assert result.returncode == 2
    assert option[0] in result.stderr.splitlines()[-1]
