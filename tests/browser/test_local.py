"""`make demo-ui`: models and page start together, and end together."""

import os
import signal
import subprocess
import sys
import urllib.request

import yaml

from tests.browser.conftest import ARTIFACTS
from tests.conftest import ROOT
from tests.demo.pages import address


def test_it_serves_three_models_and_stops_them(models, tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-m", "demo.local", "--port", "0", "--output", str(ARTIFACTS)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
    try:
        url = address(process, log)
        with urllib.request.urlopen(url, timeout=30) as response:
            assert response.status == 200
        targets = yaml.safe_load((ARTIFACTS / "targets.yaml").read_text())["targets"]
        assert [target["name"] for target in targets] == ["baseline", "pruned", "optimized"]
        for target in targets:
            ready = f"{target['host']}/v2/models/qa/ready"
            with urllib.request.urlopen(ready, timeout=30) as response:
                assert response.status == 200
        children = _children(process.pid)
        assert len(children) == 4  # three servers, and the guard beside them
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(60)
    assert status == 128 + signal.SIGTERM
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]


def _children(pid: int) -> list[str]:
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path, encoding="ascii") as stream:
        return stream.read().split()
