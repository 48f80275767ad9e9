"""What the server answers equals an independent reference on real questions.

The reference shares nothing with the predictor but the checkpoint: transformers tokenizes, torch
computes, and plain loops search.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from optimize.data import squad
from tests.conftest import ROOT

NEAR_TIE = 1e-4
QUESTIONS = 200


@dataclass
class Found:
    """The best span, the runner-up's distance, and null score − best."""

    text: str
    start: int
    end: int
    margin: float
    null_score_diff: float


class Reference:
    """Answers with the run_qa rules: windows of 512 with an overlap of 128, spans to 30 tokens."""

    def __init__(self, checkpoint: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        model = AutoModelForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32)
        self.model = model.eval()

    def answer(self, question: str, context: str) -> Found:
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=512,
            stride=128,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        scores: dict[tuple[int, int], float] = {}
        null = float("inf")
        for window in range(len(encoded["input_ids"])):
            with torch.inference_mode():
                output = self.model(
                    input_ids=torch.tensor([encoded["input_ids"][window]]),
                    attention_mask=torch.tensor([encoded["attention_mask"][window]]),
                    token_type_ids=torch.tensor([encoded["token_type_ids"][window]]),
                )
            start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
            null = min(null, start[0] + end[0])
            sequence = encoded.sequence_ids(window)
            offsets = encoded["offset_mapping"][window]
            for i in range(len(start)):
                if sequence[i] != 1:
                    continue
                for j in range(i, min(i + 30, len(end))):
                    if sequence[j] != 1:
                        break
                    place = (offsets[i][0], offsets[j][1])
                    scores[place] = max(scores.get(place, float("-inf")), start[i] + end[j])
        ordered = sorted(scores.values(), reverse=True)
        best = max(scores, key=lambda place: (scores[place], -place[0], -place[1]))
        return Found(
            text=context[best[0] : best[1]],
            start=best[0],
            end=best[1],
            margin=ordered[0] - ordered[1] if len(ordered) > 1 else float("inf"),
            null_score_diff=null - ordered[0],
        )


def served(server, example):
    """The served best span, no-answer switched off, and the null score difference."""
    body = {
        "inputs": [
            {"name": "question", "datatype": "BYTES", "shape": [1], "data": [example.question]},
            {"name": "context", "datatype": "BYTES", "shape": [1], "data": [example.context]},
        ],
        "parameters": {"null_score_diff_threshold": 1e6},
    }
    status, answer, _ = server.call("POST", "/v2/models/qa/infer", body)
    assert status == 200, answer
    return {output["name"]: output["data"][0] for output in answer["outputs"]}


def compare(server, checkpoint, examples):
    plain = Reference(checkpoint)
    near_ties, wrong = [], []
    for example in examples:
        expected = plain.answer(example.question, example.context)
        found = served(server, example)
        assert found["null_score_diff"] == pytest.approx(expected.null_score_diff, abs=1e-3)
        assert found["answer"] == example.context[found["start"] : found["end"]]
        if (found["start"], found["end"]) != (expected.start, expected.end):
            (near_ties if expected.margin < NEAR_TIE else wrong).append(example.id)
    return near_ties, wrong


def test_real_questions(server, checkpoint, squad2_dev):
    every = squad.read(squad2_dev)
    examples = every[:: len(every) // QUESTIONS][:QUESTIONS]
    near_ties, wrong = compare(server, checkpoint, examples)
    assert not wrong
    assert len(near_ties) <= QUESTIONS // 50, near_ties


def test_embedded_questions_and_a_long_context(server, checkpoint):
    examples = squad.read(ROOT / "demo" / "data" / "questions.json")[::10]
    long = " ".join(dict.fromkeys(example.context for example in examples))
    examples += [
        squad.Example(f"long-{e.id}", e.title, e.question, long, e.answers) for e in examples[:4]
    ]
    near_ties, wrong = compare(server, checkpoint, examples)
    assert not wrong
    assert len(near_ties) <= 1
