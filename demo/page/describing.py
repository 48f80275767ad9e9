"""What a model says of itself: its V2 metadata and its artifact."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from demo.page.asking import AskError, Model

_ENGINES = {"pytorch_safetensors": "PyTorch", "onnxruntime_onnx": "ONNX Runtime"}
_MODEL_FILES = ("model.onnx", "model.safetensors")


@dataclass(frozen=True)
class Description:
    """A served model; what it does not tell is None or empty.

    Attributes:
        engine: What runs it.
        version, build_id: Of the artifact.
        density: Share of the encoder's linear weights that were kept.
        model_bytes: Size of the model file.
        f1: In percent, on the questions of `dataset`.
        report: The journey's, as `report.json` has it.
    """

    engine: str
    version: str
    build_id: str = ""
    precision: str = ""
    density: float | None = None
    model_bytes: int | None = None
    f1: float | None = None
    dataset: str = ""
    report: dict[str, Any] = field(default_factory=dict)


class Catalogue:
    """The models' descriptions, asked for once each version."""

    def __init__(self, models: list[Model]) -> None:
        """Takes the models in the order of the page."""
        self._models = models
        self._known: dict[int, Description] = {}

    async def all(self) -> list[Description | None]:
        """Every model's description, asked anew; the last one of a model that is away, or None."""
        found = await asyncio.gather(*(describe(model) for model in self._models))
        for place, description in enumerate(found):
            if description:
                self._known[place] = description
        return self.known()

    def known(self) -> list[Description | None]:
        """What is known already, with no call."""
        return [self._known.get(place) for place in range(len(self._models))]

    async def of(self, place: int, version: str) -> Description | None:
        """The description of a model that has just answered as this version."""
        known = self._known.get(place)
        if known is None or (version and known.version != version):
            known = await describe(self._models[place])
            if known:
                self._known[place] = known
        return known


async def describe(model: Model) -> Description | None:
    """Asks a model what it is; None where it does not say."""
    try:
        metadata = await model.get()
    except AskError:
        return None
    try:
        artifact = await model.get("/artifact")
    except AskError:
        artifact = {}  # another server of the protocol has none
    platform = str(metadata.get("platform", ""))
    versions = metadata.get("versions")
    version = str(versions[0]) if isinstance(versions, list) and versions else ""
    engine = _ENGINES.get(platform, platform)
    spec = _object(artifact, "artifact")
    figures = _object(spec, "figures")
    sizes = [_object(_object(spec, "files"), name).get("size") for name in _MODEL_FILES]
    f1 = figures.get("f1")
    density = spec.get("density")
    return Description(
        engine,
        version,
        build_id=str(spec.get("build_id", "")),
        precision=str(spec.get("precision", "")),
        density=float(density) if isinstance(density, int | float) else None,
        model_bytes=next((size for size in sizes if isinstance(size, int)), None),
        f1=float(f1) if isinstance(f1, int | float) else None,
        dataset=str(figures.get("dataset") or ""),
        report=_object(artifact, "report"),
    )


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return found if isinstance(found, dict) else {}
