"""The embedded model gives the same logits by every binding, in both precisions."""

import numpy as np
import onnxruntime as ort
import pytest

from optimize.data import squad
from predictor.artifact import read_spec
from predictor.batch_plan import collate, plan
from predictor.engine import Engine
from predictor.sessions.binding import BucketBinding, ExactBinding, PlainBinding
from predictor.sessions.bucket_grid import BucketGrid
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU
from predictor.types import Question
from tests.conftest import ROOT

BUDGET = 1024


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_binding_gives_the_same_logits(built, precision):
    folder = built(precision) / "qa" / "1"
    spec = read_spec(folder)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    session = ort.InferenceSession(str(folder / "model.onnx"), settings, providers=[CPU])
    grid = BucketGrid(spec.max_seq_length, BUDGET)
    padded = BucketBinding(session, spec.inputs, grid, pad_token_id=spec.pad_token_id, device="cpu")
    bindings = [ExactBinding(session), PlainBinding(session), padded]

    examples = squad.read(ROOT / "demo" / "data" / "questions.json")[::9]
    questions = [Question(e.question, e.context) for e in examples]
    questions.append(Question("Which pig?", "The second little pig built with sticks. " * 80))
    features = Engine.load(folder, options=SessionOptions(CPU)).prepare(questions)
    shapes = set()
    for positions in plan([len(feature) for feature in features], BUDGET, BUDGET):
        own = [features[position] for position in positions]
        batch = collate(own, spec.inputs, spec.pad_token_id)
        shapes.add(batch["input_ids"].shape)
        exact, *others = (binding.run(batch) for binding in bindings)
        for found in others:
            for row, feature in enumerate(own):
                for ours, theirs in zip(found, exact, strict=True):
                    np.testing.assert_allclose(
                        ours[row, : len(feature)], theirs[row, : len(feature)], atol=1e-4
                    )
    padded_shapes = [s for s in shapes if grid.fit(*s).tokens > s[0] * s[1]]
    assert len(padded_shapes) > 3
