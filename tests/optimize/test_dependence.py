"""Options that would do nothing without another one are refused before anything is read."""

import pytest

from optimize.__main__ import main
from optimize.verbs.dependence import unmet
from optimize.verbs.parser import parser

BUILD = ["build", "--model", "m", "--output", "o"]
FINETUNE = ["finetune", "--model", "m", "--train-data", "t", "--output", "o"]
QUANTIZE = ["quantize", "--model-dir", "m", "--output", "o"]
PUBLISH = ["publish", "--model-dir", "m", "--output", "o"]
BOUNDS = "--prune-to-flops or --target-latency-ms"

LONELY = [
    (BUILD, "--prune-length", "64", BOUNDS),
    (BUILD, "--prune-sample", "10", f"--prune-to or {BOUNDS}"),
    (BUILD, "--choice-sample", "10", "--train-data"),
    (BUILD, "--calibration-sample", "10", "--train-data"),
    (BUILD, "--calibration", "entropy", "--train-data"),
    (BUILD, "--baseline-revision", "main", "--baseline"),
    (BUILD, "--triton-instances", "2", "--triton"),
    (PUBLISH, "--triton-instances", "2", "--triton"),
    (QUANTIZE, "--calibration-sample", "10", "--train-data"),
    (QUANTIZE, "--calibration", "entropy", "--train-data"),
    (FINETUNE, "--teacher-revision", "main", "--teacher"),
    (FINETUNE, "--distill-weight", "0.5", "--teacher"),
    (FINETUNE, "--hidden-weight", "0.5", "--teacher"),
    (FINETUNE, "--temperature", "3", "--teacher"),
    (FINETUNE, "--regularization", "5", "--movement"),
    (FINETUNE, "--final-threshold", "0.2", "--movement"),
    (FINETUNE, "--block-size", "16", "--movement"),
    (FINETUNE, "--mask-rate", "0.1", "--movement"),
    (FINETUNE, "--hold-start", "0.1", "--movement"),
    (FINETUNE, "--hold-end", "0.1", "--movement"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "option", "value", "needed"), LONELY)
def test_an_option_without_what_it_needs_is_refused(
    verb: list[str],
    option: str,
    value: str,
    needed: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main([*verb, option, value])
    assert left.value.code == 2
    assert f"error: {option} needs {needed}\n" in capsys.readouterr().err
    assert unmet(parser().parse_args(verb)) is None


def test_a_value_that_is_the_default_is_refused_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*BUILD, "--triton-instances", "1"])
    assert "--triton-instances needs --triton" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [
        ["--prune-to-flops", "0.5", "--prune-length", "64", "--prune-sample", "10"],
        ["--target-latency-ms", "3", "--prune-length", "64", "--prune-sample", "10"],
        ["--prune-to", "0.5", "--prune-sample", "10"],
        ["--train-data", "t", "--choice-sample", "10", "--calibration", "entropy"],
        ["--triton", "--triton-instances", "2"],
    ],
)
def test_an_option_beside_what_it_needs_is_taken(more: list[str]) -> None:
    assert unmet(parser().parse_args([*BUILD, *more])) is None
    assert unmet(parser().parse_args([*BUILD, *reversed_pairs(more)])) is None


def reversed_pairs(words: list[str]) -> list[str]:
    """Options and their values, the last option first."""
    pairs: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            pairs.append([])
        pairs[-1].append(word)
    return [word for pair in reversed(pairs) for word in pair]
