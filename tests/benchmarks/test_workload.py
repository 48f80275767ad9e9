"""Texts have the lengths they are made for."""

import json

import numpy as np
import pytest

from benchmarks.artifact import tokenizer_of
from benchmarks.load import http_request
from benchmarks.workload import Texts, v1_body, v2_body, v2_requests
from loadtest.squad import MOST_TOKENS
from predictor.types import Question


@pytest.fixture(scope="module")
def texts(checkpoint):
    return Texts(tokenizer_of(checkpoint), 5)


@pytest.mark.parametrize("tokens", [32, 33, 384, 512])
def test_a_question_has_exactly_so_many_tokens(texts, make_tokenizer, tokens):
    questions = [texts.question(tokens) for _ in range(40)]
    features = make_tokenizer(MOST_TOKENS, 128).features(questions)
    assert [len(feature) for feature in features] == [tokens] * 40


def test_lengths_are_like_those_of_squad(texts):
    lengths = texts.lengths(4000)
    low, middle, high = np.percentile(lengths, [5, 50, 95])
    assert 65 <= low <= 80
    assert 143 <= middle <= 157
    assert 295 <= high <= 335
    assert min(lengths) >= 32
    assert max(lengths) <= 512


def test_a_seed_gives_the_same_texts(checkpoint):
    first, again, other = (
        Texts(tokenizer_of(checkpoint), seed).squad_like(5) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert len(set(first)) == 5


def test_requests_carry_the_texts():
    pair = [Question("Who?", "The pig."), Question("What?", "Straw — ünï.")]
    v2 = json.loads(v2_body(pair, {"top_k": 2}))
    assert [tensor["data"] for tensor in v2["inputs"]] == [
        ["Who?", "What?"],
        ["The pig.", "Straw — ünï."],
    ]
    assert [tensor["shape"] for tensor in v2["inputs"]] == [[2], [2]]
    assert v2["parameters"] == {"top_k": 2}
    v1 = json.loads(v1_body(pair))
    assert v1["instances"][1] == {"question": "What?", "context": "Straw — ünï."}
    head, body = v2_requests(pair)[0].split(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Content-Length: 7\r\n" in http_request("/", b"{}", length=7)
