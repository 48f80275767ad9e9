"""FastAPI around transformers' pipeline with optimum's ONNX Runtime model in PyTorch's place.

The checkpoint is exported when the app starts. The window is as in transformers_app.
"""

from __future__ import annotations

from optimum.onnxruntime import ORTModelForQuestionAnswering
from transformers import AutoTokenizer, pipeline

from benchmarks.peers.qa_app import Pipeline, serve


def load(model: str, max_length: int) -> Pipeline:
    """The pipeline of a checkpoint."""
    made: Pipeline = pipeline(
        "question-answering",
        model=ORTModelForQuestionAnswering.from_pretrained(model, export=True),
        tokenizer=AutoTokenizer.from_pretrained(model),
        max_seq_len=max_length,
    )
    return made


if __name__ == "__main__":
    serve("optimum_app", load)
