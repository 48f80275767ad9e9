"""A folder that is not what it says it is, is refused with one line."""

import json

import pytest

from predictor.artifact import load_spec, read_spec
from predictor.errors import ArtifactError


def test_a_whole_artifact_is_read(make_artifact):
    spec = load_spec(make_artifact())
    assert (spec.name, spec.version, spec.max_seq_length) == ("qa", 3, 64)
    assert spec.model_validate_json(spec.model_dump_json()) == spec


def test_an_artifact_of_the_first_schema_stays_one(make_artifact):
    folder = make_artifact(schema_version=1)
    written = json.loads((folder / "artifact.json").read_text())
    assert "instruction_sets" not in written
    spec = load_spec(folder)
    assert (spec.schema_version, spec.instruction_sets) == (1, None)
    assert json.loads(spec.model_copy(update={"version": 4}).model_dump_json()) == written | {
        "version": 4
    }


def test_instruction_sets_are_kept(make_artifact):
    spec = load_spec(make_artifact(instruction_sets=["avx2", "avx_vnni"]))
    assert (spec.schema_version, spec.instruction_sets) == (2, ("avx2", "avx_vnni"))


def test_a_flipped_byte_is_found(make_artifact):
    folder = make_artifact()
    content = bytearray((folder / "model.onnx").read_bytes())
    content[5] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx: wrong checksum"):
        load_spec(folder)


def test_a_cut_file_is_found(make_artifact):
    folder = make_artifact()
    (folder / "model.onnx").write_bytes(b"no")
    with pytest.raises(ArtifactError, match="2 bytes, 19 expected"):
        load_spec(folder)


def test_a_missing_tokenizer_is_found(make_artifact):
    folder = make_artifact()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: cannot be read"):
        load_spec(folder)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_there_yet(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError) as caught:
        load_spec(tmp_path / name)
    text = f"{tmp_path / name}: no artifact there yet; is the optimize job done?"
    assert str(caught.value) == text


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "other").write_text("")
    with pytest.raises(ArtifactError, match="is the artifact published"):
        load_spec(tmp_path)


def test_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"file: cannot be read \(Not a directory\)"):
        load_spec(tmp_path / "file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"schema_version": 3, "of_the_future": 1},
            "schema version 3 is not understood; this predictor reads versions 1 to 2",
        ),
        ({"precision": "fp8"}, "precision"),
        ({"version": 0}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"files": {"../secret": {"size": 1, "sha256": "0" * 64}}}, "files"),
    ],
)
def test_a_bad_field_is_named(make_artifact, changes, message):
    path = make_artifact() / "artifact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ArtifactError, match=message) as caught:
        read_spec(path.parent)
    assert "\n" not in str(caught.value)


def test_a_spec_without_the_model_file_is_refused(make_artifact):
    with pytest.raises(ArtifactError, match=r"lists no model\.onnx"):
        load_spec(make_artifact(files={}))
