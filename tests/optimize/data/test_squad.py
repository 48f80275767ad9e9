"""SQuAD files: what is read of them, what is refused, and samples."""

import gzip
import json

import pytest

from optimize.data import squad
from optimize.data.squad import Example
from optimize.errors import SourceError


def example(name):
    return Example(name, "t", "q", "c", ())


def test_a_sample_is_drawn_in_order_and_the_same_again():
    examples = [example(str(n)) for n in range(4)]
    drawn = squad.sample(examples, 3)
    assert drawn == squad.sample(examples, 3)
    assert [e.id for e in drawn] == sorted({e.id for e in drawn})
    assert len(drawn) == 3
    assert squad.sample(examples, None) == squad.sample(examples, 9) == examples


def document(qa):
    return {"data": [{"title": "t", "paragraphs": [{"context": "a fox", "qas": [qa]}]}]}


def test_read_both_versions(tmp_path):
    qa = {"id": "1", "question": "q", "answers": [{"text": "fox", "answer_start": 2}]}
    plain, packed = tmp_path / "v1.json", tmp_path / "v2.json.gz"
    plain.write_text(json.dumps(document(qa)))
    packed.write_bytes(gzip.compress(json.dumps(document(qa | {"is_impossible": True})).encode()))
    assert squad.read(plain) == [Example("1", "t", "q", "a fox", ("fox",), (2,))]
    assert (squad.read(packed)[0].answers, squad.read(packed)[0].starts) == ((), ())


def test_where_answers_begin_is_not_needed_to_evaluate(tmp_path):
    path = tmp_path / "v1.json"
    for start in ({}, {"answer_start": None}, {"answer_start": "2"}):
        path.write_text(
            json.dumps(document({"id": "1", "question": "q", "answers": [{"text": "fox"} | start]}))
        )
        assert squad.read(path) == [Example("1", "t", "q", "a fox", ("fox",))]


@pytest.mark.parametrize("content", ["{", "[]", '{"data": []}', '{"data": [{"paragraphs": 1}]}'])
def test_a_file_that_is_no_data_set(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"x\.json"):
        squad.read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        squad.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("qas", "message"),
    [
        ([{"id": "1"}, {"id": "1"}], "there twice"),
        ([{"id": ["x"]}], "no text"),
        ([{"id": "1", "question": 5}], "no text"),
    ],
)
def test_bad_questions_are_named(tmp_path, qas, message):
    path = tmp_path / "x.json"
    defaults = {"question": "q", "answers": []}
    paragraph = {"context": "c", "qas": [defaults | qa for qa in qas]}
    path.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    with pytest.raises(SourceError, match=message):
        squad.read(path)


def test_a_title_that_is_no_text(tmp_path):
    path = tmp_path / "x.json"
    whole = document({"id": "1", "question": "q", "answers": []})
    whole["data"][0]["title"] = None
    path.write_text(json.dumps(whole))
    with pytest.raises(SourceError, match="no text"):
        squad.read(path)


def test_questions_of_two_sets_are_the_same_by_what_is_asked():
    one = [example("1"), Example("2", "t", "other", "c", ())]
    assert squad.shared(one, [example("9")]) == 1
    assert squad.shared(one, []) == 0


def test_a_cut_archive(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(b'{"data": []}' * 100)[:40])
    with pytest.raises(SourceError, match="cannot be read"):
        squad.read(path)
