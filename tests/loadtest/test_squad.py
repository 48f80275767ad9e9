"""Lengths like SQuAD's, and files of its layout."""

from __future__ import annotations

import gzip
import json
import random
import statistics
from pathlib import Path

import pytest

from loadtest.errors import OptionError
from loadtest.squad import draw_length, read_questions

FILE = Path(__file__).resolve().parents[2] / "demo" / "data" / "questions.json"


def test_lengths_are_log_normal_and_kept_within_bounds() -> None:
    rng = random.Random(0)
    drawn = sorted(draw_length(rng, 6, 512) for _ in range(4000))
    assert statistics.median(drawn) == pytest.approx(150, rel=0.05)
    assert drawn[200] == pytest.approx(72, rel=0.1)
    assert drawn[3800] == pytest.approx(315, rel=0.1)
    assert all(100 <= draw_length(rng, 100, 128) <= 128 for _ in range(200))


def test_questions_of_a_file_plain_and_packed(tmp_path: Path) -> None:
    prompts = read_questions(FILE)
    articles = json.loads(FILE.read_text("utf-8"))["data"]
    questions = [q for a in articles for p in a["paragraphs"] for q in p["qas"]]
    assert [prompt.question for prompt in prompts] == [q["question"] for q in questions]
    assert all(prompt.context for prompt in prompts)
    packed = tmp_path / "questions.json.gz"
    packed.write_bytes(gzip.compress(FILE.read_bytes()))
    assert read_questions(packed) == prompts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the questions"),
        ("{", "SQuAD's layout"),
        ("[]", "SQuAD's layout"),
        ('{"data": [{"paragraphs": [{"qas": [{}]}]}]}', "SQuAD's layout"),
        ('{"data": []}', "has no question"),
    ],
)
def test_bad_file(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "squad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionError, match=message):
        read_questions(path)
