"""Random texts have exactly the tokens asked for, and the same ones for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import RobertaProcessing
from tokenizers.trainers import BpeTrainer

from loadtest.errors import OptionError, WrongError
from loadtest.prompts import Prompt
from loadtest.scenarios.texts import TokenizerTexts, assumed, calibrated
from loadtest.scenarios.words import WORDS

ROOT = Path(__file__).resolve().parents[3]
WORD_PIECE = ROOT / "demo" / "checkpoint" / "baseline" / "tokenizer.json"
DRAWS = 10_000


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with RoBERTa's template, trained on half of the words.

    Where a word begins a text it has no leading space, and is more tokens or fewer.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    shuffled = random.Random(0).sample(WORDS, len(WORDS) // 2)
    tokenizer.train_from_iterator([" ".join(shuffled)] * 3, trainer)
    tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.enable_truncation(64)
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(params=["WordPiece", "byte-level BPE"])
def tokenizer_file(request: pytest.FixtureRequest, byte_level: Path) -> Path:
    return WORD_PIECE if request.param == "WordPiece" else byte_level


def test_exactly_as_many_tokens_as_asked_for(tokenizer_file: Path) -> None:
    texts = TokenizerTexts(tokenizer_file)
    # What counts is another tokenizer than the one that the texts were made with.
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_truncation()
    rng = random.Random(1)
    longest = 512
    for draw in range(DRAWS):
        # Short ones are where the first word's own count matters; long ones cost the time.
        length = rng.randint(texts.shortest, longest if draw % 10 == 0 else 40)
        prompt = texts.make(length, rng)
        assert len(tokenizer.encode(prompt.question, prompt.context).ids) == length
        assert prompt.question
        assert prompt.context


def test_the_trained_tokenizer_is_a_hard_case(byte_level: Path) -> None:
    tokenizer = Tokenizer.from_file(str(byte_level))
    counts = Counter(len(tokenizer.encode(f" {word}").ids) - 2 for word in WORDS)
    assert len(counts) > 2, "words of one, two and more tokens"
    differing = [
        word
        for word in WORDS
        if len(tokenizer.encode(word).ids) != len(tokenizer.encode(f" {word}").ids)
    ]
    assert differing
    # <s> question </s></s> context </s>
    assert TokenizerTexts(byte_level).shortest >= 6


def test_same_seed_same_texts_and_each_request_another(tokenizer_file: Path) -> None:
    texts = TokenizerTexts(tokenizer_file)
    first, again, other = random.Random(7), random.Random(7), random.Random(8)
    prompts = [texts.make(64, first) for _ in range(20)]
    assert prompts == [texts.make(64, again) for _ in range(20)]
    assert len(set(prompts)) == 20
    assert texts.make(64, other) not in prompts


def test_too_short(tokenizer_file: Path) -> None:
    texts = TokenizerTexts(tokenizer_file)
    with pytest.raises(OptionError, match=f"are {texts.shortest} tokens"):
        texts.make(texts.shortest - 1, random.Random(0))


def test_calibrated_by_the_target_s_own_counts(tokenizer_file: Path) -> None:
    texts = TokenizerTexts(tokenizer_file)
    probes: list[Prompt] = []

    def probe(prompt: Prompt) -> int:
        probes.append(prompt)
        return texts.count(prompt)

    found = calibrated(probe)
    assert found
    # Halving asks twice as often as there are words at worst, and rarely where all are one token.
    assert len(probes) <= (6 if tokenizer_file == WORD_PIECE else 2 * len(WORDS))
    rng = random.Random(2)
    for _ in range(1000):
        length = rng.randint(found.shortest, 200)
        assert texts.count(found.make(length, rng)) == length
    with pytest.raises(OptionError, match="too short"):
        found.make(found.shortest - 1, rng)


def test_calibration_without_counts_or_without_words() -> None:
    assert calibrated(lambda _: None) is None
    with pytest.raises(WrongError, match="give its tokenizer"):
        calibrated(lambda prompt: len(prompt.context) + 3)


def test_what_is_assumed_holds_for_the_uncased_bert_vocabulary() -> None:
    count = TokenizerTexts(WORD_PIECE).count
    rng = random.Random(3)
    assert all(count(assumed().make(length, rng)) == length for length in (5, 6, 7, 64, 512))
    assert len(set(WORDS)) == len(WORDS)


def test_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(OptionError, match=r"is not a tokenizer\.json"):
        TokenizerTexts(tmp_path / "tokenizer.json")
