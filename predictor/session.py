"""Runs the model: the Session protocol, ONNX Runtime behind it, and a fake for tests."""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime as ort

from predictor.artifact import MODEL_FILES, ArtifactSpec
from predictor.errors import ArtifactError, StartupError
from predictor.types import Batch, Logits

logger = logging.getLogger(__name__)

ORT_SESSION = "predictor.session:OrtSession"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
OUTPUTS = ("start_logits", "end_logits")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session runs its model.

    Attributes:
        provider: An execution provider's name, or `auto`.
        threads: Threads for one run.
        io_binding: Whether inputs and outputs are bound in place; the tables compare both.
        max_batch_tokens: Rows × longest of the largest batch that will come.
    """

    provider: str = "auto"
    threads: int = 1
    io_binding: bool = True
    max_batch_tokens: int = 4096


class Session(Protocol):
    """A loaded model: a ready batch in, logits out. Called from one thread at a time.

    Attributes:
        provider: The execution provider that runs the model.
        run_overhead_tokens: How many tokens cost as much to compute as starting a run does;
            what padding is weighed against when features are grouped.
    """

    provider: str
    run_overhead_tokens: int

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Loads the model of a verified folder.

        Args:
            spec: The folder's `artifact.json`.
            folder: Where the model file lies.
            options: How to run it.

        Raises:
            StartupError: The model cannot be loaded, or not on that provider.
        """

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""


def load_session(name: str, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> Session:
    """Makes a Session from its dotted name, `package.module:Class`.

    Raises:
        StartupError: There is no such class, or it cannot load the model.
    """
    module, _, attribute = name.partition(":")
    try:
        session_class = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartupError(f"session {name!r} cannot be imported: {error}") from error
    session: Session = session_class(spec, folder, options)
    return session


class OrtSession:
    """ONNX Runtime through IOBinding: inputs are read and logits written in place."""

    run_overhead_tokens = 16

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """See Session."""
        if spec.format != "onnx":
            raise ArtifactError(
                f"{folder}: format {spec.format} is not for ONNX Runtime; "
                "choose a session for it with --session"
            )
        check_one_runtime()
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        # Threads that spin between runs take time slices from the tokenizer, from other pods and,
        # under a CPU quota, from the next run.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 3
        model = folder / MODEL_FILES["onnx"]
        wanted = choose_provider(options.provider, spec.target)
        try:
            self._session = ort.InferenceSession(
                str(model), settings, providers=[wanted] if wanted == CPU else [wanted, CPU]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise StartupError(f"{model}: ONNX Runtime cannot load it: {error}") from error
        self.provider: str = self._session.get_providers()[0]
        if self.provider != wanted:
            raise StartupError(f"{wanted} was chosen but could not be started; see the log above")
        names = tuple(node.name for node in self._session.get_inputs())
        if set(names) != set(spec.inputs):
            raise ArtifactError(f"{model}: inputs {names} differ from {spec.inputs} in its spec")
        # A binding must not be shared between threads.
        self._local = threading.local()

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""
        binding = self._own_binding()
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        for name, array in batch.items():
            binding.bind_input(name, "cpu", 0, np.int64, array.shape, array.ctypes.data)
        shape = next(iter(batch.values())).shape
        logits = Logits(*(np.empty(shape, dtype=np.float32) for _ in OUTPUTS))
        for name, out in zip(OUTPUTS, logits, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, shape, out.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

    def _own_binding(self) -> ort.IOBinding:
        binding = getattr(self._local, "binding", None)
        if binding is None:
            binding = self._local.binding = self._session.io_binding()
        return binding


class FakeSession:
    """Deterministic logits from the token ids alone: lets the server be tested without a model."""

    provider = "fake"
    run_overhead_tokens = 16

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Takes what every Session takes, and needs none of it."""

    def run(self, batch: Batch) -> Logits:
        """Logits in [0, 1), larger where a token's id times a constant wraps further."""
        ids = batch["input_ids"].astype(np.uint64)
        start = (ids * np.uint64(2654435761) % np.uint64(2**32)) / 2**32
        end = (ids * np.uint64(2246822519) % np.uint64(2**32)) / 2**32
        return Logits(start.astype(np.float32), end.astype(np.float32))


def check_one_runtime() -> None:
    """Raises StartupError where CPU and GPU builds are both installed: the later one overwrote."""
    installed = installed_runtimes()
    if len(installed) > 1:
        raise StartupError(
            f"{' and '.join(installed)} overwrite each other's files; "
            "uninstall both, then install the extra cpu or gpu, not both"
        )


def installed_runtimes() -> dict[str, str]:
    """The installed builds of ONNX Runtime and their versions."""
    versions = {}
    for name in _RUNTIMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def choose_provider(asked: str, target: str) -> str:
    """The execution provider to use: the one asked for, or for `auto` the best one available.

    Raises:
        StartupError: It is not part of the installed ONNX Runtime.
    """
    available = ort.get_available_providers()
    if asked != "auto":
        if asked not in available:
            raise StartupError(f"{asked} is not available here; there are {', '.join(available)}")
        return asked
    if target == "cuda" and CUDA not in available:
        logger.warning(
            "this artifact is made for %s, which is absent: falling back to %s", CUDA, CPU
        )
    return CUDA if target == "cuda" and CUDA in available else CPU
