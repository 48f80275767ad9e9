"""FastAPI around transformers' pipeline with optimum's OpenVINO model in PyTorch's place.

The checkpoint is converted when the app starts; precision and hints are what OpenVINO chooses. The
window is as in transformers_app.
"""

from __future__ import annotations

from optimum.intel import OVModelForQuestionAnswering
from transformers import AutoTokenizer, pipeline

from benchmarks.peers.qa_app import Pipeline, serve


def load(model: str, max_length: int) -> Pipeline:
    """The pipeline of a checkpoint."""
    made: Pipeline = pipeline(
        "question-answering",
        model=OVModelForQuestionAnswering.from_pretrained(model, export=True),
        tokenizer=AutoTokenizer.from_pretrained(model),
        max_seq_len=max_length,
    )
    return made


if __name__ == "__main__":
    serve("openvino_app", load)
