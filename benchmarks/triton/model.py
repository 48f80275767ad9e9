"""A model for Triton's Python backend that runs `model.onnx` of its version's folder.

Triton loads this file in an environment of its own; nothing of Spanserve is there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What the backend looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the graph; tensor names are those of config.pbtxt."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ["ONNX_THREADS"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        folder = Path(args["model_repository"], args["model_version"])
        self._session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        config = json.loads(args["model_config"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers requests that Triton gives together, all of one length, from one run."""
        columns = [
            [triton.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self._inputs
        ]
        inputs = dict(zip(self._inputs, map(np.concatenate, columns), strict=True))
        ends = np.cumsum([len(rows) for rows in columns[0]])
        outputs = [np.split(o, ends[:-1]) for o in self._session.run(self._outputs, inputs)]
        return [
            triton.InferenceResponse(
                [triton.Tensor(n, part) for n, part in zip(self._outputs, parts, strict=True)]
            )
            for parts in zip(*outputs, strict=True)
        ]
