"""`python -m benchmarks.engine.openvino_int8 FOLDER XML [QUESTIONS]`: OpenVINO's static int8.

Quantizes the exported graph of an artifact with NNCF as it is meant for a transformer (SmoothQuant,
weights and activations, calibrated). With QUESTIONS, a SQuAD file, ranges are of 300 of them, the
number that NNCF takes by itself; without, of random tokens, which random weights are good for.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import nncf
import numpy as np
import openvino

from loadtest.squad import read_questions
from predictor import batch_plan
from predictor.artifact import MODEL_FILES, TOKENIZER_FILE, ArtifactSpec, read_spec
from predictor.tokenization import FeatureTokenizer
from predictor.types import Batch, Question

_QUESTIONS, _RANDOM, _RANDOM_LENGTH = 300, 16, 128


def main(folder: Path, xml: Path, questions: Path | None) -> None:
    """Writes the quantized model."""
    spec = read_spec(folder)
    batches = _asked(folder, spec, questions) if questions else _random(spec)
    model = openvino.Core().read_model(folder / MODEL_FILES["onnx"])
    quantized = nncf.quantize(
        model,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(batches),
    )
    openvino.save_model(quantized, xml, compress_to_fp16=False)


def _asked(folder: Path, spec: ArtifactSpec, path: Path) -> list[Batch]:
    tokenizer = FeatureTokenizer(
        folder / TOKENIZER_FILE, max_seq_length=spec.max_seq_length, doc_stride=spec.doc_stride
    )
    asked = read_questions(path)
    chosen = random.Random(0).sample(asked, min(_QUESTIONS, len(asked)))
    features = tokenizer.features([Question(one.question, one.context) for one in chosen])
    return [batch_plan.collate([one], spec.inputs, spec.pad_token_id) for one in features]


def _random(spec: ArtifactSpec) -> list[Batch]:
    tokens, shape = np.random.default_rng(0), (1, _RANDOM_LENGTH)
    fixed = {"attention_mask": np.ones(shape), "token_type_ids": np.zeros(shape)}
    return [
        {
            name: fixed.get(name, tokens.integers(1000, 30000, shape)).astype(np.int64)
            for name in spec.inputs
        }
        for _ in range(_RANDOM)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None)
