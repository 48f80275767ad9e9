"""The page as a process of its own."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from loadtest.local.servers import stop
from tests.conftest import ROOT

SECONDS = 120  # that it may take until it is there

# Writes down every address that the page's own process connects to or looks up.
_WATCHED = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, values):
    if event == "socket.connect" and isinstance(values[1], tuple):
        print(values[1][0], file=log)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and values[0]:
        print(values[0], file=log)
sys.addaudithook(watch)
from demo.__main__ import main
sys.exit(main())
"""


@contextlib.contextmanager
def serving(hosts: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The page of these models, name → host; its address. `folder` gets the hosts that it calls."""
    targets = [{"name": name, "host": host} for name, host in hosts.items()]
    (folder / "targets.yaml").write_text(json.dumps({"targets": targets}))
    arguments = ["--targets", str(folder / "targets.yaml"), "--port", "0"]
    command = [sys.executable, "-c", _WATCHED, str(folder / "hosts"), *arguments]
    log = folder / "page.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield address(process, log)
    finally:
        stop(process)
    assert process.returncode == 0, log.read_text()


def address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where a process says that the page is."""
    deadline = time.monotonic() + SECONDS
    while not (found := re.search(r"^The page: (http://\S+)$", log.read_text(), re.MULTILINE)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return found[1]
