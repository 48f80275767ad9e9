"""Publication is atomic, versioned and idempotent."""

import os

import pytest

from optimize.errors import PublishError, WriteError
from optimize.publishing import publish
from predictor.artifact import load_spec, read_spec
from tests.optimize.publishing.publishers import publish_artifact

REPORTS = {"report.md": "# report\n"}


def test_publish_and_find_it_again(make_artifact, tmp_path):
    source = make_artifact()
    spec = read_spec(source)
    folder = publish.target(tmp_path / "root", "qa", 1)
    assert not publish.published(folder, spec.build_id)
    publish_artifact(source, spec, folder, REPORTS)
    assert load_spec(folder) == spec
    assert (folder / "report.md").read_text() == "# report\n"
    assert publish.published(folder, spec.build_id)
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_an_empty_folder_counts_as_nothing(make_artifact, tmp_path):
    source = make_artifact()
    folder = tmp_path / "root" / "1"
    folder.mkdir(parents=True)
    assert not publish.published(folder, "0" * 64)
    publish_artifact(source, read_spec(source), folder, REPORTS)
    assert publish.published(folder, "0" * 64)


def test_another_build_is_never_replaced(make_artifact):
    folder = make_artifact()
    with pytest.raises(PublishError, match="another build") as caught:
        publish.published(folder, "f" * 64)
    assert caught.value.exit_status == 2


def test_a_damaged_or_foreign_folder_is_refused(make_artifact, tmp_path):
    folder = make_artifact()
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(PublishError, match="remove"):
        publish.published(folder, "0" * 64)
    with pytest.raises(PublishError, match="something else"):
        publish.published(tmp_path, "0" * 64)


def test_a_failed_copy_leaves_nothing(make_artifact, tmp_path):
    source = make_artifact()
    spec = read_spec(source)
    (source / "tokenizer.json").unlink()
    with pytest.raises(WriteError, match="No such file"):
        publish_artifact(source, spec, tmp_path / "root" / "qa" / "1", REPORTS)
    assert not (tmp_path / "root").exists()


def test_a_copy_that_is_not_what_the_spec_promises(make_artifact, tmp_path):
    source = make_artifact()
    (source / "model.onnx").write_bytes(b"as many bytes, wrong")
    with pytest.raises(WriteError, match=r"model\.onnx"):
        publish_artifact(source, read_spec(source), tmp_path / "root" / "qa" / "1", REPORTS)
    assert not (tmp_path / "root").exists()


def test_publishing_again_changes_nothing(make_artifact, tmp_path):
    source = make_artifact()
    folder = tmp_path / "root" / "qa" / "1"
    publish_artifact(source, read_spec(source), folder, REPORTS)
    before = folder.stat().st_ino
    publish_artifact(source, read_spec(source), folder, {"report.md": "another"})
    assert (folder / "report.md").read_text() == "# report\n"
    other = make_artifact("other", build_id="1" * 64)
    with pytest.raises(PublishError, match="another build"):
        publish_artifact(other, read_spec(other), folder, REPORTS)
    assert folder.stat().st_ino == before
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", ".hidden", "triton"])
def test_a_name_that_leads_elsewhere(name):
    with pytest.raises(PublishError, match="name"):
        publish.check_name(name)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "1").write_text("")
    with pytest.raises(PublishError, match="cannot be read"):
        publish.published(tmp_path / "1", "0" * 64)


def test_an_unwritable_root_is_found_early(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PublishError, match="cannot be written"):
        publish.check_writable(tmp_path / "file" / "root" / "qa" / "1")
    if os.getuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(PublishError):
            publish.check_writable(tmp_path / "closed" / "qa" / "1")


@pytest.mark.parametrize("empty", [False, True])
def test_a_check_leaves_things_as_they_were(empty, tmp_path):
    folder = tmp_path / "root" / "qa" / "1"
    if empty:
        folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    publish.check_writable(folder)
    assert sorted(tmp_path.rglob("*")) == before
