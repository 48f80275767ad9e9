"""Questions without an answer, made of questions that have one: training data seldom have enough.

A question is asked about another paragraph of its article that holds none of its answers, the
distractors that Rajpurkar et al. (ACL 2018) compare SQuAD 2 with. They are easier to refuse than
what people wrote to deceive. Nearer to that is the same paragraph with a name or a number of the
question swapped for another one of the article that the paragraph does not hold, one of the ways in
which those people did it; now and then such a question still has its answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimize.squad import Example

SHARE = 1 / 3
# Names are capitalized words in a row, after the first word of a question; numbers have a digit.
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w'-]+(?: (?:of |the )?[A-Z][\w'-]+)*")
_NUMBER = re.compile(r"\b\d[\d,.]*\d\b|\b\d\b")

# Articles that are asked for a name where a question's own has no other one.
_FOREIGN = 10


def mixed(
    examples: Sequence[Example],
    articles: Sequence[Example],
    share: float = SHARE,
    seed: int = 0,
    swapped: float = 0.0,
) -> list[Example]:
    """The same questions in their order, so many of them without an answer as `share` asks for.

    Args:
        examples: The questions; those without an answer count.
        articles: Where other paragraphs, names and numbers come from; an article is known by its
            title, and one of a single paragraph borrows from another article.
        share: Of the questions, at least, where there are paragraphs enough.
        seed: Of the draw.
        swapped: Share of the made ones that keep their paragraph and have a name or a number
            swapped, where they have one.
    """
    draw = random.Random(seed)
    known = _Articles.of(articles)
    answerable = [place for place, example in enumerate(examples) if example.answers]
    missing = round(share * len(examples)) - (len(examples) - len(answerable))
    mixed = list(examples)
    for place in draw.sample(answerable, len(answerable)):
        if missing <= 0:
            break
        example = examples[place]
        made = None
        if swapped and draw.random() < swapped:
            made = _with_another_name(example, known, draw)
        if made is None:
            made = _with_another_paragraph(example, known, draw)
        if made is not None:
            mixed[place] = replace(made, answers=(), starts=())
            missing -= 1
    return mixed


@dataclass(frozen=True)
class _Articles:
    """What can be borrowed, by title.

    Attributes:
        titles: In order.
        contexts: Paragraphs, each with itself in lower case.
        names, numbers: Of the questions.
    """

    titles: Sequence[str]
    contexts: dict[str, dict[str, str]]
    names: dict[str, list[str]]
    numbers: dict[str, list[str]]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> _Articles:
        contexts: dict[str, dict[str, str]] = {}
        names: dict[str, dict[str, None]] = {}
        numbers: dict[str, dict[str, None]] = {}
        for example in examples:
            title = example.title
            own = contexts.setdefault(title, {})
            if example.context not in own:
                own[example.context] = example.context.casefold()
            names.setdefault(title, {}).update(dict.fromkeys(_NAME.findall(example.question)))
            numbers.setdefault(title, {}).update(dict.fromkeys(_NUMBER.findall(example.question)))
        return cls(
            sorted(contexts),
            contexts,
            {title: list(found) for title, found in names.items()},
            {title: list(found) for title, found in numbers.items()},
        )


def _with_another_paragraph(
    example: Example, known: _Articles, draw: random.Random
) -> Example | None:
    others = known.contexts.get(example.title, {})
    if len(others) < 2:
        titles = [title for title in known.titles if title != example.title]
        others = known.contexts[draw.choice(titles or list(known.titles))]
    answers = [text.casefold() for text in example.answers]
    fitting = [
        context
        for context, folded in others.items()
        if context != example.context and not any(text in folded for text in answers)
    ]
    return replace(example, context=draw.choice(fitting)) if fitting else None


def _with_another_name(example: Example, known: _Articles, draw: random.Random) -> Example | None:
    """Another one of its article, or else of any; None where the question has none."""
    found = [
        (match, others)
        for pattern, others in ((_NAME, known.names), (_NUMBER, known.numbers))
        for match in pattern.finditer(example.question)
    ]
    if not found:
        return None
    match, others = draw.choice(found)
    there = f"{example.question} {example.context}".casefold()
    own = others.get(example.title, [])
    fitting = [name for name in own if name.casefold() not in there]
    if not fitting:
        fitting = [
            name
            for title in draw.choices(known.titles, k=_FOREIGN)
            for name in others[title]
            if name.casefold() not in there
        ]
    if not fitting:
        return None
    question = example.question
    question = question[: match.start()] + draw.choice(fitting) + question[match.end() :]
    return replace(example, question=question)
