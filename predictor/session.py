"""Runs the model: the Session protocol, ONNX Runtime behind it, and a fake for tests."""

from __future__ import annotations

import contextlib
import importlib
import logging
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime as ort

from predictor import cuda
from predictor.artifact import MODEL_FILES, ArtifactSpec
from predictor.batch_plan import ALONE
from predictor.binding import Binding, BucketBinding, ExactBinding, PlainBinding
from predictor.bucket_grid import BucketGrid
from predictor.errors import ArtifactError, StartupError
from predictor.types import Batch, Logits

logger = logging.getLogger(__name__)

ORT_SESSION = "predictor.session:OrtSession"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
MAX_BATCH_TOKENS = 4096
_CPU_OVERHEAD_TOKENS = 8
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
# Part of every message with which ONNX Runtime refuses to capture a model.
_GRAPH_REFUSED = "graph capture feature"


@dataclass(frozen=True, slots=True)
class Remote:
    """A model that another server runs.

    Attributes:
        url: Its `host:port`; empty where there is none.
        model: Its name there; empty for the artifact's own.
        timeout: Seconds that one run may take.
        start_seconds: Seconds to wait at the start for it to be ready.
    """

    url: str = ""
    model: str = ""
    timeout: float = 30.0
    start_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session runs its model.

    Attributes:
        provider: An execution provider's name, or `auto`.
        threads: Threads for one run.
        io_binding: Whether inputs and outputs are bound in place; the tables compare both.
        cuda_graph: Whether a CUDA provider replays captured graphs; needs `io_binding`.
        max_batch_tokens: Rows × longest of the largest batch that will come; 0 for as large as
            pays on the provider.
        remote: Where a session finds its model that runs it elsewhere.
    """

    provider: str = "auto"
    threads: int = 1
    io_binding: bool = True
    cuda_graph: bool = True
    max_batch_tokens: int = 0
    remote: Remote = Remote()


class Session(Protocol):
    """A loaded model: a ready batch in, logits out. Called from one thread at a time.

    Attributes:
        provider: The execution provider that runs the model.
        run_overhead_tokens: How many tokens cost as much to compute as starting a run does;
            what padding is weighed against when features are grouped.
        max_batch_tokens: Rows × longest of the largest batch that may come.
    """

    provider: str
    run_overhead_tokens: int
    max_batch_tokens: int

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


@runtime_checkable
class WarmsUp(Protocol):
    """A session with more to prepare than a first run does, on the thread that will run it."""

    def warm_up(self) -> None:
        """Prepares all shapes that can come; raises StartupError."""


@runtime_checkable
class DependsOnRemote(Protocol):
    """A session that can run nothing while another server is away."""

    def ready(self) -> bool:
        """Whether that server has the model ready, asked now; from any thread, within a second."""


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
        session = _load(folder / MODEL_FILES["onnx"], wanted, options)
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


def _load(model: Path, provider: str, options: SessionOptions) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    # Threads that spin between runs take time slices from the tokenizer, from other pods and,
    # under a CPU quota, from the next run.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3
    providers: list[Any] = [provider] if provider == CPU else [provider, CPU]
    if provider == CUDA:
        cuda.load_libraries()
        cuda_graph = options.cuda_graph and options.io_binding
        providers[0] = (CUDA, cuda.provider_options(cuda_graph=cuda_graph))
    try:
        # Without a fallback of ONNX Runtime's own, which would hide the error.
        return ort.InferenceSession(str(model), settings, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        if _GRAPH_REFUSED in str(error):
            raise StartupError(
                f"{model}: not every operator runs on the GPU, so there can be no CUDA graph; "
                f"start with --cuda_graph off ({error})"
            ) from error
        raise StartupError(f"{model}: ONNX Runtime cannot load it: {error}") from error


def run_overhead_tokens(provider: str, spec: ArtifactSpec, max_batch_tokens: int) -> int:
    """How many tokens cost as much as starting a run does; see Session."""
    if provider == CUDA:
        return max_batch_tokens  # it is busy with starting kernels until the budget is reached
    # Dynamic quantization takes an activation's range over the batch: in company an answer would
    # be another one, and on a CPU company gains next to nothing.
    return ALONE if spec.precision == "int8" else _CPU_OVERHEAD_TOKENS


def cpu_batch_tokens(threads: int) -> int:
    """Above so many tokens a batch on a CPU is no cheaper than its features one by one."""
    return min(256 * threads, MAX_BATCH_TOKENS)


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


class FakeSession:
    """Deterministic logits from the token ids alone: lets the server be tested without a model."""

    provider = "fake"
    run_overhead_tokens = 16

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Takes what every Session takes, and needs little of it."""
        self.max_batch_tokens = options.max_batch_tokens or MAX_BATCH_TOKENS

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
