"""Publishers that are killed, race, or have nowhere to write: real processes, real file systems."""

import fcntl
import os
import random
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from optimize.errors import PublishError
from optimize.publishing import publish, staging
from predictor.artifact import digest, load_spec, read_spec, write_spec
from tests.optimize.publishing.publishers import Publisher, artifact, count_lines, triton_models

FOLDER = Path("qa") / "1"


@pytest.fixture
def build(make_artifact):
    """Makes the artifact of a build that no other shares a byte of the model with."""

    def make(digit, size=1000):
        folder = make_artifact(f"build-{digit}", version=1, build_id=digit * 64)
        (folder / "model.onnx").write_bytes(digit.encode() * size)
        spec = read_spec(folder)
        files = spec.files | {"model.onnx": digest(folder / "model.onnx")}
        write_spec(folder, spec.model_copy(update={"files": files}))
        return folder

    return make


def visible(root):
    """Every version folder under a final name, each of which has to be whole; and the rest."""
    artifacts, rest = {}, []
    for path in sorted(root.rglob("*")) if root.exists() else []:
        parts = path.relative_to(root).parts
        if any(part.startswith(".publishing-") for part in parts):
            continue
        if path.is_dir() and parts[-1].isdecimal():
            artifacts["/".join(parts)] = load_spec(path).build_id[0]
        elif not path.is_dir() and not any(part.isdecimal() for part in parts):
            rest.append("/".join(parts))
    return artifacts, rest


def leftovers(root):
    return list(root.rglob(".*"))


def locked(root):
    """The folders whose publisher lives and is not done with them."""
    held = []
    for lock in root.rglob(".publishing-*/lock"):
        with lock.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(lock.parent)
    return held


def points(lines, count, seed):
    """Line numbers: a random one of each of `count` equal stretches, and the last."""
    chosen = random.Random(seed)
    edges = [1 + lines * i // count for i in range(count + 1)]
    return [*(chosen.randrange(a, b) for a, b in pairwise(edges)), lines]


@pytest.mark.parametrize(
    ("job", "complete"),
    [
        (artifact, {"qa/1": "0"}),
        (triton_models, {"qa/1": "0", "triton/qa/1": "0", "triton/qa-batched/1": "0"}),
    ],
)
def test_killed_at_any_moment(job, complete, build, tmp_path):
    source = build("0")
    lines = count_lines(job, source, tmp_path / "measured")
    assert lines > 100
    seen = set()
    for number, line in enumerate(points(lines, 50, seed=len(complete))):
        root = tmp_path / f"root-{number}"
        killed = Publisher(job, source, root, at=line, die=True)
        assert killed.outcome() is None, f"line {line} of {lines} was never reached"
        assert killed.exitcode == -signal.SIGKILL
        found, configs = visible(root)
        assert found.items() <= complete.items()
        assert len(configs) == sum(name.startswith("triton/") for name in found)
        seen.add((len(found), bool(leftovers(root))))
        job(source, root)
        assert visible(root)[0] == complete
        assert leftovers(root) == []
    assert {(0, True), (len(complete), False)} <= seen
    assert {count for count, _ in seen} == set(range(len(complete) + 1))


@pytest.mark.parametrize("other", ["0", "1"])
@pytest.mark.parametrize("job", [artifact, triton_models])
def test_two_publishers_at_once(job, other, build, tmp_path):
    """One stops at a point, the other runs through, the first goes on."""
    first, second = build("0"), build("1") if other == "1" else tmp_path / "build-0"
    winners, lives = set(), 0
    for number, line in enumerate(points(count_lines(job, first, tmp_path / "measured"), 12, 0)):
        root = tmp_path / f"root-{number}"
        waiting = Publisher(job, first, root, at=line)
        waiting.wait_for_line()
        alive = locked(root)
        outcomes = [Publisher(job, second, root).outcome()]
        assert locked(root) == alive, "a live publisher's folder was swept"
        lives += len(alive)
        waiting.resume()
        outcomes.insert(0, waiting.outcome())
        found, _ = visible(root)
        (winner,) = set(found.values())
        winners.add(winner)
        if other == "0":
            assert outcomes == ["published", "published"]
        else:
            assert outcomes[int(winner)] == "published"
            assert outcomes[1 - int(winner)].startswith("PublishError: ")
            assert "another build" in outcomes[1 - int(winner)]
        assert leftovers(root) == []
    assert winners == {"0", other}
    assert lives > 3


def test_many_publishers_at_once(build, tmp_path):
    sources = [build(digit, size=3_000_000) for digit in "012"]
    for round_ in range(5):
        root = tmp_path / f"root-{round_}"
        running = [Publisher(artifact, source, root) for source in sources * 2]
        outcomes = [publisher.outcome() for publisher in running]
        (winner,) = visible(root)[0].values()
        for number, outcome in enumerate(outcomes):
            if number % 3 == int(winner):
                assert outcome == "published"
            else:
                assert outcome.startswith("PublishError: ")
        assert leftovers(root) == []


def test_a_folder_that_is_swept_all_the_same_publishes_nothing_half(build, tmp_path, monkeypatch):
    """As on a volume whose locks other nodes do not see."""
    source = build("0")
    rename = staging.rename

    def half(folder, **_):
        (folder / "1" / "model.onnx").unlink()

    def swept(staged, folder):
        with monkeypatch.context() as patch:
            patch.setattr(staging.fcntl, "flock", lambda *_: None)
            patch.setattr(staging.shutil, "rmtree", half)
            staging.sweep(folder.parent)
        return rename(staged, folder)

    with monkeypatch.context() as patch:
        patch.setattr(staging, "rename", swept)
        with pytest.raises(PublishError, match="cannot be written"):
            artifact(source, tmp_path / "root")
    assert visible(tmp_path / "root") == ({}, [])
    artifact(source, tmp_path / "root")
    assert visible(tmp_path / "root") == ({"qa/1": "0"}, [])
    assert leftovers(tmp_path / "root") == []


def test_a_file_system_without_locks(build, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(staging.fcntl, "flock", unsupported)
    with staging.staging(tmp_path / "root" / "qa") as other:
        artifact(build("0"), tmp_path / "root")
        assert leftovers(tmp_path / "root") == [other]
    assert visible(tmp_path / "root")[0] == {"qa/1": "0"}


def remount_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("job", [artifact, triton_models])
def test_a_full_disk(job, existing, build, mount, tmp_path):
    root = mount("size=1500k")
    if existing:
        (root / FOLDER).mkdir(parents=True)
    source = build("0", size=3_000_000)
    before = sorted(root.rglob("*"))
    line = Publisher(job, source, root).outcome()
    assert line == f"WriteError: {root / FOLDER}: cannot be written (No space left on device)"
    assert sorted(root.rglob("*")) == before


def test_no_space_for_triton(build, mount, monkeypatch):
    """The artifact fits, copies of it do not."""
    root = mount("size=4m")
    source = build("0", size=2_000_000)

    def unsupported(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    with pytest.raises(PublishError, match="No space left") as caught:
        triton_models(source, root)
    assert caught.value.exit_status == 1
    assert visible(root) == ({"qa/1": "0"}, [])
    assert leftovers(root) == []


def test_no_room_for_another_file(build, mount):
    """From one that has room for nothing to the first that has room for all."""
    source = build("0")
    for inodes in range(2, 12):
        root = mount("size=10m", f"nr_inodes={inodes}")
        outcome = Publisher(artifact, source, root).outcome()
        if outcome == "published":
            break
        assert outcome.startswith("WriteError: ")
        assert "No space left on device" in outcome
        assert list(root.iterdir()) == []
    assert 4 < inodes < 11


def test_a_read_only_target(build, mount):
    root = mount("size=10m")
    remount_read_only(root)
    outcome = Publisher(artifact, build("0"), root).outcome()
    assert outcome == f"WriteError: {root / FOLDER}: cannot be written (Read-only file system)"
    with pytest.raises(PublishError, match="Read-only"):
        publish.check_writable(root / FOLDER)


def test_found_on_a_read_only_target(build, mount):
    root = mount("size=10m")
    triton_models(build("0"), root)
    (root / "qa" / ".publishing-dead").mkdir()
    remount_read_only(root)
    staging.sweep(root / "qa")
    triton_models(root / FOLDER, root)


@pytest.mark.parametrize("moment", ["_open_lock", "_make"])
def test_a_publisher_that_is_interrupted_at_its_begin_leaves_nothing(moment, tmp_path, monkeypatch):
    real = getattr(staging, moment)

    def interrupted(folder):
        real(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, moment, interrupted)
    with pytest.raises(KeyboardInterrupt), staging.staging(tmp_path / "new" / "qa"):
        pytest.fail("it has begun")
    assert list(tmp_path.iterdir()) == []
