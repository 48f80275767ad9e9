"""Checkpoints of every family: random weights, and a tokenizer for the parity questions."""

from __future__ import annotations

from collections import Counter

import torch
from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertTokenizerFast,
    ElectraConfig,
    ElectraForQuestionAnswering,
    ElectraTokenizerFast,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaTokenizerFast,
)

from optimize.evaluation.parity import QUESTIONS

TEXTS = sorted({text for q in QUESTIONS for text in (q.question, q.context)})
LAYERS, HEADS, HEAD_SIZE, WIDTH = 3, 4, 8, 48
HIDDEN = HEADS * HEAD_SIZE
# What `mask` leaves of each layer.
KEPT_HEADS, KEPT_WIDTHS = (4, 1, 3), (48, 16, 40)
MAX_SEQ_LENGTH = 64
_VOCABULARY = 200

_SIZES = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": WIDTH,
    "max_position_embeddings": MAX_SEQ_LENGTH,
}
_DISTILBERT_SIZES = {
    "dim": HIDDEN,
    "n_heads": HEADS,
    "n_layers": LAYERS,
    "hidden_dim": WIDTH,
    "max_position_embeddings": MAX_SEQ_LENGTH,
}
# RoBERTa's positions begin after its padding token, 1.
_ROBERTA_SIZES = _SIZES | {
    "max_position_embeddings": MAX_SEQ_LENGTH + 2,
    "pad_token_id": 1,
    "type_vocab_size": 1,
}
_ELECTRA = (ElectraConfig, ElectraForQuestionAnswering, ElectraTokenizerFast)
_KINDS = {
    "bert": (BertConfig, BertForQuestionAnswering, BertTokenizerFast, _SIZES),
    "electra": (*_ELECTRA, _SIZES | {"embedding_size": HIDDEN}),
    "electra-projected": (*_ELECTRA, _SIZES | {"embedding_size": 16}),
    "roberta": (RobertaConfig, RobertaForQuestionAnswering, RobertaTokenizerFast, _ROBERTA_SIZES),
    "distilbert": (
        DistilBertConfig,
        DistilBertForQuestionAnswering,
        DistilBertTokenizerFast,
        _DISTILBERT_SIZES,
    ),
}
KINDS = tuple(_KINDS)


def write(kind, folder, *, change=None, **config):
    """Writes a checkpoint as transformers would; returns its folder.

    Args:
        kind: One of KINDS.
        folder: A new folder.
        change: Called with the model before it is saved.
        config: Further settings of the configuration.
    """
    tokenizer_class = _KINDS[kind][2]
    tokenizer = (_byte_level if kind == "roberta" else _word_piece)(tokenizer_class)
    model = network(kind, vocab_size=len(tokenizer), **config)
    if change:
        change(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def network(kind, seed=0, **config):
    """A random model, with weights large enough for logits that tell tokens apart."""
    config_class, model_class, _, sizes = _KINDS[kind]
    model = model_class(config_class(**sizes | config)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
            if "norm.weight" in name.lower():
                weight += 1
    return model


def linears(model):
    """The linear layers of every layer: query, key, value, output, inner, outer."""
    if model.config.model_type == "distilbert":
        return [
            (
                *(layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin),
                *(layer.attention.out_lin, layer.ffn.lin1, layer.ffn.lin2),
            )
            for layer in model.distilbert.transformer.layer
        ]
    return [
        (
            *(layer.attention.self.query, layer.attention.self.key, layer.attention.self.value),
            *(layer.attention.output.dense, layer.intermediate.dense, layer.output.dense),
        )
        for layer in model.base_model.encoder.layer
    ]


@torch.no_grad()
def mask(model):
    """Zeroes heads and neurons, in every way that counts, so that KEPT_… are left."""
    for index, (_, _, value, output, inner, outer) in enumerate(linears(model)):
        for head in range(KEPT_HEADS[index], HEADS):
            rows = torch.arange(HEAD_SIZE * head, HEAD_SIZE * (head + 1))
            by_value, by_output = (rows, rows[:0]) if head == 1 else (rows[:3], rows[3:])
            value.weight[by_value] = 0
            output.weight[:, by_output] = 0
        for neuron in range(WIDTH - KEPT_WIDTHS[index]):
            if neuron % 2:
                inner.weight[neuron] = 0
            else:
                outer.weight[:, neuron] = 0


def prune(model):
    """Removes heads physically, as transformers 4 does."""
    model.prune_heads({0: [1], 2: [0, 3]})


def _word_piece(tokenizer_class):
    # Not trained: the library's training breaks ties by chance, anew in every process.
    normalizer = normalizers.BertNormalizer(lowercase=True)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = [
        word
        for text in TEXTS
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
    ]
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    counts = Counter(
        "##" * bool(start) + word[start : start + 3]
        for word in words
        for start in range(0, len(word), 3)
    )
    frequent = sorted(counts.keys() - {*pieces}, key=lambda piece: (-counts[piece], piece))
    pieces += frequent[: _VOCABULARY - len(pieces)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer_class(tokenizer_object=tokenizer)


def _byte_level(tokenizer_class):
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        TEXTS, vocab_size=400, special_tokens=special, show_progress=False
    )
    tokenizer.post_processor = RobertaProcessing(sep=("</s>", 2), cls=("<s>", 0))
    return tokenizer_class(tokenizer_object=tokenizer._tokenizer)
