"""`python -m benchmarks.engine.own FOLDER`: measures one of our artifacts as it is served."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.engine.worker import Talk
from predictor.artifact import read_spec
from predictor.engine import Engine
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU


def main(folder: Path) -> None:
    """Loads, warms up and answers."""
    talk = Talk()
    runtime, session = {
        "onnx": ("onnxruntime", "ort"),
        "torch": ("torch", "torch"),
    }[read_spec(folder).format]
    engine = Engine.load(folder, session=session, options=SessionOptions(CPU))
    engine.warm_up()
    talk.serve(engine, {runtime: version(runtime)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
