"""The base image from Debian's own packages, and `make image` on top; no registry is asked."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "image-check"
BASE = "localhost/spanserve/check-base:bookworm"
_PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
# What podman needs where the kernel has two cgroup hierarchies, or limits may not be raised.
_CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def configure() -> None:
    """Makes the folder of the check, and podman work on more kernels."""
    WORK.mkdir(parents=True, exist_ok=True)
    if "CONTAINERS_CONF" not in os.environ:
        path = WORK / "containers.conf"
        path.write_text(_CONTAINERS_CONF)
        os.environ["CONTAINERS_CONF"] = str(path)


def run(*command: str | Path) -> None:
    """Runs a command with its output shown; raises CalledProcessError."""
    sys.stdout.flush()
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)


def make_base() -> str:
    """Bootstraps Debian with its Python as a stand-in for the official image; returns its name.

    The archive is kept in `build/image-check`.
    """
    archive = WORK / "base.tar"
    if not archive.exists():
        folder = WORK / "base"
        shutil.rmtree(folder, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", folder)
        for unused in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(folder / unused)
            (folder / unused).mkdir()
        (folder / "usr/bin/python").symlink_to("python3")
        for mark in folder.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            mark.unlink()
        run("tar", "-C", folder, "-cf", archive.with_suffix(".part"), ".")
        archive.with_suffix(".part").rename(archive)
        shutil.rmtree(folder)
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode:
        run("podman", "import", "--quiet", archive, BASE)
    return BASE


def build(target: str, base: str) -> str:
    """Builds a target of the unmodified Dockerfile with buildah; returns the image's name."""
    arguments = ["--network", "host", "--layers", "--build-arg", f"BASE_IMAGE={base}"]
    arguments += _pip_settings()
    os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
    run("make", "--no-print-directory", "image", f"TARGET={target}", "BUILDER=buildah",
        f"BUILD_ARGS={shlex.join(arguments)}")  # fmt: skip
    version = (ROOT / "predictor" / "__init__.py").read_text().split('__version__ = "')[1]
    return f"localhost/spanserve/{target}:{version.partition(chr(34))[0]}"


def size(image: str) -> int:
    """Bytes of an image, its base's included."""
    command = ["podman", "image", "inspect", "--format", "{{.Size}}", image]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _pip_settings() -> list[str]:
    """What pip is told on this machine: its options as a secret, the files they name as mounts."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    config = configparser.RawConfigParser()
    mounts = set()
    # Sorted, the environment's options come first and the files' are those that are left.
    for line in sorted(listed.splitlines()):
        key, _, quoted = line.partition("=")
        scope, _, option = key.rpartition(".")
        section, value = ("global" if scope == ":env:" else scope), quoted[1:-1]
        if not config.has_section(section):
            config.add_section(section)
        if config.has_option(section, option):
            continue
        config.set(section, option, value.replace(r"\n", "\n"))
        for word in config.get(section, option).split():
            # The links of a folder that is an index lead beside it.
            path = Path(word[7:]).parent if word.startswith("file://") else Path(word)
            if path.is_absolute() and path.exists():
                mounts.add(str(path))
    secret = WORK / "pip.conf"
    with secret.open("w") as stream:
        config.write(stream)
    volumes = (f"--volume={path}:{path}:ro" for path in sorted(mounts))
    return ["--secret", f"id=pip_conf,src={secret}", *volumes]
