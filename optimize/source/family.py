"""What differs between the encoder families: names, inputs, positions and fused operators.

All of them are the same transformer. A family that is not in the table is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from transformers import (
    BertForQuestionAnswering,
    DistilBertForQuestionAnswering,
    ElectraForQuestionAnswering,
    PreTrainedModel,
    RobertaForQuestionAnswering,
)
from transformers.activations import ACT2FN

from optimize.errors import SourceError

Input = Literal["input_ids", "attention_mask", "token_type_ids"]

QA_HEAD = "qa_outputs"

# The operator that ONNX Runtime makes of an activation and the bias before it. It fuses no other.
_FUSED_ACTIVATIONS = {
    "gelu": "BiasGelu",
    "gelu_python": "BiasGelu",
    "gelu_new": "FastGelu",
    "gelu_fast": "FastGelu",
    "gelu_pytorch_tanh": "FastGelu",
}


@dataclass(frozen=True)
class Family:
    """One architecture, as transformers names its parts.

    Attributes:
        model_class: The question answering model.
        base: Prefix of every weight but the question answering head's.
        layers: The list of layers, below `base`.
        query, key, value, attention_output, inner, outer: The linear layers, below a layer.
        heads, attention_width: Attributes of a layer that hold its heads, and their total width.
        inputs: What the model is fed, in order.
        feed_forward, activation: The configuration's names for them.
        dropouts: The configuration's names for them, of hidden states and of attention.
        embedding_operator: What ONNX Runtime makes of the embeddings and their normalization.
        positions_follow_pad: Whether the first position is pad_token_id + 1, and padding has none.
    """

    model_class: type[PreTrainedModel]
    base: str
    layers: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_output: str = "attention.output.dense"
    inner: str = "intermediate.dense"
    outer: str = "output.dense"
    heads: str = "attention.self.num_attention_heads"
    attention_width: str = "attention.self.all_head_size"
    inputs: tuple[Input, ...] = ("input_ids", "attention_mask", "token_type_ids")
    feed_forward: str = "intermediate_size"
    activation: str = "hidden_act"
    dropouts: tuple[str, str] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    embedding_operator: str = "EmbedLayerNormalization"
    positions_follow_pad: bool = False

    def layer(self, index: int) -> str:
        """Prefix of a layer's weights, with its dot."""
        return f"{self.base}.{self.layers}.{index}."

    def owns(self, weight: str) -> bool:
        """Whether question answering uses a weight of this name; pooler and LM heads it does not.

        The projection is ELECTRA's, from embeddings that are narrower than the layers.
        """
        parts = ("embeddings", "embeddings_project", self.layers)
        prefixes = (f"{QA_HEAD}.", *(f"{self.base}.{part}." for part in parts))
        return weight.startswith(prefixes) and not weight.endswith(
            ("position_ids", "token_type_ids")
        )

    def longest(self, config: Any) -> int:
        """Most tokens of a sequence: rows of the position table that are a token's."""
        rows = int(config.max_position_embeddings)
        return rows - config.pad_token_id - 1 if self.positions_follow_pad else rows

    def activation_function(self, config: Any) -> Any:
        """The feed-forward activation, tensor → tensor; raises SourceError for an unknown name."""
        name = getattr(config, self.activation)
        try:
            return ACT2FN[name]
        except KeyError as error:
            raise SourceError(f"config.json: activation {name!r} is not known") from error

    def fused_operators(self, config: Any, target: str) -> dict[str, int]:
        """How many of each operator a graph has that is fully fused for a target, cpu or cuda."""
        layers = config.num_hidden_layers
        norm = "SkipLayerNormalization" if target == "cuda" else "LayerNormalization"
        operators = {self.embedding_operator: 1, "Attention": layers}
        operators[norm] = operators.get(norm, 0) + 2 * layers
        activation = _FUSED_ACTIVATIONS.get(getattr(config, self.activation))
        return operators | ({activation: layers} if activation else {})


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "bert": Family(BertForQuestionAnswering, "bert"),
        "electra": Family(ElectraForQuestionAnswering, "electra"),
        "roberta": Family(
            RobertaForQuestionAnswering,
            "roberta",
            inputs=("input_ids", "attention_mask"),
            # EmbedLayerNormalization numbers positions from zero, so it cannot take these.
            embedding_operator="LayerNormalization",
            positions_follow_pad=True,
        ),
        "distilbert": Family(
            DistilBertForQuestionAnswering,
            "distilbert",
            layers="transformer.layer",
            query="attention.q_lin",
            key="attention.k_lin",
            value="attention.v_lin",
            attention_output="attention.out_lin",
            inner="ffn.lin1",
            outer="ffn.lin2",
            heads="attention.n_heads",
            attention_width="attention.dim",
            inputs=("input_ids", "attention_mask"),
            feed_forward="hidden_dim",
            activation="activation",
            dropouts=("dropout", "attention_dropout"),
        ),
    }
)


def family_of(config: Any) -> Family:
    """The family of a configuration; raises SourceError for one that is not supported."""
    try:
        return FAMILIES[config.model_type]
    except KeyError as error:
        raise SourceError(
            f"model type {config.model_type!r} is not supported; "
            f"supported are {', '.join(FAMILIES)}"
        ) from error
