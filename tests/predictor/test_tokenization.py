"""Windows against the tokenizers library's own truncation, and what they promise."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokenizers

from predictor.errors import ArtifactError, QuestionTooLong, RequestTooLarge
from predictor.tokenization import FeatureTokenizer
from predictor.types import Question

CONTEXT = (
    "Müller paid 12 € for the café’s best coffee — “too much”, he said. 🙂 Unbelievably, the "
    "antidisestablishmentarian 寿司 stall next door asked only half of that, on a warm evening. "
) * 6


@pytest.mark.parametrize(("max_seq_length", "doc_stride"), [(64, 16), (48, 0), (128, 40)])
def test_windows_are_those_of_the_library(checkpoint, make_tokenizer, max_seq_length, doc_stride):
    question = "Who paid for coffee?"
    library = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    library.no_padding()
    library.enable_truncation(max_seq_length, stride=doc_stride, strategy="only_second")
    encoding = library.encode(question, CONTEXT)
    expected = [encoding, *encoding.overflowing]

    features = make_tokenizer(max_seq_length, doc_stride).features([Question(question, CONTEXT)])

    assert len(features) == len(expected) > 1
    for ours, theirs in zip(features, expected, strict=True):
        assert ours.input_ids.tolist() == theirs.ids
        assert ours.token_type_ids.tolist() == theirs.type_ids
        in_context = [s == 1 for s in theirs.sequence_ids]
        assert ours.context_mask.tolist() == in_context
        assert [tuple(o) for o in ours.offset_mapping[ours.context_mask]] == [
            o for o, inside in zip(theirs.offsets, in_context, strict=True) if inside
        ]


def test_offsets_count_code_points(make_tokenizer):
    (feature,) = make_tokenizer(64, 16).features([Question("q", "🙂 é 寿司 café")])
    words = ["🙂 é 寿司 café"[a:b] for a, b in feature.offset_mapping[feature.context_mask]]
    assert words[1:] == ["é", "寿", "司", "café"]


def test_each_question_has_features_of_its_own(make_tokenizer):
    questions = [Question("one", "short"), Question("two", CONTEXT), Question("three", "short")]
    features = make_tokenizer(64, 16).features(questions)
    indices = [feature.question_index for feature in features]
    assert indices == sorted(indices)
    assert set(indices) == {0, 1, 2}


def test_a_context_without_tokens_is_one_feature(make_tokenizer):
    (feature,) = make_tokenizer(64, 16).features([Question("q", "\u200b\u0000")])
    assert not feature.context_mask.any()


def test_a_question_that_leaves_no_room_is_refused(make_tokenizer):
    with pytest.raises(QuestionTooLong, match="too long"):
        make_tokenizer(64, 16).features([Question("word " * 60, CONTEXT)])


def test_a_long_question_shrinks_the_overlap(make_tokenizer):
    features = make_tokenizer(64, 30).features([Question("word " * 40, CONTEXT)])
    assert max(map(len, features)) == 64
    covered = {int(i) for f in features for i in f.offset_mapping[f.context_mask][:, 0]}
    (whole,) = make_tokenizer(100_000, 0).features([Question("word", CONTEXT)])
    assert covered == {int(i) for i in whole.offset_mapping[whole.context_mask][:, 0]}


def test_threads_do_not_disturb_each_other(make_tokenizer):
    tokenizer = make_tokenizer(64, 16)
    expected = [f.input_ids.tolist() for f in tokenizer.features([Question("q", CONTEXT)])]
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: tokenizer.features([Question("q", CONTEXT)]), range(200)))
    assert all([f.input_ids.tolist() for f in run] == expected for run in runs)


def test_a_file_that_is_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ArtifactError, match="not a tokenizer"):
        FeatureTokenizer(path, max_seq_length=64, doc_stride=16)


def test_tokens_are_bounded_over_all_questions(make_tokenizer):
    tokenizer = make_tokenizer(64, 16)
    questions = [Question("Who paid?", CONTEXT)] * 20
    tokens = sum(map(len, tokenizer.features(questions)))
    assert sum(map(len, tokenizer.features(questions, tokens))) == tokens
    with pytest.raises(RequestTooLarge, match=f"at most {tokens - 1} tokens"):
        tokenizer.features(questions, tokens - 1)


def test_a_small_text_that_has_huge_windows_is_refused_before_they_are_made(make_tokenizer):
    tokenizer = make_tokenizer(512, 128)
    # The question leaves room for 17 tokens in each window, which overlap by half.
    question = Question("a " * 492, "." * 30_000)
    tracemalloc.start()
    try:
        with pytest.raises(RequestTooLarge):
            tokenizer.features([question], 65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20e6  # the windows alone are over 50 MB
