"""What is found out of a target before it is measured."""

import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.clients.base import Client
from loadtest.clients.factory import make_client
from loadtest.errors import AnswerError, OptionError, RefusedError, WrongError
from loadtest.options import Options
from loadtest.phases import lengths_of_table, longest_length
from loadtest.prompts import Prompt
from loadtest.scenarios.texts import Texts, TokenizerTexts, assumed, calibrated
from loadtest.squad import draw_length, read_questions
from loadtest.targets import Target

_POOL = 1000
_RETRIES, _RETRY_SECONDS = 4, 0.5


@dataclass
class Prepared:
    """A target that is ready, and texts for it.

    Attributes:
        limit: The longest sequence that the model takes, in tokens, 0 where that is not known.
        pool: Prompts to draw from under load, each with its length, 0 where that is not known.
    """

    target: Target
    texts: Texts
    limit: int
    notes: list[str]
    pool: list[tuple[Prompt, int]] = field(default_factory=list)


def prepare(target: Target, options: Options) -> Prepared:
    """Checks that the target is ready and takes the lengths asked for; raises LoadTestError."""
    client = make_client(target, options.request_timeout)
    try:
        client.check_ready()
        notes: list[str] = []
        texts = _texts(target, client, notes)
        limit = _limit(target, texts, client, options, notes)
    finally:
        client.close()
    prepared = Prepared(target, texts, limit, notes)
    if options.scenario != "latency-table":
        prepared.pool = _pool(prepared, options)
    return prepared


def _texts(target: Target, client: Client, notes: list[str]) -> Texts:
    if target.tokenizer:
        return TokenizerTexts(Path(target.tokenizer))
    found = calibrated(lambda prompt: _count(client, prompt))
    if found:
        return found
    notes.append(
        "It returns no token counts and no tokenizer was given: lengths hold for the uncased BERT "
        "vocabulary, and are not checked."
    )
    return assumed()


def _limit(target: Target, texts: Texts, client: Client, options: Options, notes: list[str]) -> int:
    known = target.max_length or _limit_beside(target)
    asked = _asked(options)
    _refuse_longer(asked, known)
    if min(asked, default=texts.shortest) < texts.shortest:
        texts.make(min(asked), random.Random(0))
    longest = longest_length(options, known)
    try:
        seen = _count(client, texts.make(longest, random.Random(options.seed)))
    except AnswerError as error:
        raise AnswerError(f"it refuses a text of {longest} tokens: {error}") from error
    if seen is None:
        if target.tokenizer:
            notes.append("It returns no token counts: lengths are those of the tokenizer given.")
        return known
    if seen > longest:
        raise WrongError(
            f"a text of {longest} tokens is {seen} to it: its tokenizer is not the one given"
        )
    if seen < longest:
        _refuse_longer(asked, seen)
    return min(seen, longest) if seen < longest else max(known, longest)


def _count(client: Client, prompt: Prompt) -> int | None:
    """The target's own token count; one that is busy for the moment is asked again."""
    for _ in range(_RETRIES):
        with contextlib.suppress(RefusedError):
            return client.infer(prompt).sequence_length
        time.sleep(_RETRY_SECONDS)
    return client.infer(prompt).sequence_length


def _asked(options: Options) -> list[int]:
    if options.scenario == "latency-table":
        return list(lengths_of_table(options))
    return list(options.token_counts)


def _refuse_longer(asked: list[int], limit: int) -> None:
    too_long = [str(length) for length in asked if limit and length > limit]
    if too_long:
        raise OptionError(f"the model takes {limit} tokens at most, not {', '.join(too_long)}")


def _limit_beside(target: Target) -> int:
    """The tokenizer's own limit, from the file beside it; 0 where it has none."""
    if not target.tokenizer:
        return 0
    try:
        path = Path(target.tokenizer).with_name("tokenizer_config.json")
        limit = json.loads(path.read_text(encoding="utf-8"))["model_max_length"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    # Those without a limit have 10 to the 30.
    return limit if isinstance(limit, int) and limit < 1_000_000 else 0


def _pool(prepared: Prepared, options: Options) -> list[tuple[Prompt, int]]:
    """Made before the test, lest making texts slows the client down under load."""
    texts, limit = prepared.texts, prepared.limit
    rng = random.Random(options.seed)
    if options.questions:
        prompts = read_questions(Path(options.questions))
        prompts = rng.sample(prompts, min(_POOL, len(prompts)))
        counts = [texts.count(prompt) or 0 for prompt in prompts]
        # What is longer than the model's window comes back as the window's length.
        return [
            (prompt, count if not limit or count <= limit else 0)
            for prompt, count in zip(prompts, counts, strict=True)
        ]
    asked = options.token_counts
    longest = longest_length(options, limit)
    longest = min(longest, limit or longest)
    lengths = [
        rng.choice(asked) if asked else draw_length(rng, texts.shortest, longest)
        for _ in range(_POOL)
    ]
    return [(texts.make(length, rng), length) for length in lengths]
