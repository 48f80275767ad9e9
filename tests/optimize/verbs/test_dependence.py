"""Options that would do nothing without another one are refused before anything is read."""

import argparse

import pytest

from optimize.__main__ import main
from optimize.verbs.dependence import Dependent
from optimize.verbs.parser import parser

COMMANDS = {
    "build": ["--model", "m", "--output", "o"],
    "prune": ["--model", "m", "--output", "o", "--train-data", "t", "--prune-to", "0.5"],
    "finetune": ["--model", "m", "--output", "o", "--train-data", "t"],
    "quantize": ["--model-dir", "m", "--output", "o"],
    "verify": ["--model-dir", "m"],
    "publish": ["--model-dir", "m", "--output", "o"],
}
LENGTHS = "--prune-to-flops or --target-latency-ms"
BOUNDS = f"--prune-to or {LENGTHS}"

LONELY = [
    ("build", "--prune-to 0.5", "--train-data"),
    ("build", "--prune-to-flops 0.5", "--train-data"),
    ("build", "--target-latency-ms 3", "--train-data"),
    ("build", "--prune-length 64", LENGTHS),
    ("build", "--prune-length 64 --prune-to 0.5 --train-data t", LENGTHS),
    ("build", "--prune-sample 10", BOUNDS),
    ("build", "--max-pruning-f1-drop 1", BOUNDS),
    ("build", "--max-pruning-f1-drop 1 --prune-to 0.5 --train-data t", "--dataset"),
    ("build", "--max-f1-drop 1", "--dataset or --train-data"),
    ("build", "--strict-gate", "--dataset or --train-data"),
    ("build", "--choice-sample 10", "--train-data"),
    ("build", "--calibration-sample 10", "--train-data"),
    ("build", "--calibration entropy", "--train-data"),
    ("build", "--baseline-revision main", "--baseline"),
    ("build", "--triton-instances 2", "--triton"),
    # A value that is the default, too.
    ("build", "--triton-instances=1", "--triton"),
    ("prune", "--prune-length 64", LENGTHS),
    ("finetune", "--teacher-revision main", "--teacher"),
    ("finetune", "--distill-weight 0.5", "--teacher"),
    ("finetune", "--hidden-weight 0.5", "--teacher"),
    ("finetune", "--temperature 3", "--teacher"),
    ("finetune", "--regularization 5", "--movement"),
    ("finetune", "--final-threshold 0.2", "--movement"),
    ("finetune", "--block-size 16", "--movement"),
    ("finetune", "--mask-rate 0.1", "--movement"),
    ("finetune", "--hold-start 0.1", "--movement"),
    ("finetune", "--hold-end 0.1", "--movement"),
    ("quantize", "--dataset d", "--fp16"),
    ("quantize", "--static", "--train-data"),
    ("quantize", "--train-data t", "--static"),
    ("quantize", "--calibration-sample 10", "--train-data"),
    ("quantize", "--calibration entropy", "--train-data"),
    ("verify", "--parity-tolerance 1", "--against"),
    ("verify", "--min-span-agreement 1", "--against"),
    ("verify", "--max-f1-drop 1", "--against"),
    ("verify", "--max-f1-drop 1 --against a", "--dataset"),
    ("verify", "--strict-gate", "--against"),
    ("verify", "--strict-gate --against a", "--dataset"),
    ("publish", "--triton-instances 2", "--triton"),
]


@pytest.mark.parametrize(("verb", "options", "needed"), LONELY)
def test_an_option_without_what_it_needs_is_refused(
    verb: str, options: str, needed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, *COMMANDS[verb], *options.split()])
    assert left.value.code == 2
    option = options.replace("=", " ").split()[0]
    error = capsys.readouterr().err
    assert f"python -m optimize {verb}: error: {option} needs {needed}\n" in error


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("build", "--prune-to-flops 0.5 --prune-length 64 --prune-sample 10 --train-data t"),
        ("build", "--train-data t --target-latency-ms 3 --prune-length 64"),
        ("build", "--prune-to 0.5 --prune-sample 10 --train-data t"),
        ("build", "--max-pruning-f1-drop 1 --dataset d --train-data t --prune-to 0.5"),
        ("build", "--max-f1-drop 1 --train-data t"),
        ("build", "--strict-gate --dataset d"),
        ("build", "--triton-instances 2 --triton"),
        ("finetune", "--temperature 3 --teacher t"),
        ("finetune", "--block-size 16 --movement"),
        ("quantize", "--static --calibration entropy --train-data t"),
        ("quantize", "--dataset d --fp16"),
        ("verify", "--max-f1-drop 1 --dataset d --against a"),
    ],
)
def test_an_option_beside_what_it_needs_is_taken(verb: str, options: str) -> None:
    given = parser().parse_args([verb, *COMMANDS[verb], *options.split()])
    flag = options.split()[0]
    assert getattr(given, flag[2:].replace("-", "_")) not in (None, False)


def test_every_such_option_is_tested_and_needs_what_its_verb_has() -> None:
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    found = set()
    for verb, its in verbs.choices.items():
        options = {action.dest: action for action in its._actions}
        for action in its._actions:
            if not isinstance(action, Dependent):
                continue
            needed = [(n,) if isinstance(n, str) else n for n in action.needs]
            assert {name for names in needed for name in names} <= options.keys()
            # `prune` cannot be called without training data, nor without a bound.
            met = verb == "prune" and action.dest != "prune_length"
            if needed and not met and not all(options[n].required for ns in needed for n in ns):
                found.add((verb, action.option_strings[0]))
    assert found == {(verb, options.replace("=", " ").split()[0]) for verb, options, _ in LONELY}
