"""The random texts have exactly the tokens asked for, and the same ones for the same seed."""

import random
from pathlib import Path

import pytest

from loadtest.options import DEFAULT_LENGTHS
from loadtest.prompts import LONGEST_QUESTION, SHORTEST, SPECIAL_TOKENS, WORDS, make_prompt

VOCABULARY = Path(__file__).resolve().parents[2] / "demo/checkpoint/vocab.txt"


@pytest.mark.parametrize("length", [SHORTEST, 6, 7, *map(int, DEFAULT_LENGTHS.split(","))])
def test_word_count_is_the_sequence_length(length: int) -> None:
    prompt = make_prompt(length, random.Random(1))
    question, context = prompt.question.split(), prompt.context.split()
    assert len(question) + len(context) + SPECIAL_TOKENS == length
    assert 1 <= len(question) <= LONGEST_QUESTION
    assert len(context) >= 1


def test_same_seed_same_texts_and_each_request_another() -> None:
    first, again = random.Random(7), random.Random(7)
    prompts = [make_prompt(64, first) for _ in range(20)]
    assert prompts == [make_prompt(64, again) for _ in range(20)]
    assert len(set(prompts)) == 20
    assert make_prompt(64, random.Random(8)) not in prompts


def test_too_short() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        make_prompt(SHORTEST - 1, random.Random(0))


def test_every_word_is_one_token() -> None:
    vocabulary = set(VOCABULARY.read_text(encoding="utf-8").splitlines())
    assert [word for word in WORDS if word not in vocabulary] == []
    assert len(set(WORDS)) == len(WORDS)
