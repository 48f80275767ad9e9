"""Questions in batches: each once, the same in every pass, as small as a budget."""

import pytest
import torch

from optimize.data.squad import Example
from optimize.errors import SourceError
from optimize.pruning import sequences
from optimize.pruning.sequences import Sequences, questions
from predictor.tokenization import FeatureTokenizer
from predictor.types import Question

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture
def make(checkpoint):
    def made(given, longest=64):
        return Sequences(checkpoint, given, INPUTS, 0, longest)

    return made


def asked(words, question="Who came?"):
    return Question(question, " ".join(["pigs"] * words))


def rows(batches):
    """Token ids of every row, without padding."""
    return [
        tuple(ids[mask.bool()].tolist())
        for batch in batches
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def test_every_question_is_there_once_by_its_first_window(make, checkpoint):
    given = [asked(words) for words in (3, 200, 1, 40, 7)]
    found = make(given)
    tokenizer = FeatureTokenizer(checkpoint / "tokenizer.json", max_seq_length=64, doc_stride=0)
    wanted = [tuple(tokenizer.features([question])[0].input_ids) for question in given]
    assert sorted(rows(found)) == sorted(wanted)
    assert max(map(len, wanted)) == 64
    assert found.rows == 5


def test_batches_are_padded_little_and_within_the_budget(make):
    given = [asked(words) for words in range(1, 58)] * 3
    found = list(make(given))
    assert len(found) == len(make(given))
    assert all(batch["input_ids"].numel() <= sequences.BATCH_TOKENS for batch in found)
    # As many rows as fit: one more of the next batch would have been too many.
    for batch, following in zip(found, found[1:], strict=False):
        shortest = int(following["attention_mask"].sum(1).min())
        assert (len(batch["input_ids"]) + 1) * shortest > sequences.BATCH_TOKENS
    real = sum(int(batch["attention_mask"].sum()) for batch in found)
    assert real / sum(batch["input_ids"].numel() for batch in found) > 0.6
    for batch in found:
        assert batch.keys() == set(INPUTS)
        assert batch["input_ids"].dtype == torch.int64
        assert not batch["input_ids"][batch["attention_mask"] == 0].any()


def test_every_pass_is_the_same(make):
    found = make([asked(words) for words in (9, 2, 30, 4)])
    assert rows(found) == rows(found)


def test_a_question_that_fills_the_window_is_left_out(make):
    long = asked(3, "pigs " * 100)
    assert make([long, asked(3)]).rows == 1
    with pytest.raises(SourceError, match="no training question leaves room for its context"):
        make([long, long])


def example(number, article, answer="pigs"):
    context = f"The {answer} of paragraph {number} went to {article}."
    return Example(f"q{number}", article, f"Who went {number}?", context, (answer,), (4,))


TRAIN = [example(number, f"article {number % 4}", f"animal{number} pigs") for number in range(40)]


def test_what_else_is_chosen_on_is_left_out():
    drawn = questions(TRAIN, 30, unanswerable=False, others=TRAIN[:15])
    texts = {question.question for question in drawn}
    assert len(drawn) == 25
    assert not texts & {other.question for other in TRAIN[:15]}
    # Where nothing is left, on all: pruning needs questions.
    assert len(questions(TRAIN, 30, unanswerable=False, others=TRAIN)) == 30


def test_a_third_has_no_answer():
    whole = {other.question: other for other in TRAIN}
    drawn = questions(TRAIN, 30, unanswerable=True)
    changed = [asked for asked in drawn if asked.context != whole[asked.question].context]
    assert len(changed) == 10
    for asked in changed:
        assert all(answer not in asked.context for answer in whole[asked.question].answers)
    plain = questions(TRAIN, 30, unanswerable=False)
    assert all(asked.context == whole[asked.question].context for asked in plain)


def test_the_seed_decides_the_draw():
    one, same, other = (questions(TRAIN, 10, unanswerable=True, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
