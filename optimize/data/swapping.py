"""Names and numbers of questions, swapped for others of their kind: near misses of a question.

It is one of the ways in which people wrote SQuAD 2's questions without an answer (Rajpurkar et al.,
ACL 2018); now and then such a question still has its answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from optimize.data.squad import Example

_WORD = r"[A-Z](?:'[A-Z])?[\w-]*\w"
_KINDS = {
    # Capitalized words in a row, after the first word of a question.
    "name": re.compile(rf"(?<=[a-z,] ){_WORD}(?: (?:of |the )?{_WORD})*"),
    "year": re.compile(r"\b(?:1\d|20)\d\d\b"),
    "number": re.compile(r"\b(?!(?:1\d|20)\d\d\b)\d(?:[\d,.]*\d)?\b"),
}
# Articles that are asked for another one where a question's own has none.
_FOREIGN = 10
# Terms that are looked for in a paragraph: an article may have thousands.
_TRIED = 30


@dataclass(frozen=True)
class Terms:
    """The names, years and numbers of many questions.

    Attributes:
        titles: Of all articles, in order.
        found: Title → kind → terms.
    """

    titles: Sequence[str]
    found: Mapping[str, Mapping[str, Sequence[str]]]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Terms:
        """Collects them, each once an article."""
        found: dict[str, dict[str, dict[str, None]]] = {}
        for example in examples:
            own = found.setdefault(example.title, {kind: {} for kind in _KINDS})
            for kind, pattern in _KINDS.items():
                own[kind].update(dict.fromkeys(pattern.findall(example.question)))
        return cls(
            sorted(found),
            {
                title: {kind: list(terms) for kind, terms in kinds.items()}
                for title, kinds in found.items()
            },
        )


def swapped(example: Example, terms: Terms, draw: random.Random) -> Example | None:
    """The same question about another name, year or number of its article, or else of any.

    What is swapped stands in the paragraph: where it does not, nothing there tells a question about
    it from one about another. What takes its place does not.

    Args:
        example: With an answer; the new one has none.
        terms: To choose from.
        draw: Chooses.

    Returns:
        None where there is nothing to swap.
    """
    context = example.context.casefold()
    found = [
        (match, kind)
        for kind, pattern in _KINDS.items()
        for match in pattern.finditer(example.question)
        if match.group().casefold() in context
    ]
    if not found:
        return None
    match, kind = draw.choice(found)
    there = f"{example.question.casefold()} {context}"

    def fitting(*titles: str) -> str | None:
        """A term of these articles that is neither in the question nor in its paragraph."""
        known = [term for title in titles for term in terms.found.get(title, {}).get(kind, ())]
        tried = draw.sample(known, min(len(known), _TRIED))
        return next((term for term in tried if term.casefold() not in there), None)

    other = fitting(example.title) or fitting(*draw.choices(terms.titles, k=_FOREIGN))
    if not other:
        return None
    before, after = example.question[: match.start()], example.question[match.end() :]
    return replace(example, question=f"{before}{other}{after}", answers=(), starts=())
