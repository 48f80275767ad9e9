"""The PyTorch baseline behind the predictor's Session protocol."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from optimize.source.assembly import build_module
from predictor.artifact import CONFIG_FILE, MODEL_FILES, ArtifactSpec
from predictor.errors import ArtifactError, StartupError
from predictor.sessions.protocol import MAX_BATCH_TOKENS, SessionOptions
from predictor.types import Batch, Logits


class TorchSession:
    """Runs `model.safetensors` eagerly, as a service without any optimization would."""

    def __init__(self, spec: ArtifactSpec, folder: Path, options: SessionOptions) -> None:
        """Loads the module; see predictor.sessions.protocol.Session."""
        if spec.format != "torch":
            raise ArtifactError(f"{folder}: format {spec.format} is not for the torch session")
        cuda = torch.cuda.is_available()
        if options.provider == "CUDAExecutionProvider" and not cuda:
            raise StartupError("torch sees no CUDA device")
        cpu_only = options.provider == "CPUExecutionProvider" or spec.target == "cpu"
        self._device = torch.device("cpu" if cpu_only or not cuda else "cuda")
        # A GPU is busy with starting kernels until the budget is reached.
        self.max_batch_tokens = options.max_batch_tokens or MAX_BATCH_TOKENS
        self.run_overhead_tokens = 64 if self._device.type == "cpu" else self.max_batch_tokens
        self.provider = f"{self._device.type.upper()}ExecutionProvider"
        torch.set_num_threads(options.threads)
        state = load_file(folder / MODEL_FILES["torch"])
        config = AutoConfig.from_pretrained(folder / CONFIG_FILE)
        dtype = torch.float16 if spec.precision == "fp16" else torch.float32
        self._module = build_module(state, config, spec.layers).to(self._device, dtype)

    def run(self, batch: Batch) -> Logits:
        """Start and end logits, float32 (rows, longest)."""
        with torch.inference_mode():
            inputs = {
                name: torch.from_numpy(array).to(self._device) for name, array in batch.items()
            }
            output = self._module(**inputs)
        return Logits(
            output.start_logits.float().cpu().numpy(), output.end_logits.float().cpu().numpy()
        )
