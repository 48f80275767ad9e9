"""torch → ONNX, with optimum's TorchScript exporter, the one whose graphs fuse."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

from optimum.exporters.onnx import onnx_export_from_model
from torch import nn

from optimize.memory import freed_afterwards


@freed_afterwards
def export(module: nn.Module, path: Path, *, opset: int) -> None:
    """Writes `model.onnx`: int64 (batch, seq) inputs, fp32 (batch, seq) logits, both axes free.

    Args:
        module: A question answering module, its layers of any size.
        path: The file to write.
        opset: ONNX opset.
    """
    with TemporaryDirectory(dir=path.parent) as scratch, warnings.catch_warnings():
        # Tracing warns of every shape it turns into a constant; parity is checked afterwards.
        warnings.simplefilter("ignore")
        logging.getLogger("optimum").setLevel(logging.ERROR)
        onnx_export_from_model(
            module,
            output=Path(scratch),
            task="question-answering",
            opset=opset,
            do_validation=False,
        )
        (Path(scratch) / "model.onnx").replace(path)
