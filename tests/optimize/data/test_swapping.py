"""What is swapped in a question, and for what."""

import random

import pytest

from optimize.data.squad import Example
from optimize.data.swapping import Terms, swapped


def ask(question, context, title="t"):
    return Example(question, title, question, f"{context} It is so.", ("so",), (len(context) + 7,))


def every(example, articles):
    """All questions that chance makes of one."""
    terms = Terms.of(articles)
    draws = (swapped(example, terms, random.Random(seed)) for seed in range(60))
    return {made.question for made in draws if made}


ARTICLE = [
    ask(
        "What did the Bank of England sell in 1987?", "The Bank of England sold 12 of them in 1987."
    ),
    ask("Why had Mary O'Brien's house 7 doors?", "Mary O'Brien had 7 doors."),
    ask("Why did they leave in 2011?", "They left in 2011."),
    ask("Which 3,500 people came?", "There came 3,500 people."),
]


@pytest.mark.parametrize(
    ("place", "made"),
    [
        (
            0,
            [
                "What did the Mary O'Brien sell in 1987?",
                "What did the Bank of England sell in 2011?",
            ],
        ),
        (
            1,
            [
                "Why had Bank of England's house 7 doors?",
                "Why had Mary O'Brien's house 3,500 doors?",
            ],
        ),
        (2, ["Why did they leave in 1987?"]),
        (3, ["Which 7 people came?"]),
    ],
)
def test_names_years_and_numbers_are_swapped_for_their_own_kind(place, made):
    assert every(ARTICLE[place], ARTICLE) == set(made)


def test_what_is_made_has_no_answer_and_the_same_paragraph():
    made = swapped(ARTICLE[2], Terms.of(ARTICLE), random.Random(0))
    assert (made.answers, made.starts) == ((), ())
    assert (made.id, made.context) == (ARTICLE[2].id, ARTICLE[2].context)


def test_what_the_paragraph_does_not_hold_is_not_swapped():
    """Without it, the paragraph answers a question about another name as well, or as little."""
    assert not every(ask("When did Marie Curie leave?", "She left."), ARTICLE)


def test_what_the_paragraph_holds_does_not_come_in():
    both = ask("When did Marie Curie leave?", "Marie Curie left Albert Einstein.")
    assert not every(both, [both, ask("Who is called Albert Einstein?", "x")])


def test_an_article_without_another_one_asks_others():
    alone = ask("When did Marie Curie leave?", "Marie Curie left.", title="alone")
    assert every(alone, [alone, *ARTICLE]) == {
        "When did Bank of England leave?",
        "When did Mary O'Brien leave?",
    }


def test_the_first_word_of_a_question_is_no_name():
    assert not every(ask("Rome, what is it?", "Rome."), ARTICLE)
