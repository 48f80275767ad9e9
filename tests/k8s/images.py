"""The images that manifests may name, in one place."""

from __future__ import annotations

import re
from pathlib import Path

from predictor import __version__

IMAGES = {
    "spanserve/predictor": "predictor",
    "spanserve/predictor-gpu": "predictor-gpu",
    "spanserve/optimize": "optimize",
    "spanserve/loadtest": "loadtest",
    "spanserve/demo": "demo",
}
"""Image → target of the Dockerfile."""

ENTRYPOINTS = {
    "predictor": ["python", "-m", "predictor"],
    "predictor-gpu": ["python", "-m", "predictor"],
    "optimize": ["python", "-m", "optimize"],
    "loadtest": ["locust", "-f", "loadtest/locustfile.py"],
    "demo": ["python", "-m", "demo"],
}
"""Target → what runs where a container names no command."""


def target(image: str, renamed: dict[str, str]) -> str:
    """The Dockerfile target of `name:tag`; `renamed` are an overlay's own names → ours."""
    name, _, tag = image.rpartition(":")
    name = renamed.get(name, name)
    assert name in IMAGES, f"image {image} is none of {', '.join(IMAGES)}"
    assert tag == __version__, f"image {image} has not the tag {__version__}"
    return IMAGES[name]


def dockerfile_targets(dockerfile: Path) -> set[str]:
    """The stages that can be built by name."""
    text = dockerfile.read_text(encoding="utf-8")
    return set(re.findall(r"^FROM .+ AS ([\w-]+)\s*$", text, re.IGNORECASE | re.MULTILINE))
