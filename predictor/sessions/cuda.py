"""What only CUDA needs: its libraries, the execution provider's options, and pinned memory."""

from __future__ import annotations

import ctypes
import logging
import math
import mmap
import weakref
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from predictor.types import IntArray

logger = logging.getLogger(__name__)

# The provider's bits: flash 1, memory-efficient 2, TensorRT fused 4, cuDNN 8, unfused 16, TensorRT
# flash 32. All of them: left to itself ONNX Runtime leaves cuDNN's out in some versions, and on
# compute capability 9 cuDNN's is the only fused one that takes a mask of lengths.
_SDPA_KERNELS = 1 | 2 | 4 | 8 | 16 | 32
_CUDNN = "libcudnn.so.9"
_CUDART = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")


def load_libraries() -> None:
    """Loads CUDA and cuDNN from NVIDIA's Python packages, where ONNX Runtime would not look."""
    ort.preload_dlls()
    try:
        ctypes.CDLL(_CUDNN)
    except OSError:
        # ONNX Runtime itself says nothing, and is slower.
        logger.warning("%s is not found: attention will not run fused on every GPU", _CUDNN)


def provider_options(*, cuda_graph: bool) -> dict[str, str]:
    """Options of the CUDA execution provider."""
    return {
        "device_id": "0",
        "enable_cuda_graph": str(int(cuda_graph)),
        # Buckets come largest first, so that doubling would only waste memory.
        "arena_extend_strategy": "kSameAsRequested",
        "sdpa_kernel": str(_SDPA_KERNELS),
    }


def cuda_runtime() -> ctypes.CDLL | None:
    """The CUDA runtime library, or None; found where ONNX Runtime has loaded it already."""
    for name in _CUDART:
        try:
            runtime = ctypes.CDLL(name)
        except OSError:
            continue
        runtime.cudaHostRegister.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
        runtime.cudaHostUnregister.argtypes = (ctypes.c_void_p,)
        return runtime
    return None


def host_array(shape: Sequence[int], runtime: ctypes.CDLL | None) -> tuple[IntArray, bool]:
    """An int64 array of zeros on pages of its own, pinned where that works.

    Args:
        shape: Of the array.
        runtime: What to pin with; None for ordinary memory.

    Returns:
        The array, and whether copies from it need no detour through the driver's own buffer.
    """
    size = math.prod(shape) * np.dtype(np.int64).itemsize
    # Pages can be pinned once only, so that two arrays must not share one.
    whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    owner = np.zeros(whole + mmap.PAGESIZE, dtype=np.uint8)
    first = -owner.ctypes.data % mmap.PAGESIZE
    array = owner[first : first + size].view(np.int64).reshape(shape)
    return array, runtime is not None and _pin(owner, owner.ctypes.data + first, whole, runtime)


def _pin(owner: np.ndarray, address: int, size: int, runtime: ctypes.CDLL) -> bool:
    status = runtime.cudaHostRegister(address, size, 0)
    if status != 0:
        # Read away, or ONNX Runtime would take it for an error of its next kernel.
        runtime.cudaGetLastError()
        logger.info("the CUDA runtime does not pin memory (error %d)", status)
        return False
    # Before the pages go back to the system; at exit CUDA may be gone before us.
    weakref.finalize(owner, runtime.cudaHostUnregister, address).atexit = False
    return True
