"""Containers as a cluster would run them: read-only, without rights, and surely removed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# As the pods: what is written goes to /tmp or a volume.
_CONFINED = (
    "--read-only", "--tmpfs=/tmp:rw,mode=1777", "--cap-drop=all",
    "--security-opt=no-new-privileges", "--pids-limit=512",
)  # fmt: skip


class CheckError(Exception):
    """The images do not do what they should; the text says what."""


class Container:
    """A container of an image, started at once; the context manager removes it.

    Args:
        image, arguments: What runs; the entry point is the image's own but where one is given.
        options: Of `podman run`.
        volumes: Folder → its place in the container, `:ro` where it may only be read.
        network: `none`, `host`, or `bridge` with the ports 8080 and 8081 published on loopback.
    """

    def __init__(
        self,
        image: str,
        *arguments: str,
        options: Sequence[str] = (),
        volumes: dict[Path, str] | None = None,
        network: str = "none",
        memory: str = "2g",
    ) -> None:
        mounts = [f"--volume={folder}:{place}" for folder, place in (volumes or {}).items()]
        ports = ("--publish=127.0.0.1::8080", "--publish=127.0.0.1::8081")
        self._id = _podman(
            "run", "--detach", *_CONFINED, f"--memory={memory}", f"--network={network}",
            *(ports if network == "bridge" else ()), *mounts, *options, image, *arguments,
        )  # fmt: skip

    def __enter__(self) -> Container:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            sys.stdout.write(self.logs())
        _podman("rm", "--force", "--time=0", self._id)

    def port(self, inside: int) -> int:
        """The port on loopback that a published port has."""
        return int(_podman("port", self._id, str(inside)).rpartition(":")[2])

    def logs(self) -> str:
        """All it has written."""
        command = ["podman", "logs", self._id]
        done = subprocess.run(command, text=True, check=True, stdout=-1, stderr=subprocess.STDOUT)
        return done.stdout

    def running(self) -> bool:
        """Whether it has not ended."""
        return _podman("inspect", "--format={{.State.Running}}", self._id) == "true"

    def wait(self, seconds: float = 600) -> int:
        """The exit status; raises CheckError after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                raise CheckError(f"still runs after {seconds:.0f} s")
            time.sleep(0.2)
        return int(_podman("wait", self._id))

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Returns when the log has the text; raises CheckError at its end or after `seconds`."""
        deadline = time.monotonic() + seconds
        while text not in self.logs():
            if not self.running():
                raise CheckError(f"ended with {self.wait()} before it wrote {text!r}")
            if time.monotonic() > deadline:
                raise CheckError(f"did not write {text!r} within {seconds:.0f} s")
            time.sleep(0.2)

    def terminate(self, seconds: float = 60) -> int:
        """Sends SIGTERM to process 1, as a kubelet does; its exit status."""
        _podman("kill", "--signal=TERM", self._id)
        return self.wait(seconds)


def _podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckError(f"podman {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
