"""Lengths distributed like SQuAD's, and real questions from a file in SQuAD's layout."""

import gzip
import json
import random
from pathlib import Path

from loadtest.errors import OptionError
from loadtest.prompts import Prompt

MEDIAN_TOKENS = 150
SIGMA = 0.45
LEAST_TOKENS, MOST_TOKENS = 32, 512


def draw_length(rng: random.Random, shortest: int, longest: int) -> int:
    """Tokens of question and context together, within bounds.

    Log-normal with median 150 and σ 0.45: 5 % below about 72, 5 % above about 315.
    """
    drawn = round(MEDIAN_TOKENS * rng.lognormvariate(0, SIGMA))
    return min(max(drawn, LEAST_TOKENS, shortest), longest)


def read_questions(path: Path) -> list[Prompt]:
    """Every question of the file with its context; raises OptionError."""
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        prompts = [
            Prompt(str(qa["question"]), str(paragraph["context"]))
            for article in json.loads(text)["data"]
            for paragraph in article["paragraphs"]
            for qa in paragraph["qas"]
        ]
    except OSError as error:
        reason = error.strerror or error
        raise OptionError(f"cannot read the questions {path}: {reason}") from error
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise OptionError(f"{path} does not have SQuAD's layout: {error!r}") from error
    if not prompts:
        raise OptionError(f"{path} has no question")
    return prompts
