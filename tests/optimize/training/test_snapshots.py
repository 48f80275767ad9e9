"""Snapshots: the last two, whole ones only, and of this training only."""

import pytest
import torch

from optimize.errors import PublishError, SourceError, WriteError
from optimize.training.snapshots import Snapshots


def steps(folder):
    """Which steps a folder has snapshots of; it has nothing else."""
    found = [path.name.split("-") for path in folder.iterdir()]
    assert all(name == "snapshot" and hash_.endswith(".pt") for name, _, hash_ in found)
    return sorted(int(step) for _, step, _ in found)


def path_of(folder, step):
    (path,) = folder.glob(f"snapshot-{step}-*.pt")
    return path


def test_the_newest_two_are_kept(tmp_path):
    snapshots = Snapshots(tmp_path / "kept", "me")
    assert snapshots.latest() is None
    with snapshots.claimed():
        for step in (9, 10, 11):
            snapshots.save(step, {"weights": {"w": torch.tensor([float(step)])}})
        assert steps(tmp_path / "kept") == [10, 11]
        found = snapshots.latest()
    assert (found["step"], float(found["weights"]["w"])) == (11, 11.0)
    snapshots.remove()
    assert not (tmp_path / "kept").exists()
    snapshots.remove()


def cut(path):
    path.write_bytes(path.read_bytes()[:50])


def flip(path):
    """Changes one bit of a tensor, which torch does not notice."""
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\x00\x80\x3f" * 8)] ^= 1
    path.write_bytes(content)
    assert torch.load(path)["weights"]["w"].ne(1).any()


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_one_falls_back_to_the_one_before(tmp_path, caplog, damage):
    snapshots = Snapshots(tmp_path, "me")
    for step in (1, 2):
        snapshots.save(step, {"weights": {"w": torch.ones(8)}})
    path = path_of(tmp_path, 2)
    damage(path)
    assert snapshots.latest()["step"] == 1
    assert f"{path.name}: cannot be read" in caplog.text


def test_another_training_s_are_refused(tmp_path):
    Snapshots(tmp_path, "one").save(1, {})
    with pytest.raises(SourceError, match="holds snapshots of another training .* --snapshots$"):
        Snapshots(tmp_path, "another").latest()


def test_what_a_killed_writer_left_is_not_taken(tmp_path):
    (tmp_path / "snapshot-7.part").write_bytes(b"half")
    snapshots = Snapshots(tmp_path, "me")
    assert snapshots.latest() is None
    with snapshots.claimed():
        assert not list(tmp_path.iterdir())
        snapshots.save(7, {})
    assert steps(tmp_path) == [7]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    snapshots = Snapshots(tmp_path / "file" / "folder", "me")
    with pytest.raises(WriteError, match="cannot be written"), snapshots.claimed():
        pytest.fail("it was claimed")


def test_one_process_at_a_time(tmp_path):
    one, other = (Snapshots(tmp_path / "kept", name) for name in "ab")
    with one.claimed():
        with pytest.raises(PublishError, match=r"another process .* --snapshots$"), other.claimed():
            pytest.fail("two have it")
        assert (tmp_path / "kept").is_dir()
    with other.claimed():
        other.save(1, {})
    assert steps(tmp_path / "kept") == [1]


def test_a_full_disk_loses_nothing_that_was_there(mount):
    """The largest that fit is kept, and nothing half is left to fill the disk."""
    folder = mount("size=1m")
    snapshots = Snapshots(folder, "me")
    snapshots.save(1, {"weights": {"w": torch.ones(100_000)}})
    with pytest.raises(WriteError, match="No space left on device"):
        snapshots.save(2, {"weights": {"w": torch.ones(200_000)}})
    assert steps(folder) == [1]
    assert snapshots.latest()["step"] == 1
