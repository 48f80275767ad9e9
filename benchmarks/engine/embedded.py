"""`python -m benchmarks.engine.embedded FOLDER`: the steps of the embedded pruned model.

`onnx`, as exported; `graph` and `int8`, as built for a CPU; and `before/graph`, whose sums and
normalizations are one operator, as graphs for a CPU had them once.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from demo.building import PRUNED
from optimize.graph.quantize import Variant
from optimize.recipe import Recipe
from optimize.steps import Artifact, StepBuilder


def main(folder: Path) -> None:
    """Builds them."""
    (folder / "before").mkdir(parents=True)
    recipe = Recipe(model=str(PRUNED), output=folder)
    builder = StepBuilder(recipe, None, folder)
    onnx = builder.onnx(Artifact.read(PRUNED))
    builder.int8(Variant(), builder.graph(onnx))
    for_cuda = replace(onnx, spec=onnx.spec.model_copy(update={"target": "cuda"}))
    StepBuilder(recipe, None, folder / "before").graph(for_cuda)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
