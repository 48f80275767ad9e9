"""Publishing onto the empty folder that a pod makes when it mounts a version before it is there."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from optimize.errors import WriteError
from optimize.publishing import publish
from predictor.artifact import load_spec
from tests.optimize.publishing.publishers import Publisher, artifact, publish_artifact

FOLDER = Path("qa") / "1"
USER = 1000


def as_user(source, root):
    """Publishes as the images do, not as root."""
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    publish.check_writable(root / FOLDER)
    artifact(source, root)


@pytest.fixture
def volume(make_artifact):
    """A folder that every user reaches, with an artifact in `build`, and root's `qa/1`, empty."""
    if os.getuid() != 0:
        pytest.skip("only root can make folders as another user")
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder)
        volume.chmod(0o755)
        shutil.copytree(make_artifact(), volume / "build")
        (volume / "root" / FOLDER).mkdir(parents=True)
        yield volume


def publish_there(folder):
    source = folder.parent / "artifact"
    publish_artifact(source, load_spec(source), folder, {})


def allow(volume, mode):
    """Gives `root`, `qa` and `qa/1` root's user, the images' group, and a mode."""
    for folder in (volume / "root", volume / "root" / "qa", volume / "root" / FOLDER):
        os.chown(folder, 0, USER)
        folder.chmod(mode)


def test_a_folder_of_root_on_a_volume_of_the_group(volume):
    allow(volume, 0o2775)
    assert Publisher(as_user, volume / "build", volume / "root").outcome() == "published"
    folder = volume / "root" / FOLDER
    assert load_spec(folder).name == "qa"
    assert folder.stat().st_uid == USER
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (0o2755, "Permission denied"),
        (
            0o2775 | stat.S_ISVTX,
            "the empty folder there cannot be replaced: Operation not permitted",
        ),
    ],
)
def test_a_folder_that_only_root_may_replace(mode, message, volume):
    allow(volume, mode)
    outcome = Publisher(as_user, volume / "build", volume / "root").outcome()
    assert outcome == f"WriteError: {volume / 'root' / FOLDER}: cannot be written ({message})"
    assert sorted(path.name for path in (volume / "root").rglob("*")) == ["1", "qa"]


@pytest.mark.parametrize("attempt", [publish.check_writable, publish_there])
def test_a_mount_cannot_be_replaced(attempt, make_artifact, mount):
    """As where a Job mounts the version itself, not the volume's root."""
    make_artifact()
    folder = mount("size=1m")
    with pytest.raises(WriteError, match=r"folder there cannot be replaced: .*busy") as caught:
        attempt(folder)
    assert str(folder) in str(caught.value)
    assert list(folder.iterdir()) == []
    assert not list(folder.parent.glob(".publishing-*"))


def test_a_folder_with_anything_in_it_is_never_replaced(make_artifact, tmp_path):
    folder = tmp_path / "root" / FOLDER
    folder.mkdir(parents=True)
    (folder / "file").write_text("kept")
    source = make_artifact()
    with pytest.raises(publish.PublishError, match="something else"):
        artifact(source, tmp_path / "root")
    assert (folder / "file").read_text() == "kept"
