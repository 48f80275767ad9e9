"""Questions without an answer, made of questions that have one: training data seldom have enough.

A question is asked about another paragraph of its article that holds none of its answers, the
distractors that Rajpurkar et al. (ACL 2018) compare SQuAD 2 with. They are easier to refuse than
what people wrote to deceive.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from optimize.squad import Example

SHARE = 1 / 3


def mixed(
    examples: Sequence[Example], articles: Sequence[Example], share: float = SHARE, seed: int = 0
) -> list[Example]:
    """The same questions in their order, so many of them without an answer as `share` asks for.

    Args:
        examples: The questions; those without an answer count.
        articles: Where the other paragraphs come from; an article is known by its title, and one
            of a single paragraph borrows from another article.
        share: Of the questions, at least, where there are paragraphs enough.
        seed: Of the draw.
    """
    draw = random.Random(seed)
    contexts: dict[str, dict[str, None]] = {}
    for example in articles:
        contexts.setdefault(example.title, {})[example.context] = None
    titles = sorted(contexts)
    answerable = [place for place, example in enumerate(examples) if example.answers]
    missing = round(share * len(examples)) - (len(examples) - len(answerable))
    mixed = list(examples)
    for place in draw.sample(answerable, len(answerable)):
        if missing <= 0:
            break
        example = examples[place]
        others = contexts.get(example.title, {})
        if len(others) < 2:
            others = contexts[draw.choice([t for t in titles if t != example.title] or titles)]
        fitting = [
            context
            for context in others
            if context != example.context
            and not any(text.casefold() in context.casefold() for text in example.answers)
        ]
        if fitting:
            mixed[place] = replace(example, context=draw.choice(fitting), answers=())
            missing -= 1
    return mixed
