"""A student or a teacher as the training loop runs it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from optimize.source import assembly
from optimize.source.checkpoint import Checkpoint
from optimize.source.family import QA_HEAD, Family, family_of
from optimize.training.batches import TrainingBatch
from optimize.training.losses import Outputs


@dataclass(frozen=True)
class Network:
    """A question answering module and its family."""

    module: nn.Module
    family: Family

    @classmethod
    def of(cls, source: Checkpoint, dropout: float = 0.0) -> Network:
        """The network of a checkpoint, in memory of its own.

        Args:
            source: Also one whose layers have sizes of their own.
            dropout: Instead of the configuration's, for hidden states and attention.

        Raises:
            SourceError: Weights and configuration do not belong together.
        """
        family, config = family_of(source.config), copy.deepcopy(source.config)
        for name in family.dropouts:
            setattr(config, name, dropout)
        layers = assembly.layer_shapes(source.state, source.config)
        state = {name: weight.clone() for name, weight in source.state.items()}
        return cls(assembly.build_module(state, config, layers), family)

    def freeze_embeddings(self) -> None:
        """Leaves word, position and type embeddings as they are, and their normalization."""
        embeddings = self.module.get_submodule(f"{self.family.base}.embeddings")
        embeddings.requires_grad_(False)

    def outputs(self, batch: TrainingBatch, *, hidden: bool, bf16: bool) -> Outputs:
        """Logits and hidden states; the logits in fp32, as bf16 knows one of ten to 0.03 only.

        Args:
            batch: With all inputs of the family.
            hidden: Whether hidden states are needed.
            bf16: Whether products before the logits are computed in bf16.
        """
        inputs = {name: batch.inputs[name] for name in self.family.inputs}
        with torch.autocast(batch.start.device.type, torch.bfloat16, enabled=bf16):
            encoder = self.module.get_submodule(self.family.base)
            encoded = encoder(**inputs, output_hidden_states=hidden)
        logits = self.module.get_submodule(QA_HEAD)(encoded.last_hidden_state.float())
        # The first hidden states are the embeddings'.
        states = tuple(encoded.hidden_states[1:]) if hidden else ()
        return Outputs(logits[..., 0], logits[..., 1], states)
