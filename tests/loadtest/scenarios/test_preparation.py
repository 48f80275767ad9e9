"""What is found out of a target, and refused, before it is measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.errors import AnswerError, LoadTestError, OptionError, WrongError
from loadtest.scenarios.preparation import Prepared, prepare
from loadtest.scenarios.texts import OneTokenTexts, TokenizerTexts
from loadtest.targets import Target
from tests.loadtest.given import options
from tests.loadtest.qa_server import ROOT, Answer, QAServer

TOKENIZER = ROOT / "demo" / "checkpoint" / "baseline" / "tokenizer.json"
LIMIT = 160
QUESTIONS = ROOT / "demo" / "data" / "questions.json"


def prepared(server: QAServer, *arguments: str, **target: object) -> Prepared:
    given = Target("a", server.url, **target)  # type: ignore[arg-type]
    return prepare(given, options("--request-timeout", "5", *arguments))


def test_without_tokenizer_the_target_s_own_counts(server: QAServer) -> None:
    found = prepared(server, "--lengths", "8,64")
    assert isinstance(found.texts, OneTokenTexts)
    assert (found.limit, found.notes, found.pool) == (64, [], [])


def test_a_target_that_is_busy_for_a_moment_is_asked_again(server: QAServer) -> None:
    def answer(length: int) -> Answer:
        busy = len(server.lengths) == 1
        return (429, {"error": "full"}) if busy else server.right_answer(length)

    server.answer = answer
    assert prepared(server, "--lengths", "8").limit == 8


@pytest.mark.parametrize(
    ("counts", "arguments", "error", "message"),
    [
        (
            lambda n: min(n, 64),
            ("--lengths", "8,64,128,256"),
            OptionError,
            "64 tokens at most",
        ),
        (lambda n: min(n, 64), (), OptionError, "at most, not 128, 256, 384, 512"),
        (lambda n: n, ("--lengths", "4"), OptionError, "4 is too short"),
        (lambda n: n + (n == 64), ("--lengths", "64"), WrongError, "64 tokens is 65 to it"),
        (
            lambda n: None if n == 64 else n,
            ("--lengths", "64"),
            AnswerError,
            "refuses a text",
        ),
    ],
)
def test_lengths_that_cannot_be(
    server: QAServer,
    counts: Callable[[int], int | None],
    arguments: tuple[str, ...],
    error: type[LoadTestError],
    message: str,
) -> None:
    def answer(length: int) -> Answer:
        count = counts(length)
        return (400, {"error": "no"}) if count is None else server.right_answer(count)

    server.answer = answer
    with pytest.raises(error, match=message):
        prepared(server, *arguments)


def test_the_limit_beside_the_tokenizer_is_known_without_asking(
    server: QAServer, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 384}))
    target = {"tokenizer": str(tmp_path / "tokenizer.json")}
    with pytest.raises(OptionError, match="384 tokens at most, not 512"):
        prepared(server, **target)
    assert server.lengths == []
    assert prepared(server, "--lengths", "384", **target).limit == 384
    with pytest.raises(OptionError, match="64 tokens at most, not 384"):
        prepared(server, "--lengths", "384", max_length=64, **target)
    # Tokenizers without a limit have this one.
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": int(1e30)}))
    assert prepared(server, **target).limit == 512


def test_lengths_under_load_are_what_the_model_takes(server: QAServer) -> None:
    server.answer = lambda length: server.right_answer(min(length, 128))
    found = prepared(server, "--scenario", "mixed", tokenizer=str(TOKENIZER))
    lengths = [length for _, length in found.pool]
    assert max(lengths) == found.limit == 128
    assert len(set(lengths)) > 20
    assert all(found.texts.count(prompt) == length for prompt, length in found.pool)
    chosen = prepared(server, "--scenario", "soak", "--lengths", "16,32")
    assert {length for _, length in chosen.pool} == {16, 32}
    again = prepared(server, "--scenario", "soak", "--lengths", "16,32")
    assert again.pool == chosen.pool
    other = prepared(server, "--scenario", "soak", "--lengths", "16,32", "--seed", "1")
    assert other.pool != chosen.pool


def test_real_questions_have_their_own_lengths(server: QAServer) -> None:
    server.answer = lambda length: server.right_answer(min(length, LIMIT))
    arguments = ("--scenario", "mixed", "--questions", str(QUESTIONS))
    found = prepared(server, *arguments, tokenizer=str(TOKENIZER))
    assert isinstance(found.texts, TokenizerTexts)
    for prompt, length in found.pool:
        count = found.texts.count(prompt)
        # A longer one comes back as the window's length, so that it is not checked.
        assert length == (count if count <= LIMIT else 0)
    assert {length == 0 for _, length in found.pool} == {False, True}
    assert {length for _, length in prepared(server, *arguments).pool} == {0}


def test_few_packages_are_needed() -> None:
    program = (
        "import sys; import loadtest.__main__, loadtest.scenarios.generator, "
        "loadtest.scenarios.conductor, "
        "loadtest.reports.output, loadtest.clients.v2_grpc; "
        "print([name for name in ('kserve', 'numpy', 'torch', 'transformers', 'matplotlib', "
        "'pydantic', 'fastapi', 'predictor', 'optimize') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
