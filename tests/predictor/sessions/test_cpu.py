"""CPU limits of a container, from made-up cgroup files, and from a real cgroup where that works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from predictor.sessions import cpu
from predictor.sessions.cpu import available_cpus

V1_MOUNT = "33 25 0:28 {top} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
V2_MOUNT = "26 20 0:23 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
OTHER_MOUNTS = [
    "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "34 25 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
]


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.fixture
def tree(tmp_path):
    """Makes a root with /proc/self and cgroup folders; quotas are text, by folder."""

    def make(group, mount, quotas, top="/"):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"5:cpuset:/elsewhere\n{group}\n")
        mounts = [*OTHER_MOUNTS, mount.format(top=top)]
        (tmp_path / "proc/self/mountinfo").write_text("\n".join(mounts) + "\n")
        for name, quota in quotas.items():
            folder = tmp_path / "sys/fs/cgroup" / name
            folder.mkdir(parents=True, exist_ok=True)
            if mount == V2_MOUNT:
                (folder / "cpu.max").write_text(f"{quota}\n")
            else:
                (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
                (folder / "cpu.cfs_period_us").write_text("100000\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("50000 100000", 1),
        ("100000 100000", 1),
        ("150000 100000", 1),
        ("200000 100000", 2),
        ("290000 100000", 2),
        ("3500 1000", 3),
        ("9900000 100000", 8),
        ("max 100000", 8),
        ("nonsense", 8),
    ],
)
def test_cgroup_v2_of_a_container(tree, content, expected):
    assert available_cpus(tree("0::/", V2_MOUNT, {"": content})) == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [("100000", 1), ("150000", 1), ("400000", 4), ("-1", 8)]
)
def test_cgroup_v1_of_a_container(tree, quota, expected):
    root = tree("4:cpu,cpuacct:/", V1_MOUNT, {"cpu,cpuacct": quota})
    assert available_cpus(root) == expected


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        (("max 1", "max 1", "300000 100000"), 3),
        (("max 1", "200000 100000", "300000 100000"), 2),
        (("500000 100000", "max 1", "max 1"), 5),
        (("max 1", "max 1", "max 1"), 8),
    ],
)
def test_the_smallest_of_nested_v2_quotas_counts(tree, quotas, expected):
    names = ("", "pods.slice", "pods.slice/mine.scope")
    # A neighbour's does not.
    quotas = dict(zip(names, quotas, strict=True)) | {"pods.slice/other.scope": "100000 100000"}
    assert available_cpus(tree("0::/pods.slice/mine.scope", V2_MOUNT, quotas)) == expected


def test_the_smallest_of_nested_v1_quotas_counts(tree):
    quotas = {"cpu,cpuacct": "-1", "cpu,cpuacct/pod": "200000", "cpu,cpuacct/pod/mine": "300000"}
    assert available_cpus(tree("4:cpuacct,cpu:/pod/mine", V1_MOUNT, quotas)) == 2


@pytest.mark.parametrize("top", ["/docker/abc", "/.."])
def test_a_container_without_a_namespace_sees_its_own_part(tree, top):
    root = tree("4:cpu,cpuacct:/docker/abc", V1_MOUNT, {"cpu,cpuacct": "300000"}, top)
    assert available_cpus(root) == 3


def test_a_group_below_the_part_that_is_mounted(tree):
    quotas = {"cpu,cpuacct": "-1", "cpu,cpuacct/inner": "300000"}
    root = tree("4:cpu,cpuacct:/docker/abc/inner", V1_MOUNT, quotas, "/docker/abc")
    assert available_cpus(root) == 3


def test_affinity_may_be_less_than_the_quota(tree, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert available_cpus(tree("0::/", V2_MOUNT, {"": "400000 100000"})) == 1


def test_no_cgroup(tmp_path):
    assert available_cpus(tmp_path) == 8


@pytest.fixture
def real_cgroup():
    """A cgroup of this machine with a quota of one CPU, and one below it without any."""
    for folder, quota, content in (
        ("cpu", "cpu.cfs_quota_us", "100000"),
        (".", "cpu.max", "100000 100000"),
    ):
        group = Path("/sys/fs/cgroup", folder, f"spanserve-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        inner = group / "inner"
        try:
            if not (group / quota).exists():
                continue
            (group / quota).write_text(content)
            inner.mkdir()
            yield inner
        except OSError:
            continue
        finally:
            if inner.exists():
                inner.rmdir()
            group.rmdir()
        return
    pytest.skip("no cgroup with a quota can be made here")


def test_a_process_in_a_real_cgroup(real_cgroup, monkeypatch):
    monkeypatch.undo()
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one CPU anyway")
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "from predictor.sessions.cpu import available_cpus; print(available_cpus())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(real_cgroup / "cgroup.procs")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(cpu.__file__).parent.parent.parent,
    )
    assert done.stdout == "1\n"
