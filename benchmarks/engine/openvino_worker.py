"""`python -m benchmarks.engine.openvino_worker FOLDER MODEL [LENGTH…]`: measures OpenVINO.

MODEL is an ONNX file, which runs in bf16, or an XML file of `benchmarks.engine.openvino_int8`, what
it leaves in floating point in bf16 where the CPU has that. FOLDER is the artifact that has the
tokenizer. With LENGTHs the model is compiled for each of them and takes no other; without, once
with free axes.

Only its own environment has OpenVINO: `.venv-peers/openvino`. Tokenizing and reading spans out of
the logits is our code here too, so that the difference is the engine's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openvino

from benchmarks.engine.worker import Talk
from predictor.artifact import TOKENIZER_FILE, read_spec
from predictor.engine import Engine
from predictor.sessions.cpu import available_cpus
from predictor.sessions.protocol import MAX_BATCH_TOKENS
from predictor.tokenization import FeatureTokenizer
from predictor.types import Batch, Logits


class OpenVinoSession:
    """OpenVINO's own API where our sessions are; see predictor.sessions.protocol.Session."""

    provider = "CPU"
    max_batch_tokens = MAX_BATCH_TOKENS
    # Questions come one at a time: whether windows of one share a run is all that this decides.
    run_overhead_tokens = 64

    def __init__(self, core: Any, model: Path, settings: Mapping[str, Any], lengths: Sequence[int]):
        """Compiles the model."""
        self._free = None if lengths else _compiled(core, model, settings, None)
        self._fixed = {length: _compiled(core, model, settings, length) for length in lengths}

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""
        request = self._free or self._fixed[batch["input_ids"].shape[1]]
        outputs = request.infer(batch, share_inputs=True)
        return Logits(outputs["start_logits"], outputs["end_logits"])


def main(folder: Path, model: Path, lengths: Sequence[int]) -> None:
    """Loads, warms up and answers."""
    talk = Talk()
    core = openvino.Core()
    bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if model.suffix == ".onnx" and not bf16:
        talk.say({"cannot": "the CPU has no bf16"})
        return
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": available_cpus(),
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
    }
    spec = read_spec(folder)
    tokenizer = FeatureTokenizer(
        folder / TOKENIZER_FILE, max_seq_length=spec.max_seq_length, doc_stride=spec.doc_stride
    )
    engine = Engine(spec, tokenizer, OpenVinoSession(core, model, settings, lengths))
    if not lengths:
        engine.warm_up()
    talk.serve(engine, {name: version(name) for name in ("openvino", "nncf")})


def _compiled(core: Any, path: Path, settings: Mapping[str, Any], length: int | None) -> Any:
    model = core.read_model(path)
    if length:
        model.reshape({node.any_name: [1, length] for node in model.inputs})
    return core.compile_model(model, "CPU", settings).create_infer_request()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(length) for length in sys.argv[3:]])
