"""Calibration: the ranges that activations take on training questions.

Questions are tokenized as the predictor does it, and run one feature at a time through ONNX
Runtime's calibrators, which keep a range or a histogram of each tensor and nothing of the feature:
memory does not grow with the questions.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from optimize.data import squad
from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.memory import freed_afterwards
from predictor import batch_plan
from predictor.artifact import TOKENIZER_FILE, ArtifactSpec
from predictor.tokenization import FeatureTokenizer
from predictor.types import Batch, Question

Ranges = Mapping[str, tuple[float, float]]
"""Tensor name → least and largest value."""

# Minmax keeps every outlier. The others cut some off, which fewer steps for all else pay for; in
# an encoder it is the outliers that carry the answers.
METHODS = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "entropy": (CalibrationMethod.Entropy, {}),
    "percentile": (CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.999}),
}
_OPERATORS = ["MatMul", "Attention"]


def split(
    examples: Sequence[Example], calibration: int, choice: int, seed: int = 0
) -> tuple[list[Example], list[Example]]:
    """Questions to calibrate on and others to choose on, drawn at random, the same every time.

    Args:
        examples: The training questions.
        calibration, choice: How many of each; of too few questions both get their share.
        seed: Of the draw.

    Raises:
        SourceError: There are not two questions.
    """
    if len(examples) < 2:
        raise SourceError("training data need two questions: to calibrate on, and to choose on")
    drawn = squad.sample(examples, calibration + choice, seed)
    share = len(drawn) * calibration / (calibration + choice)
    count = min(max(round(share), 1), len(drawn) - 1)
    mine = set(random.Random(seed).sample(range(len(drawn)), count))
    return (
        [example for place, example in enumerate(drawn) if place in mine],
        [example for place, example in enumerate(drawn) if place not in mine],
    )


def batches(
    folder: Path, spec: ArtifactSpec, questions: Iterable[Question], rows: int = 1
) -> Iterator[Batch]:
    """The features of an artifact's tokenizer for each question, int64 (rows, longest)."""
    tokenizer = FeatureTokenizer(
        folder / TOKENIZER_FILE, max_seq_length=spec.max_seq_length, doc_stride=spec.doc_stride
    )
    features = itertools.chain.from_iterable(tokenizer.features([q]) for q in questions)
    while part := list(itertools.islice(features, rows)):
        yield batch_plan.collate(part, spec.inputs, spec.pad_token_id)


@freed_afterwards
def ranges(model: Path, batches: Iterator[Batch], method: str) -> Ranges:
    """Ranges of what goes into a fused fp32 graph's matrix products.

    Args:
        model: The graph.
        batches: What to run it on; at least one.
        method: One of METHODS.
    """
    kind, options = METHODS[method]
    # The calibrators report to stdout.
    with TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        typed = Path(scratch) / "typed.onnx"
        _with_types(model, typed)
        calibrator = create_calibrator(
            typed,
            _OPERATORS,
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=kind,
            extra_options=options,
        )
        for batch in batches:
            calibrator.collect_data(_One(batch))
        found = calibrator.compute_data()
    return {
        name: (float(np.min(data.range_value[0])), float(np.max(data.range_value[1])))
        for name, data in found.items()
    }


class _One(CalibrationDataReader):  # type: ignore[misc]  # without types
    """A single batch: what a calibrator reads at once, it holds at once."""

    def __init__(self, batch: Batch) -> None:
        self._batch: Batch | None = batch

    def get_next(self) -> Batch | None:
        batch, self._batch = self._batch, None
        return batch


def _with_types(source: Path, path: Path) -> None:
    """Copies a graph and states the type of what goes into its products.

    Calibrators take tensors of known type alone, and shape inference stops at fused operators.
    """
    graph = onnx.load(str(source)).graph
    weights = {tensor.name for tensor in graph.initializer}
    known = {info.name for info in (*graph.value_info, *graph.input, *graph.output)}
    inputs = {
        node.input[0]
        for node in graph.node
        if node.op_type in _OPERATORS and node.input[1] in weights
    }
    added = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in sorted(inputs - known)
    ]
    shutil.copyfile(source, path)
    # Concatenated protobuf messages are one message.
    with path.open("ab") as stream:
        part = onnx.ModelProto(graph=onnx.GraphProto(value_info=added))
        stream.write(part.SerializeToString())
