"""Snapshots: the last two, whole ones only, and of this training only."""

import pytest
import torch

from optimize.errors import SourceError, WriteError
from optimize.training.snapshots import Snapshots


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept(tmp_path):
    snapshots = Snapshots(tmp_path / "kept", "me")
    assert snapshots.latest() is None
    for step in (9, 10, 11):
        snapshots.save(step, {"weights": {"w": torch.tensor([float(step)])}})
    assert names(tmp_path / "kept") == ["snapshot-10.pt", "snapshot-11.pt"]
    found = snapshots.latest()
    assert (found["step"], float(found["weights"]["w"])) == (11, 11.0)
    snapshots.remove()
    assert not (tmp_path / "kept").exists()
    snapshots.remove()


def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, caplog):
    snapshots = Snapshots(tmp_path, "me")
    for step in (1, 2):
        snapshots.save(step, {"weights": {}})
    path = tmp_path / "snapshot-2.pt"
    path.write_bytes(path.read_bytes()[:50])
    assert snapshots.latest()["step"] == 1
    assert "snapshot-2.pt: cannot be read" in caplog.text


def test_another_training_s_are_refused(tmp_path):
    Snapshots(tmp_path, "one").save(1, {})
    with pytest.raises(SourceError, match="holds snapshots of another training .* --snapshots$"):
        Snapshots(tmp_path, "another").latest()


def test_what_a_killed_writer_left_is_not_taken(tmp_path):
    (tmp_path / "snapshot-7.part").write_bytes(b"half")
    snapshots = Snapshots(tmp_path, "me")
    assert snapshots.latest() is None
    snapshots.save(7, {})
    assert names(tmp_path) == ["snapshot-7.pt"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        Snapshots(tmp_path / "file" / "folder", "me").save(1, {})
