"""Ways to run a ready batch on an ONNX Runtime session: exact shapes, plain feeds, or buckets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from predictor.errors import StartupError
from predictor.sessions import cuda
from predictor.sessions.bucket_grid import Bucket, BucketGrid
from predictor.types import Batch, IntArray, Logits

logger = logging.getLogger(__name__)

OUTPUTS = ("start_logits", "end_logits")
MASK = "attention_mask"
# ONNX Runtime's own word for a run outside of any CUDA graph.
_NO_GRAPH = -1
# Tensors that share a buffer start at multiples of this many elements, as kernels that read many
# at once want it.
_ALIGNED = 64


class Binding(Protocol):
    """Runs batches; the arrays it returns are fresh and belong to the caller."""

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""


class PlainBinding:
    """`session.run`: ONNX Runtime copies what goes in and allocates what comes out."""

    def __init__(self, session: ort.InferenceSession) -> None:
        """Takes the session to run on."""
        self._session = session

    def run(self, batch: Batch) -> Logits:
        """See Binding."""
        return Logits(*self._session.run(list(OUTPUTS), batch))


class ExactBinding:
    """IOBinding in the batch's own shape: inputs are read and logits written in place."""

    def __init__(self, session: ort.InferenceSession) -> None:
        """Takes the session to run on."""
        self._session = session
        # A binding must not be shared between threads.
        self._local = threading.local()

    def run(self, batch: Batch) -> Logits:
        """See Binding."""
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


@dataclass(frozen=True)
class _Ready:
    """A bucket with all that its runs reuse.

    Attributes:
        staging: int64 (inputs, stride), the inputs on the host one after the other.
        staged: Input name → int64 (rows, length), views of `staging`.
        inputs, outputs: OrtValues (inputs, stride) and float32 (outputs, stride) on the device:
            one copy there and one copy back.
        options: Names the bucket's CUDA graph.
    """

    staging: IntArray
    staged: dict[str, IntArray]
    inputs: Any
    outputs: Any
    binding: Any
    options: Any


class BucketBinding:
    """IOBinding on fixed buffers: a batch is padded to its bucket, and nothing is allocated.

    Buffers stay where they are, which is what a CUDA graph needs. Graphs belong to the thread that
    captured them, so `warm_up` and `run` are for one and the same thread.

    Attributes:
        pinned: Whether the host's side of every buffer so far is pinned.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Sequence[str],
        grid: BucketGrid,
        *,
        pad_token_id: int,
        device: str = "cuda",
        cuda_graph: bool = False,
    ) -> None:
        """Allocates nothing yet.

        Args:
            session: The session to run on; with `cuda_graph`, one with `enable_cuda_graph`.
            inputs: The model's inputs; the attention mask must be among them.
            grid: The buckets.
            pad_token_id: What `input_ids` are padded with.
            device: Where the buffers are: cuda, or cpu.
            cuda_graph: Whether each bucket has a CUDA graph.

        Raises:
            StartupError: The model takes no mask, so that padding would change its answers.
        """
        if MASK not in inputs:
            raise StartupError(f"a model without the input {MASK} cannot be padded")
        self._session = session
        self._grid = grid
        self._blank = {name: pad_token_id if name == "input_ids" else 0 for name in inputs}
        self._device = device
        self._cuda_graph = cuda_graph
        self._cudart = cuda.cuda_runtime() if device == "cuda" else None
        self._ready: dict[Bucket, _Ready] = {}
        self.pinned = True

    def warm_up(self) -> None:
        """Allocates and runs every bucket, largest first; captures the graphs.

        Raises:
            StartupError: A bucket does not run, for want of memory or because of its graph.
        """
        started = time.perf_counter()
        buckets = self._grid.buckets
        for bucket in buckets:
            batch = {name: np.ones((1, 1), dtype=np.int64) for name in self._blank}
            try:
                # The first run captures; the second shows that the graph can be replayed.
                for _ in range(2):
                    self._run(bucket, batch)
            except Exception as error:  # ONNX Runtime's exceptions have no common base
                raise StartupError(
                    f"{bucket.rows} × {bucket.length} tokens do not run on {self._device}: "
                    f"{error}; try a smaller --max_batch_tokens"
                    + (", or --cuda_graph off" if self._cuda_graph else "")
                ) from error
        logger.info(
            "%d shapes are ready in %.1f s: CUDA graphs %s, host memory %s",
            len(buckets),
            time.perf_counter() - started,
            "on" if self._cuda_graph else "off",
            "pinned" if self.pinned else "pageable",
        )

    def run(self, batch: Batch) -> Logits:
        """See Binding."""
        rows, longest = batch[MASK].shape
        most = self._grid.most_rows(longest)
        if rows <= most:
            return self._run(self._grid.fit(rows, longest), batch)
        parts = []
        for first in range(0, rows, most):
            part = {name: array[first : first + most] for name, array in batch.items()}
            parts.append(self._run(self._grid.fit(len(part[MASK]), longest), part))
        return Logits(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _run(self, bucket: Bucket, batch: Batch) -> Logits:
        ready = self._ready.get(bucket)
        if ready is None:
            ready = self._ready[bucket] = self._prepare(bucket)
        rows, longest = batch[MASK].shape
        for name, staged in ready.staged.items():
            staged.fill(self._blank[name])
            staged[:rows, :longest] = batch[name]
        # A row without any token to attend to would be all NaN.
        ready.staged[MASK][rows:, 0] = 1
        ready.inputs.update_inplace(ready.staging)
        self._session.run_with_iobinding(ready.binding, ready.options)
        planes = _planes(ready.outputs.numpy(), bucket)
        return Logits(*(plane[:rows, :longest].copy() for plane in planes))

    def _prepare(self, bucket: Bucket) -> _Ready:
        shape = (bucket.rows, bucket.length)
        stride = -(-bucket.tokens // _ALIGNED) * _ALIGNED
        names = tuple(self._blank)
        staging, pinned = cuda.host_array((len(names), stride), self._cudart)
        self.pinned = self.pinned and pinned
        binding = self._session.io_binding()
        inputs = self._device_array((len(names), stride), np.int64)
        outputs = self._device_array((len(OUTPUTS), stride), np.float32)
        for index, name in enumerate(names):
            address = inputs.data_ptr() + index * stride * np.dtype(np.int64).itemsize
            binding.bind_input(name, self._device, 0, np.int64, shape, address)
        for index, name in enumerate(OUTPUTS):
            address = outputs.data_ptr() + index * stride * np.dtype(np.float32).itemsize
            binding.bind_output(name, self._device, 0, np.float32, shape, address)
        staged = dict(zip(names, _planes(staging, bucket), strict=True))
        options = ort.RunOptions()
        # Zero is what runs without an identifier use.
        graph = len(self._ready) + 1 if self._cuda_graph else _NO_GRAPH
        options.add_run_config_entry("gpu_graph_id", str(graph))
        return _Ready(staging, staged, inputs, outputs, binding, options)

    def _device_array(self, shape: tuple[int, int], kind: type[np.generic]) -> Any:
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, kind, self._device, 0)


def _planes(block: NDArray[Any], bucket: Bucket) -> NDArray[Any]:
    """Views (tensors, rows, length) of (tensors, stride)."""
    return block[:, : bucket.tokens].reshape(len(block), bucket.rows, bucket.length)
