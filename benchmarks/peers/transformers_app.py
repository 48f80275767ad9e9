"""FastAPI around transformers' own pipeline, in PyTorch.

Two things are not the pipeline's defaults, lest it does other work than the baseline. The window is
as long as the model takes, not 384 tokens, above which a text is cut in two; and a checkpoint that
is stored in half precision, as the embedded one, runs in fp32.
"""

from __future__ import annotations

from transformers import pipeline

from benchmarks.peers.qa_app import Pipeline, serve


def load(model: str, max_length: int) -> Pipeline:
    """The pipeline of a checkpoint."""
    made: Pipeline = pipeline(
        "question-answering", model=model, tokenizer=model, dtype="float32", max_seq_len=max_length
    )
    return made


if __name__ == "__main__":
    serve("transformers_app", load)
