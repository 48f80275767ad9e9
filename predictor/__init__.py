"""The served image: tokenization, ONNX Runtime inference and span extraction behind KServe."""
