"""Runs the model with ONNX Runtime, on the binding that suits the execution provider."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime as ort

from predictor.artifact import MODEL_FILES, ArtifactSpec
from predictor.errors import ArtifactError, StartupError
from predictor.sessions import cuda, instructions
from predictor.sessions.batch_size import cpu_batch_tokens, run_overhead_tokens
from predictor.sessions.binding import Binding, BucketBinding, ExactBinding, PlainBinding
from predictor.sessions.bucket_grid import BucketGrid
from predictor.sessions.protocol import MAX_BATCH_TOKENS, SessionOptions, WarmsUp
from predictor.sessions.providers import CPU, CUDA, check_one_runtime, choose_provider
from predictor.types import Batch, Logits

logger = logging.getLogger(__name__)

# Part of every message with which ONNX Runtime refuses to capture a model.
_GRAPH_REFUSED = "graph capture feature"


class OrtSession:
    """ONNX Runtime, on the binding that suits the provider."""

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """See Session."""
        if spec.format != "onnx":
            raise ArtifactError(
                f"{folder}: format {spec.format} is not for ONNX Runtime; "
                "choose a session for it with --session"
            )
        check_one_runtime()
        wanted = choose_provider(options.provider, spec.target)
        widened = wanted == CPU and _is_widened(spec)
        session = _load(folder / MODEL_FILES["onnx"], wanted, options, widened=widened)
        self.provider: str = session.get_providers()[0]
        if self.provider != wanted:
            raise StartupError(f"{wanted} was chosen but could not be started; see the log above")
        names = tuple(node.name for node in session.get_inputs())
        if set(names) != set(spec.inputs):
            raise ArtifactError(f"{folder}: inputs {names} differ from {spec.inputs} in its spec")
        suits = MAX_BATCH_TOKENS if wanted == CUDA else cpu_batch_tokens(options.threads)
        self.max_batch_tokens = options.max_batch_tokens or suits
        self.run_overhead_tokens = run_overhead_tokens(wanted, spec, self.max_batch_tokens)
        options = replace(options, max_batch_tokens=self.max_batch_tokens)
        self._binding = _binding(session, spec, wanted, options)

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""
        return self._binding.run(batch)

    def warm_up(self) -> None:
        """Where shapes are fixed, allocates them and captures their graphs; raises StartupError."""
        if isinstance(self._binding, WarmsUp):
            self._binding.warm_up()


def _is_widened(spec: ArtifactSpec) -> bool:
    """Whether signed weights must become unsigned for answers to stay as gated; logs why."""
    here = instructions.detected()
    widened = instructions.saturate(spec, here)
    if widened:
        logger.warning(
            "this CPU has no VNNI (%s), where the artifact's 8-bit weights would saturate: it runs "
            "with session.x64quantprecision=1, as it was gated but slower; build it again",
            instructions.named(here),
        )
    elif instructions.agree(spec, here) is False:
        logger.info(
            "the gates ran on a CPU with %s, this one has %s: integers are computed alike on both",
            instructions.named(spec.instruction_sets),
            instructions.named(here),
        )
    return widened


def _load(
    model: Path, provider: str, options: SessionOptions, *, widened: bool = False
) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    # Threads that spin between runs take time slices from the tokenizer, from other pods and,
    # under a CPU quota, from the next run.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if widened:
        settings.add_session_config_entry("session.x64quantprecision", "1")
    settings.log_severity_level = 3
    providers: list[Any] = [provider] if provider == CPU else [provider, CPU]
    if provider == CUDA:
        cuda.load_libraries()
        cuda_graph = options.cuda_graph and options.io_binding
        providers[0] = (CUDA, cuda.provider_options(cuda_graph=cuda_graph))
    try:
        # Without a fallback of ONNX Runtime's own, which would hide the error.
        return ort.InferenceSession(
            str(model),
            settings,
            providers=providers,
            enable_fallback=0,
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        if _GRAPH_REFUSED in str(error):
            raise StartupError(
                f"{model}: not every operator runs on the GPU, so there can be no CUDA graph; "
                f"start with --cuda_graph off ({error})"
            ) from error
        raise StartupError(f"{model}: ONNX Runtime cannot load it: {error}") from error


def _binding(
    session: ort.InferenceSession, spec: ArtifactSpec, provider: str, options: SessionOptions
) -> Binding:
    if not options.io_binding:
        return PlainBinding(session)
    if provider != CUDA:
        return ExactBinding(session)
    return BucketBinding(
        session,
        spec.inputs,
        BucketGrid(spec.max_seq_length, options.max_batch_tokens),
        pad_token_id=spec.pad_token_id,
        cuda_graph=options.cuda_graph,
    )
