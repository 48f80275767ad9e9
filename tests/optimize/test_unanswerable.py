"""Questions that lose their answer keep everything else."""

from optimize.squad import Example
from optimize.unanswerable import mixed


def example(number, title="pigs", answers=("straw",)):
    context = f"House {number} of {title} was made of {answers[0] if answers else 'air'}."
    return Example(str(number), title, f"Of what is house {number}?", context, answers)


PIGS = [example(n, answers=(material,)) for n, material in enumerate(["straw", "sticks", "bricks"])]
TREES = [example(n, "trees", (f"kind {n}",)) for n in range(3, 9)]
ARTICLES = [*PIGS, *TREES]


def test_a_third_is_asked_about_another_paragraph_of_the_article():
    found = mixed(ARTICLES, ARTICLES)
    changed = [(a, b) for a, b in zip(ARTICLES, found, strict=True) if a != b]
    assert len(changed) == 3
    for before, after in changed:
        assert (after.id, after.question, after.answers) == (before.id, before.question, ())
        assert after.context in {e.context for e in ARTICLES if e.title == before.title}
        assert before.answers[0] not in after.context


def test_the_draw_is_the_same_every_time():
    assert mixed(ARTICLES, ARTICLES) == mixed(ARTICLES, ARTICLES)
    assert any(mixed(ARTICLES, ARTICLES, seed=s) != mixed(ARTICLES, ARTICLES) for s in range(1, 9))


def test_questions_that_have_no_answer_already_count():
    given = [example(n, answers=()) for n in range(10, 13)] + PIGS
    assert mixed(given, ARTICLES) == given


def test_a_lone_paragraph_borrows_from_another_article():
    lone = [example(20, "moon", ("cheese",))]
    (found,) = mixed(lone, [*lone, *PIGS], share=1.0, seed=1)
    assert not found.answers
    assert found.context in {e.context for e in PIGS}


def test_a_paragraph_that_holds_the_answer_is_none():
    twins = [example(n, "twins", ("Straw",)) for n in range(2)]
    assert mixed(twins, twins, share=1.0) == twins
