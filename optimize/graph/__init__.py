"""ONNX graphs: exported, fused, and in fewer bits."""
