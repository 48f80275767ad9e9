"""`python -m demo.walkthrough`: checkpoint → artifact → two servers → an answer → tables."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from demo.building import ROOT, optimize, run
from demo.errors import DemoError
from demo.servers import Server, running
from loadtest.signals import exit_on_signals

QUESTION = "Who worked a little bit harder?"
CONTEXT = (
    "Once upon a time three little pigs left home to build houses of their own. The first little "
    "pig did not like work, and put up a house of straw in a morning. The second little pig worked "
    "a little bit harder and built his house of sticks. Then both of them sang and danced and "
    "played together for the rest of the day. The third little pig laid bricks until the stars "
    "came out."
)
EXPECTED = "second little pig"


def main(argv: list[str] | None = None) -> int:
    """Runs the walk; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.walkthrough", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "demo",
        help="folder whose artifacts/ and results/ are made anew (default: build/demo)",
    )  # fmt: skip
    parser.add_argument(
        "--requests-per-length", type=int, default=10, help="of each load test (default: 10)"
    )
    arguments = parser.parse_args(argv)
    exit_on_signals()
    started = time.monotonic()
    try:
        _walk(arguments.output.resolve(), arguments.requests_per_length)
    except (DemoError, OSError) as error:
        sys.stderr.write(f"demo: error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted; everything it started is stopped\n")
        return 130
    _say(f"Done in {time.monotonic() - started:.0f} s. Artifacts and results: {arguments.output}")
    return 0


def _walk(output: Path, requests: int) -> None:
    artifacts, results = output / "artifacts", output / "results"
    for folder in (artifacts, results):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    _say("1. Optimize the pruned checkpoint next to its dense parent, gated on 200 questions")
    optimize(artifacts)

    _say("2. Serve the baseline (PyTorch) and the optimized artifact (ONNX Runtime)")
    folders = {"baseline": artifacts / "qa-baseline" / "1", "optimized": artifacts / "qa" / "1"}
    settings = {"baseline": {"session": "torch"}}
    with running(folders, settings, results) as servers:
        _say(f"3. Ask over HTTP (V2): {QUESTION}")
        for server in servers:
            _ask(server)
        _say(f"4. Load test both in turns: {requests} sequential requests per sequence length")
        targets = [{"name": server.name, "host": server.url} for server in servers]
        (results / "targets.yaml").write_text(json.dumps({"targets": targets}), "utf-8")
        run("loadtest", "compare", "--targets", str(results / "targets.yaml"),
            "--requests-per-length", str(requests), "--results-dir", str(results / "loadtest"),
            log=results / "locust.log")  # fmt: skip

    _say("5. The journey: what each step changed")
    sys.stdout.write((folders["optimized"] / "report.md").read_text("utf-8") + "\n")
    _say("6. The served speed-up, HTTP included")
    run("loadtest", "table", str(results / "loadtest" / "summary.json"))


def _ask(server: Server) -> None:
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [1], "data": [text]}
        for name, text in (("question", QUESTION), ("context", CONTEXT))
    ]
    status, body, timing = server.call("POST", "/v2/models/qa/infer", {"inputs": inputs})
    if status != 200:
        raise DemoError(f"{server.name} answered {status}: {body}")
    outputs = {tensor["name"]: tensor["data"][0] for tensor in body["outputs"]}
    sys.stdout.write(
        f"   {server.name}: {outputs['answer']!r} (score {outputs['score']:.2f}; {timing})\n"
    )
    if EXPECTED not in outputs["answer"]:
        raise DemoError(f"{server.name} did not name the {EXPECTED}")


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
