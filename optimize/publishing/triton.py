"""The Triton model repository of artifacts, `<root>/triton/<model>/<version>/`.

Two models run the same graph: `<name>` takes batches as clients make them, `<name>-batched` joins
requests of one length by Triton's dynamic batching. A version's folder holds the whole artifact
(Triton reads `model.onnx`, its clients need the tokenizer), hard-linked where that is possible.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from optimize.errors import PublishError
from optimize.publishing import staging
from optimize.publishing.publish import REPOSITORY, published, writing
from predictor.artifact import ArtifactSpec, read_spec, verify, write_spec

logger = logging.getLogger("optimize")

CONFIG_FILE = "config.pbtxt"
OUTPUTS = ("start_logits", "end_logits")
_MAX_BATCH_SIZE = {"": 0, "-batched": 32}


def configs(spec: ArtifactSpec, instances: int) -> dict[str, str]:
    """Model name → its `config.pbtxt`.

    Args:
        instances: Of each model, on each GPU or on the CPU.
    """
    return {
        spec.name + suffix: _config(spec, spec.name + suffix, size, instances)
        for suffix, size in _MAX_BATCH_SIZE.items()
    }


def check(root: Path, name: str, version: int, build_id: str) -> None:
    """Raises PublishError where another build is there, before hours are spent on this one."""
    for suffix in _MAX_BATCH_SIZE:
        published(root / REPOSITORY / (name + suffix) / str(version), build_id)


def publish(artifact: Path, instances: int) -> None:
    """Publishes each model, or the version where the model has others, at once.

    Args:
        artifact: `<root>/<name>/<version>`, published and whole.

    Raises:
        PublishError: Another build or another configuration is there.
        WriteError: It cannot be written; nothing half is left behind.
    """
    spec = read_spec(artifact)
    root = artifact.parent.parent
    staging.sweep(root)
    for model, config in configs(spec, instances).items():
        folder = root / REPOSITORY / model
        while not _published(folder, config, spec):
            _publish(folder, config, spec, artifact)


def _published(folder: Path, config: str, spec: ArtifactSpec) -> bool:
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return False
        found = (folder / CONFIG_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PublishError(f"{folder} holds something else: {error}") from error
    if found != config:
        raise PublishError(
            f"{folder / CONFIG_FILE} differs, and all versions of a model share it; "
            "choose another --name, or the target and --triton-instances it has"
        )
    return published(folder / str(spec.version), spec.build_id)


def _publish(folder: Path, config: str, spec: ArtifactSpec, artifact: Path) -> None:
    version = folder / str(spec.version)
    # Beside the repository: whatever lies inside, Triton takes for a model.
    with writing(version), staging.staging(folder.parent.parent) as beside:
        staged = beside / "model"
        _copy(artifact, spec, staged / version.name)
        joins = (folder / CONFIG_FILE).exists()
        if not joins:
            (staged / CONFIG_FILE).write_text(config, encoding="utf-8")
        staging.settle(staged)
        folder.parent.mkdir(exist_ok=True)
        if joins:
            done = staging.rename(staged / version.name, version)
        else:
            done = staging.rename(staged, folder)
    if done:
        logger.info("published %s", version)


def _copy(artifact: Path, spec: ArtifactSpec, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in spec.files:
        try:
            os.link(artifact / name, folder / name)
        except OSError:  # The file system has no links, or the file is another user's.
            shutil.copyfile(artifact / name, folder / name)
    write_spec(folder, spec)
    verify(folder, spec)


def _config(spec: ArtifactSpec, model: str, max_batch_size: int, instances: int) -> str:
    # Triton puts the batch in front of the dims where there is a largest one.
    dims = "[ -1 ]" if max_batch_size else "[ -1, -1 ]"
    kind = "KIND_GPU" if spec.target == "cuda" else "KIND_CPU"
    lines = [
        f'name: "{model}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch_size}",
        *(_tensor("input", name, "TYPE_INT64", dims) for name in spec.inputs),
        *(_tensor("output", name, "TYPE_FP32", dims) for name in OUTPUTS),
        f"instance_group {{ count: {instances} kind: {kind} }}",
        # A new version takes none away from clients that name theirs.
        "version_policy { all { } }",
    ]
    if max_batch_size:
        lines.append("dynamic_batching { }")
    return "\n".join(lines) + "\n"


def _tensor(field: str, name: str, datatype: str, dims: str) -> str:
    return f'{field} {{ name: "{name}" data_type: {datatype} dims: {dims} }}'
