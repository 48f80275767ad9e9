"""The deployments that are compared on one machine: our own, and what else one could run."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.local.artifacts import Artifacts
from loadtest.local.servers import HOST, READY_PATH, ROOT, Server, free_ports

PEERS = ROOT / ".venv-peers"
_REQUIREMENTS = ROOT / "benchmarks" / "peers"
_V1 = "/v1/models/qa"
# libgomp's threads spin after a run for as long as the machine's cores allow, and would take them
# from whoever is asked next; the baseline's session does the same for itself.
_NO_SPINNING = {"GOMP_SPINCOUNT": "1000"}

BASELINE, OPTIMIZED, IO_BINDING, TRITON = "baseline", "optimized", "io-binding", "triton"
TRANSFORMERS, OPTIMUM, MLSERVER = "fastapi-transformers", "fastapi-optimum", "mlserver"
OPENVINO = "fastapi-openvino"
NAMES = (BASELINE, TRANSFORMERS, OPTIMUM, OPENVINO, MLSERVER, OPTIMIZED, TRITON, IO_BINDING)

_TO_KNOW = {
    OPENVINO: "; in bf16 where the CPU has it, as OpenVINO chooses",
    MLSERVER: "; texts of more than 384 tokens are read in two windows, its pipeline's default, "
    "which its settings do not reach",
}


@dataclass(frozen=True)
class Deployment:
    """One row of the comparison.

    Attributes:
        name: The row's.
        servers: Its processes in the order of their start; the last one is asked.
        protocol: What that one speaks.
        note: What a reader should know of it.
        peer: Whether it is somebody else's: without it the comparison goes on.
    """

    name: str
    servers: Sequence[Server]
    protocol: str
    note: str
    peer: bool = False


@dataclass(frozen=True)
class LeftOut:
    """One that is not compared, and why."""

    name: str
    reason: str


def deployments(
    artifacts: Artifacts, folder: Path, names: Sequence[str]
) -> list[Deployment | LeftOut]:
    """Each of the names, as it can be started here; `folder` is for what servers read."""
    precision = artifacts.precision
    made: list[Deployment | LeftOut] = []
    for name in names:
        if name == BASELINE:
            settings = ["--session", "torch"]
            note = "the predictor with the baseline in PyTorch"
            made.append(_predictor(name, artifacts.baseline, settings, note))
        elif name == OPTIMIZED:
            note = f"the predictor with the {precision} graph, without IOBinding"
            made.append(_predictor(name, artifacts.optimized, ["--io_binding", "false"], note))
        elif name == IO_BINDING:
            note = f"the predictor with the {precision} graph and IOBinding, its default"
            made.append(_predictor(name, artifacts.optimized, [], note))
        elif name == TRITON:
            made.append(_triton(artifacts, folder / name))
        else:
            made.append(_peer(name, artifacts, folder / name))
    return made


def _predictor(name: str, folder: Path, settings: Sequence[str], note: str) -> Deployment:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "predictor", "--model_dir", str(folder), "--host", HOST]
    command += ["--http_port", str(port), "--enable_grpc", "false", "--drain_seconds", "0"]
    return Deployment(name, [Server(name, [*command, *settings], port)], "v2", note)


def _triton(artifacts: Artifacts, folder: Path) -> Deployment | LeftOut:
    program = [sys.executable, "-m", "benchmarks.triton.server"]
    there = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    if there.returncode:
        return LeftOut(TRITON, there.stderr.strip().splitlines()[-1].partition(": ")[2])
    http_port, grpc_port = free_ports(2)
    command = [*program, "--repository", str(artifacts.triton), "--folder", str(folder)]
    command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    remote = ["--session", "remote"]
    remote += ["--remote_url", f"{HOST}:{grpc_port}"]
    note = f"the predictor, and Triton that runs the {artifacts.precision} graph"
    front = _predictor(TRITON, artifacts.optimized, remote, note)
    behind = Server(f"{TRITON}-server", command, http_port)
    return Deployment(TRITON, [behind, *front.servers], front.protocol, note)


def _peer(name: str, artifacts: Artifacts, folder: Path) -> Deployment | LeftOut:
    kind = name.removeprefix("fastapi-")
    environment = PEERS / kind
    if not (environment / ".installed").is_file():
        return LeftOut(name, "it is not installed; `make peers` does that")
    made = _mlserver if name == MLSERVER else _app
    command, protocol, port = made(kind, environment, artifacts, folder)
    ready = READY_PATH if protocol == "v2" else _V1
    server = Server(name, command, port, ready, _NO_SPINNING | {"HF_HUB_OFFLINE": "1"})
    note = _versions(kind) + _TO_KNOW.get(name, "")
    return Deployment(name, [server], protocol, note, peer=True)


def _app(kind: str, environment: Path, artifacts: Artifacts, _: Path) -> tuple[list[str], str, int]:
    (port,) = free_ports(1)
    command = [str(environment / "bin" / "python"), "-m", f"benchmarks.peers.{kind}_app"]
    command += ["--model", str(artifacts.checkpoint), "--max-length", str(artifacts.max_length)]
    return [*command, "--port", str(port)], "v1", port


def _mlserver(
    _: str, environment: Path, artifacts: Artifacts, folder: Path
) -> tuple[list[str], str, int]:
    http_port, grpc_port, metrics_port = free_ports(3)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"host": HOST, "http_port": http_port, "grpc_port": grpc_port}
    settings |= {"metrics_port": metrics_port}
    task = {"task": "question-answering", "framework": "pt"}
    model = {
        "name": "qa",
        "implementation": "mlserver_huggingface.HuggingFaceRuntime",
        "parameters": {"extra": task | {"pretrained_model": str(artifacts.checkpoint)}},
    }
    (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
    (folder / "model-settings.json").write_text(json.dumps(model), "utf-8")
    return [str(environment / "bin" / "mlserver"), "start", str(folder)], "v2", http_port


def _versions(kind: str) -> str:
    """The pins that say most about a peer: those before the first empty line of its file."""
    text = (_REQUIREMENTS / f"{kind}.txt").read_text("utf-8")
    pins = [line for line in text.split("\n\n")[0].splitlines() if not line.startswith("#")]
    return "the baseline's checkpoint in " + ", ".join(pin.replace("==", " ") for pin in pins)
