"""A fake API server with version 1 served, and the driver in front of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from k8s.rollout.__main__ import main
from tests.k8s.fake_api.server import FakeApi
from tests.k8s.rollout_role import role
from tests.signals import hearing_ctrl_c

ROOT = Path(__file__).resolve().parent.parent.parent.parent
# Looks often, and gives up soon: the fake needs no time.
QUICK = ("--interval", "0.01", "--timeout", "20")


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Version 1 is published and served."""
    with FakeApi(role()) as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig(tmp_path)))
        fake.cluster.add_job(1)
        fake.cluster.add_service(1)
        yield fake


@pytest.fixture
def rollout(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the driver in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        status = main([*arguments, *(QUICK if "--timeout" not in arguments else QUICK[:2])])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(status, captured.out, captured.err)

    return run


@pytest.fixture
def start(api: FakeApi) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the driver as a process, which faults may kill."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "k8s.rollout", *arguments, *QUICK]
        with hearing_ctrl_c():
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        started.append(process)
        api.victimize(process.pid)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate()
