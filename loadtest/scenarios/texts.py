"""Random questions and contexts of exactly as many tokens as asked for.

With the model's tokenizer every text is counted before it is sent. Without one, texts are made of
words that the target itself counts as one token each.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

from loadtest.errors import OptionError, WrongError
from loadtest.prompts import Prompt
from loadtest.scenarios.words import WORDS

LONGEST_QUESTION = 12
_CHUNK, _ENOUGH = 32, 128
_FIRST = WORDS[0]
_DRAWS, _REPAIRS = 20, 50

Probe = Callable[[Prompt], int | None]
"""Asks a target for a prompt's token count."""


class Texts(Protocol):
    """Makes prompts; lengths count tokens, special ones included."""

    shortest: int

    def make(self, length: int, rng: random.Random) -> Prompt:
        """A random prompt of exactly that length; raises OptionError where there is none."""

    def count(self, prompt: Prompt) -> int | None:
        """A prompt's length, None where it cannot be known before it is sent."""


class TokenizerTexts:
    """Counts with the model's own tokenizer, whatever its kind and its template."""

    def __init__(self, path: Path) -> None:
        """Raises OptionError for a file that is no tokenizer."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no narrower one
            raise OptionError(f"{path} is not a tokenizer.json: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special = self._tokenizer.num_special_tokens_to_add(True)
        # A word may be another number of tokens at the begin of a text than after a space.
        self._firsts = {word: self._tokens(word) for word in WORDS}
        base = self._tokens(_FIRST)
        self._others = {word: self._tokens(f"{_FIRST} {word}") - base for word in WORDS}
        self.shortest = self._special + 2 * min(self._firsts.values())

    def make(self, length: int, rng: random.Random) -> Prompt:
        """A random prompt of exactly that length; raises OptionError where there is none."""
        if length < self.shortest:
            raise OptionError(_too_short(length, self.shortest))
        room = length - self._special
        for _ in range(_DRAWS):
            in_question = max(min(LONGEST_QUESTION, (room + 1) // 3), min(self._firsts.values()))
            question = self._words(in_question, rng)
            context = self._words(room - in_question, rng)
            for _ in range(_REPAIRS):
                prompt = Prompt(" ".join(question), " ".join(context))
                missing = length - self.count(prompt)
                if not missing and question and context:
                    return prompt
                # Where the tokens of a text are not the sum of its words'.
                if missing > 0:
                    context.append(rng.choice(WORDS))
                elif len(context) > 1:
                    context.pop(rng.randrange(len(context)))
                else:
                    break
        raise OptionError(f"the tokenizer makes no text of exactly {length} tokens out of words")

    def count(self, prompt: Prompt) -> int:
        """A prompt's length."""
        return len(self._tokenizer.encode(prompt.question, prompt.context).ids)

    def _words(self, tokens: int, rng: random.Random) -> list[str]:
        words: list[str] = []
        while tokens > 0:
            counts = self._others if words else self._firsts
            word = rng.choice(WORDS)
            if counts[word] > tokens:
                fitting = [word for word in WORDS if counts[word] <= tokens]
                if not fitting:
                    break
                word = rng.choice(fitting)
            words.append(word)
            tokens -= counts[word]
        return words

    def _tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class OneTokenTexts:
    """Texts of words that are one token each, after a first word of a known length."""

    def __init__(self, words: Sequence[str], shortest: int) -> None:
        """Takes the words, and the length of a prompt of one first word in each text."""
        self._words = words
        self.shortest = shortest

    def make(self, length: int, rng: random.Random) -> Prompt:
        """A random prompt of that length; raises OptionError where there is none."""
        more = length - self.shortest
        if more < 0:
            raise OptionError(_too_short(length, self.shortest))
        in_question = min(LONGEST_QUESTION - 1, more // 3)
        return Prompt(
            " ".join([_FIRST, *rng.choices(self._words, k=in_question)]),
            " ".join([_FIRST, *rng.choices(self._words, k=more - in_question)]),
        )

    def count(self, prompt: Prompt) -> None:
        """None: the words of other texts are not known."""


def calibrated(probe: Probe) -> OneTokenTexts | None:
    """Finds the words that the target counts as one token; None where it tells no counts.

    A text of n words is at least n tokens, so that n more words with n more tokens are one each;
    a chunk that has more is halved. Raises RequestError, of which WrongError where no word is.
    """
    shortest = probe(Prompt(_FIRST, _FIRST))
    if shortest is None:
        return None
    found: list[str] = []
    chunks = _batched(WORDS, _CHUNK)
    while chunks and len(found) < _ENOUGH:
        chunk = chunks.pop(0)
        if probe(Prompt(_FIRST, " ".join([_FIRST, *chunk]))) == shortest + len(chunk):
            found += chunk
        elif len(chunk) > 1:
            chunks += _batched(chunk, (len(chunk) + 1) // 2)
    if not found:
        raise WrongError("the target counts no common word as one token: give its tokenizer")
    return OneTokenTexts(found, shortest)


def assumed() -> OneTokenTexts:
    """What holds for the uncased BERT vocabulary and its template."""
    return OneTokenTexts(WORDS, 5)


def _batched(words: Sequence[str], size: int) -> list[Sequence[str]]:
    return [words[start : start + size] for start in range(0, len(words), size)]


def _too_short(length: int, shortest: int) -> str:
    return f"{length} is too short: a word in the question and in the context are {shortest} tokens"
