"""`make image-check`: builds the images and rehearses with podman what a cluster does with them.

The predictor waits for its artifact, a Job writes it, the predictor serves it, Locust loads it, and
each ends on SIGTERM; all without root, on read-only files. Takes minutes, needs root and Debian's
buildah, podman and debootstrap, and is skipped with a reason where they are not there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request

import grpc
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.images import building
from tests.images.containers import CheckError, Container
from tests.integration.calls import Inquiry

TOOLS = ("buildah", "podman", "debootstrap", "runc", "make")
PREDICTOR_BOUND = 450_000_000
TARGETS = ("predictor", "optimize", "loadtest", "demo")
USER = 1000
WAITING = "predictor: error: /mnt/models: no artifact there yet; is the optimize job done?"
ANSWER = "second little pig"
BUILD = (
    "build", "--model", "demo/checkpoint/pruned", "--baseline", "demo/checkpoint/baseline",
    "--dataset", "demo/data/questions.json", "--train-data", "demo/data/choice.json",
    "--null-threshold", "auto", "--rounds", "2", "--output", "/models",
)  # fmt: skip
# What a cluster adds to the environment where a Service is called spanserve-predictor.
LINKS = (
    "--env=SPANSERVE_PREDICTOR_SERVICE_HOST=10.0.0.1",
    "--env=SPANSERVE_PREDICTOR_PORT=tcp://10.0.0.1:80",
    "--env=SPANSERVE_PREDICTOR_PORT_80_TCP_ADDR=10.0.0.1",
)
INVENTORY = """
import importlib.metadata, json, os
installed = [(d.name, d.version) for d in importlib.metadata.distributions()]
print(json.dumps({"user": [os.getuid(), os.getgid()], "installed": installed}))
"""


def main() -> int:
    """Runs the check; 0 also where it is skipped."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.getuid() != 0 or missing:
        why = f"there is no {', '.join(missing)}" if missing else "it needs root"
        say(f"skipped: {why}")
        return 0
    building.configure()
    try:
        base = building.make_base()
        images = {target: building.build(target, base) for target in TARGETS}
        check_sizes(base, images)
        for target, image in images.items():
            check_contents(target, image)
        rehearse(images)
    except (CheckError, subprocess.CalledProcessError) as error:
        say(f"failed: {error}")
        return 1
    say("all passed")
    return 0


def check_sizes(base: str, images: dict[str, str]) -> None:
    """What each image adds to its base."""
    added = {target: building.size(image) - building.size(base) for target, image in images.items()}
    for target, bytes_ in added.items():
        bound = f", at most {PREDICTOR_BOUND / 1e6:.0f} MB" if target == "predictor" else ""
        say(f"{target} adds {bytes_ / 1e6:.0f} MB to its base{bound}")
    expect(added["predictor"] <= PREDICTOR_BOUND, "the predictor is too large")


def check_contents(target: str, image: str) -> None:
    """The user, and that just the packages of the constraints are there."""
    with Container(image, "-c", INVENTORY, options=["--entrypoint=python"]) as container:
        expect(container.wait() == 0, f"{target}: Python does not run")
        found = json.loads(container.logs())
    expect(found["user"] == [USER, USER], f"{target}: runs as {found['user']}")
    lines = (building.ROOT / "constraints.txt").read_text().split()
    project = tomllib.loads((building.ROOT / "pyproject.toml").read_text())["project"]
    # The only one that is not among the constraints.
    lines += [line for line in project["optional-dependencies"]["optimize"] if "torch==" in line]
    allowed = {normal(name): version for name, version in (line.split("==") for line in lines)}
    installed = {normal(name): version.partition("+")[0] for name, version in found["installed"]}
    expect(bool(installed), f"{target}: no packages are found")
    for name, version in installed.items():
        expect(allowed.get(name) == version, f"{target}: {name} {version} is not pinned")
    if target != "optimize":
        expect(not {"torch", "transformers", "pip"} & set(installed), f"{target}: holds too much")
    say(f"{target}: {len(installed)} packages, each at its pinned version; user {USER}")


def rehearse(images: dict[str, str]) -> None:
    """A Job writes to a volume what an InferenceService serves from it."""
    root = building.WORK / "volume"
    shutil.rmtree(root, ignore_errors=True)
    version = root / "qa" / "1"
    version.mkdir(parents=True)
    # As a kubelet makes the folder of a subPath on a volume with an fsGroup.
    for folder in (root, root / "qa", version):
        os.chown(folder, 0, USER)
        folder.chmod(0o2775)

    serving = {"volumes": {version: "/mnt/models:ro"}, "options": LINKS, "network": "bridge"}
    with Container(images["predictor"], **serving) as container:
        status, log = container.wait(), container.logs().strip()
    expect((status, log) == (1, WAITING), f"an early predictor ended with {status}: {log}")
    say(f"the predictor, started too early, ends with 1: {log}")

    with Container(images["optimize"], *BUILD, volumes={root: "/models"}) as job:
        job.wait_for("optimize: baseline")
        status = job.terminate()
    left = [str(path.relative_to(root)) for path in root.rglob("*")]
    expect(status == 143, f"a terminated Job ended with {status}")
    expect(sorted(left) == ["qa", "qa/1"], f"a terminated Job left {left}")
    say("a Job that gets SIGTERM ends with 143 and leaves nothing")

    for attempt in ("writes", "finds"):
        started = time.monotonic()
        with Container(images["optimize"], *BUILD, volumes={root: "/models"}) as job:
            status = job.wait()
            expect(status == 0, f"the Job ended with {status}")
        say(f"the Job {attempt} {version.relative_to(root)} in {time.monotonic() - started:.0f} s")

    with Container(images["predictor"], memory="1g", **serving) as container:
        ask(container, "predictor")
        load(images["loadtest"], container.port(8080))
        page(images["demo"], container.port(8080))
        stop(container, "predictor")

    baseline = [
        "python",
        "-m",
        "predictor",
        "--session",
        "torch",
    ]
    volumes = {root / "qa-baseline" / "1": "/mnt/models:ro"}
    with Container(
        images["optimize"], *baseline[1:], options=["--entrypoint=python"],
        volumes=volumes, network="bridge",
    ) as container:  # fmt: skip
        ask(container, "baseline")
        stop(container, "baseline")


def ask(container: Container, name: str) -> None:
    """The same question over V2 REST and gRPC, as soon as the model is ready."""
    url = f"http://127.0.0.1:{container.port(8080)}"
    deadline = time.monotonic() + 180
    while not answers(f"{url}/v2/models/qa/ready"):
        expect(container.running(), f"the {name} ended")
        expect(time.monotonic() < deadline, f"the {name} is not ready")
        time.sleep(0.5)
    path, body, headers = Inquiry().v2_json()
    with urllib.request.urlopen(urllib.request.Request(url + path, body, headers)) as reply:
        outputs = {output["name"]: output["data"] for output in json.load(reply)["outputs"]}
    (over_rest,) = outputs["answer"]
    with grpc.insecure_channel(f"127.0.0.1:{container.port(8081)}") as channel:
        message = GRPCInferenceServiceStub(channel).ModelInfer(Inquiry().grpc(), timeout=30)
    (over_grpc,) = next(o for o in message.outputs if o.name == "answer").contents.bytes_contents
    expect(ANSWER in over_rest, f"the {name} answers {over_rest!r}")
    expect(over_grpc.decode() == over_rest, f"the {name} answers {over_grpc!r} over gRPC")
    say(f"the {name} answers over V2 REST and gRPC: {over_rest}")


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.HTTPError):
        return False


def load(image: str, port: int) -> None:
    """Locust, once to its end and once to a SIGTERM."""
    host = ("--host", f"http://127.0.0.1:{port}", "--headless", "--only-summary")
    short = ("--lengths", "8,64", "--requests-per-length", "2")
    with Container(image, *host, *short, network="host") as container:
        status = container.wait()
        expect(status == 0, f"Locust ended with {status}")
    say("Locust runs its table and ends with 0")
    with Container(image, *host, "--requests-per-length", "100000", network="host") as container:
        container.wait_for("All users spawned")
        status = container.terminate()
    expect(status != 137, "Locust had to be killed")
    say(f"Locust that gets SIGTERM ends with {status}")


def page(image: str, port: int) -> None:
    """The demo's page of one model, and its end."""
    folder = building.WORK / "demo"
    folder.mkdir(exist_ok=True)
    target = {"name": "optimized", "host": f"http://127.0.0.1:{port}"}
    (folder / "targets.yaml").write_text(json.dumps({"targets": [target]}))
    arguments = ("--targets=/etc/demo/targets.yaml", "--port=0")
    volumes = {folder: "/etc/demo:ro"}
    with Container(image, *arguments, volumes=volumes, network="host", memory="512m") as container:
        container.wait_for("The page: ")
        url = container.logs().partition("The page: ")[2].split()[0]
        expect(answers(f"{url}/healthz") and answers(url), "the page does not answer")
        say("the page answers")
        stop(container, "page")


def stop(container: Container, name: str) -> None:
    """SIGTERM, on which a server ends with 0."""
    status = container.terminate()
    expect(status == 0, f"the {name} that got SIGTERM ended with {status}")
    say(f"the {name} that gets SIGTERM ends with 0")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def expect(held: bool, otherwise: str) -> None:
    """Raises CheckError where something does not hold."""
    if not held:
        raise CheckError(otherwise)


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"image-check: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
