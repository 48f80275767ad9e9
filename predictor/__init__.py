"""The served image: tokenization, ONNX Runtime inference and span extraction behind KServe."""

__version__ = "0.1.0"
