"""Real artifacts, built once a run, and real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from demo.servers import Server, running
from loadtest.local.servers import HOST
from optimize.build import build
from optimize.progress import Progress
from optimize.recipe import Measurement, Recipe, Serving
from tests.integration.answers import infer, rest_values
from tests.integration.calls import ANSWER, ask


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Callable[[str], Path]:
    """Builds the embedded checkpoint in a precision, gated on parity alone; the root folder."""
    roots: dict[str, Path] = {}

    def get(precision: str) -> Path:
        if precision not in roots:
            root = roots[precision] = tmp_path_factory.mktemp(precision)
            recipe = Recipe(
                model=str(checkpoint),
                output=root,
                precision=precision,
                target="cuda" if precision == "fp16" else "cpu",
                serving=Serving(null_score_diff_threshold=-4.0),
                measurement=Measurement(sequence_lengths=(8, 64), rounds=1),
            )
            with Progress() as progress:
                build(recipe, progress)
        return roots[precision]

    return get


@pytest.fixture(scope="session")
def fp32(built: Callable[[str], Path]) -> Path:
    return built("fp32") / "qa" / "1"


@pytest.fixture(scope="session")
def server(fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with REST and gRPC."""
    with running({"fp32": fp32}, {}, tmp_path_factory.mktemp("logs"), grpc=True) as (only,):
        yield only


@pytest.fixture(scope="session")
def stub(server: Server) -> Iterator[GRPCInferenceServiceStub]:
    """The server's gRPC calls."""
    with grpc.insecure_channel(f"{HOST}:{server.grpc_port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        yield GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="session")
def expected(server: Server) -> dict[str, list[object]]:
    """What every client has to get for the plain question: output name → elements."""
    values: dict[str, list[object]] = rest_values(infer(server, ask()))
    assert values["answer"] == [ANSWER]
    return values
