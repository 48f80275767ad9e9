"""Questions without an answer, made of questions that have one: training data seldom have enough.

A question is asked about another paragraph of its article that holds none of its answers, the
distractors that Rajpurkar et al. (ACL 2018) compare SQuAD 2 with. They are easier to refuse than
what people wrote to deceive; questions with a name or a number swapped are nearer to that.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimize.data.squad import Example
from optimize.data.swapping import Terms, swapped

SHARE = 1 / 3


def mixed(
    examples: Sequence[Example],
    articles: Sequence[Example],
    share: float = SHARE,
    seed: int = 0,
    swapped_share: float = 0.0,
) -> list[Example]:
    """The same questions in their order, so many of them without an answer as `share` asks for.

    Args:
        examples: The questions; those without an answer count.
        articles: Where other paragraphs, names and numbers come from; an article is known by its
            title, and one of a single paragraph borrows from another article.
        share: Of the questions, at least, where there are paragraphs enough.
        seed: Of the draw.
        swapped_share: Share of the made ones that keep their paragraph and have a name or a number
            swapped, where so many questions have one that the paragraph holds.
    """
    draw = random.Random(seed)
    answerable = [place for place, example in enumerate(examples) if example.answers]
    missing = round(share * len(examples)) - (len(examples) - len(answerable))
    order = draw.sample(answerable, len(answerable))
    found: dict[int, Example] = {}
    if to_swap := round(swapped_share * missing):
        terms = Terms.of(articles)
        for place in order:
            if len(found) >= to_swap:
                break
            if made := swapped(examples[place], terms, draw):
                found[place] = made
    paragraphs = _Paragraphs.of(articles)
    for place in order:
        if len(found) >= missing:
            break
        if place not in found and (made := paragraphs.another(examples[place], draw)):
            found[place] = made
    return [found.get(place, example) for place, example in enumerate(examples)]


@dataclass(frozen=True)
class _Paragraphs:
    """All paragraphs.

    Attributes:
        titles: Of all articles, in order.
        contexts: Title → paragraph → the same in lower case.
    """

    titles: Sequence[str]
    contexts: dict[str, dict[str, str]]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> _Paragraphs:
        contexts: dict[str, dict[str, str]] = {}
        for example in examples:
            own = contexts.setdefault(example.title, {})
            if example.context not in own:
                own[example.context] = example.context.casefold()
        return cls(sorted(contexts), contexts)

    def another(self, example: Example, draw: random.Random) -> Example | None:
        """The question about a paragraph without its answers; None where there is no such one."""
        others = self.contexts.get(example.title, {})
        if len(others) < 2:
            others = self.contexts[self._another_title(example.title, draw)]
        first, *more = (text.casefold() for text in example.answers)
        fitting = [
            context
            for context, folded in others.items()
            if first not in folded and context != example.context
        ]
        if further := {text for text in more if first not in text}:
            fitting = [c for c in fitting if not any(text in others[c] for text in further)]
        if not fitting:
            return None
        return replace(example, context=draw.choice(fitting), answers=(), starts=())

    def _another_title(self, title: str, draw: random.Random) -> str:
        place = bisect.bisect_left(self.titles, title)
        if self.titles[place : place + 1] != [title]:
            return draw.choice(self.titles)
        if len(self.titles) == 1:
            return title
        other = draw.randrange(len(self.titles) - 1)
        return self.titles[other + (other >= place)]
