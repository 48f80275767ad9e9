"""How many CPUs this process may use: a container's limit, not the host's count."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def available_cpus(root: Path = _ROOT) -> int:
    """CPUs by affinity and by the process's cgroup (v2 or v1), rounded down, at least one.

    The smallest quota counts of the cgroup and those above it. A thread more than whole CPUs would
    have all threads throttled for the rest of a period.

    Args:
        root: Where /proc and the cgroups' mounts are.
    """
    affinity = len(os.sched_getaffinity(0))
    quota = min((q for folder in _folders(root) for q in _quotas(folder)), default=affinity)
    return max(1, min(affinity, int(quota)))


def _folders(root: Path) -> Iterator[Path]:
    """The process's folder in each hierarchy that limits CPUs, and those above it."""
    groups = {
        controller: group
        for _, controllers, group in (
            line.split(":", 2) for line in _lines(root / "proc/self/cgroup")
        )
        for controller in controllers.split(",")
    }
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, filesystem = line.partition(" - ")
        top, place = mount.split()[3:5]
        kind, _, options = filesystem.split()[:3]
        if kind == "cgroup2":
            group = groups.get("")
        elif kind == "cgroup" and "cpu" in options.split(","):
            group = groups.get("cpu")
        else:
            continue
        whole = root / place.lstrip("/")
        # Without a namespace of its own a container sees the host's path, and its own part mounted.
        below = PurePosixPath(group or "/")
        below = below.relative_to(top) if below.is_relative_to(top) else PurePosixPath()
        folder = whole / below
        yield folder
        while folder != whole:
            folder = folder.parent
            yield folder


def _quotas(folder: Path) -> Iterator[float]:
    """A folder's quota in CPUs, if it has one; files give it in microseconds of a period."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()  # "max" where there is none
        yield int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = (folder / "cpu.cfs_quota_us").read_text()  # -1 where there is none
        period = (folder / "cpu.cfs_period_us").read_text()
        if int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):
        pass


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []
