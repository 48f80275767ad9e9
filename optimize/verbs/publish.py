"""The end of a build's journey alone: `publish` and `report`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from optimize.errors import SourceError
from optimize.publishing import publish as publishing
from optimize.publishing import triton
from optimize.recipe import content_id
from optimize.reporting.report import Report, StepFigures
from optimize.steps import Artifact
from predictor.artifact import ArtifactSpec, read_spec


def publish(arguments: argparse.Namespace) -> int:
    """Publishes an artifact under a name and a version, with a report of what is known of it."""
    publishing.check_name(arguments.name)
    artifact = Artifact.read(arguments.model_dir)
    if arguments.triton and artifact.spec.format != "onnx":
        raise SourceError(f"{arguments.model_dir}: --triton takes an onnx artifact")
    named = {"name": arguments.name, "version": arguments.version}
    spec = artifact.spec.model_copy(update=named | {"build_id": content_id(artifact.spec)})
    folder = publishing.target(arguments.output, spec.name, spec.version)
    if arguments.triton:
        triton.check(arguments.output, spec.name, spec.version, spec.build_id)
    report = _report(artifact, spec)
    texts = {"report.json": report.to_json(), "report.md": report.to_markdown()}
    with publishing.prepared(artifact.folder, spec, folder, texts) as appear:
        appear()
    if arguments.triton:
        triton.publish(folder, arguments.triton_instances)
    sys.stdout.write(f"{folder}\n")
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Prints the report beside a published artifact."""
    read_spec(arguments.root)
    path = arguments.root / ("report.json" if arguments.json else "report.md")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read; is this a published version?") from error
    sys.stdout.write(text)
    return 0


def _report(artifact: Artifact, spec: ArtifactSpec) -> Report:
    """Of an artifact alone: whoever made it measured and gated it, or did not."""
    name = artifact.folder.resolve().name
    step = StepFigures(
        name=name,
        precision=spec.precision,
        size_bytes=artifact.model_file.stat().st_size,
        density=spec.density,
        parity=None,
        scores=None,
        latency={},
        notes={"published alone": "what is not measured here, verify, evaluate and benchmark do"},
    )
    return Report(
        name=spec.name,
        version=spec.version,
        build_id=spec.build_id,
        served=name,
        rejected={},
        conditions={
            "date": datetime.now(UTC).date().isoformat(),
            "model": spec.source,
            "dataset": None,
            "null_score_diff_threshold": spec.null_score_diff_threshold,
            "target": spec.target,
            "tools": spec.tools,
        },
        steps=(step,),
    )
