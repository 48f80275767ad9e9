"""The check that compares answers with and without AVX-512, on the artifact of schema 1."""

import json
import platform
import shutil

import pytest

from benchmarks.instructions.__main__ import main
from predictor.sessions import instructions
from tests.predictor.test_earlier_artifact import FOLDER, expected

pytestmark = [
    pytest.mark.skipif(
        shutil.which("valgrind") is None or platform.machine() != "x86_64",
        reason="valgrind is not here",
    ),
    pytest.mark.skipif(
        not {"avx512_vnni", "avx_vnni"} & set(instructions.detected() or ()),
        reason="this CPU has no VNNI to compare with",
    ),
]


@pytest.fixture
def dataset(tmp_path):
    # The last one is answered otherwise where 8-bit weights saturate.
    row = expected()[-1]
    qa = {"id": "last", "question": row["question"], "is_impossible": True, "answers": []}
    paragraphs = [{"context": row["context"], "qas": [qa]}]
    path = tmp_path / "questions.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8")
    return str(path)


def test_an_artifact_of_the_first_schema_answers_alike(dataset, capfd):
    assert main(["--model-dir", str(FOLDER), "--dataset", dataset]) == 0
    out, err = capfd.readouterr()
    assert "against valgrind (avx2)" in out
    assert "1 of 1 answers are the same" in out


def test_saturated_products_are_found(dataset, tmp_path, capfd):
    folder = shutil.copytree(FOLDER, tmp_path / "artifact")
    spec = json.loads((folder / "artifact.json").read_text("utf-8"))
    # It is taken for one whose weights have 7 bits.
    (folder / "artifact.json").write_text(json.dumps(spec | {"schema_version": 2}), "utf-8")
    assert main(["--model-dir", str(folder), "--dataset", dataset]) == 1
    out, _ = capfd.readouterr()
    assert "natively, " in out
    assert "0 of 1 answers are the same" in out


def test_a_question_that_is_not_there(dataset, capfd):
    assert main(["--dataset", dataset, "demo-096"]) == 1
    assert "has no question demo-096" in capfd.readouterr().err
