"""CPU limits of a container, from made-up cgroup files."""

import os

import pytest

from predictor.sessions.cpu import available_cpus

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "expected"),
    [("50000 100000", 1), ("150000 100000", min(2, ALL)), ("max 100000", ALL), ("nonsense", ALL)],
)
def test_cgroup_v2(tmp_path, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    assert available_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", ALL)])
def test_cgroup_v1(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_cpus(tmp_path) == expected


def test_no_cgroup(tmp_path):
    assert available_cpus(tmp_path) == ALL
