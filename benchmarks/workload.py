"""Questions and contexts of wanted lengths, and the requests that carry them.

Lengths are like SQuAD's, drawn as the load test draws them. A context is made of the embedded
questions' own paragraphs: from a random sentence on, its article's text is repeated word by word
until the wanted length is reached. All is seeded.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer

from benchmarks.load import http_request
from demo.building import QUESTIONS
from loadtest.squad import LEAST_TOKENS, MOST_TOKENS, draw_length
from predictor.types import Question

INFER_PATH = "/v2/models/qa/infer"
# [CLS] question [SEP] context [SEP]
_SPECIAL = 3


class Texts:
    """Makes questions with contexts of a given number of tokens."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        """Takes the served model's tokenizer, which must split at spaces, and a seed."""
        articles = json.loads(QUESTIONS.read_text("utf-8"))["data"]
        self._articles = [
            (
                [qa["question"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]],
                " ".join(paragraph["context"] for paragraph in article["paragraphs"]).split(),
            )
            for article in articles
        ]
        self._tokenizer = tokenizer
        self._random = random.Random(seed)
        self._counts: dict[str, int] = {}

    def question(self, tokens: int) -> Question:
        """A question whose one feature would have exactly that many tokens.

        A context's last word may be a filler, so that the count comes out even.
        """
        questions, words = self._random.choice(self._articles)
        question = self._random.choice(questions)
        left = tokens - _SPECIAL - self._count(question)
        chosen = []
        for word in self._from_somewhere(words):
            count = self._count(word)
            if count > left:
                break
            chosen.append(word)
            left -= count
        chosen += ["the"] * left
        return Question(question, " ".join(chosen))

    def squad_like(self, count: int) -> list[Question]:
        """Questions whose lengths are distributed like SQuAD's."""
        return [self.question(length) for length in self.lengths(count)]

    def lengths(self, count: int) -> list[int]:
        """Token counts, log-normal."""
        return [draw_length(self._random, LEAST_TOKENS, MOST_TOKENS) for _ in range(count)]

    def _from_somewhere(self, words: Sequence[str]) -> Iterator[str]:
        starts = [i + 1 for i, word in enumerate(words[:-1]) if word.endswith((".", "!", "?"))]
        start = self._random.choice([0, *starts])
        return itertools.islice(itertools.cycle(words), start, None)

    def _count(self, text: str) -> int:
        if text not in self._counts:
            self._counts[text] = len(self._tokenizer.encode(text, add_special_tokens=False).ids)
        return self._counts[text]


def v2_body(questions: Sequence[Question], parameters: dict[str, Any] | None = None) -> bytes:
    """The JSON of a V2 request."""
    columns = {
        "question": [question.question for question in questions],
        "context": [question.context for question in questions],
    }
    content: dict[str, Any] = {
        "inputs": [
            {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": data}
            for name, data in columns.items()
        ]
    }
    if parameters:
        content["parameters"] = parameters
    return json.dumps(content).encode()


def v1_body(questions: Sequence[Question], parameters: dict[str, Any] | None = None) -> bytes:
    """The JSON of a V1 request."""
    instances = [{"question": q.question, "context": q.context} for q in questions]
    return json.dumps({"instances": instances, "parameters": parameters or {}}).encode()


def v2_requests(questions: Sequence[Question]) -> list[bytes]:
    """One V2 request for each question, ready to be sent."""
    return [http_request(INFER_PATH, v2_body([question])) for question in questions]
