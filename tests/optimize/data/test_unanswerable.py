"""Questions that lose their answer keep everything else."""

from optimize.data.squad import Example
from optimize.data.unanswerable import mixed


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


def ask(number, question, context, title="t", answer="it"):
    return Example(str(number), title, question, f"{context} {answer}", (answer,), (0,))


SWAPPED = [
    ask(1, "When did Marie Curie leave Warsaw?", "Marie Curie left Warsaw."),
    ask(2, "Where did Albert Einstein work in 1905?", "Albert Einstein worked in 1905."),
    ask(3, "What happened in 1911?", "It was 1911."),
]


def test_a_name_or_a_number_is_swapped_for_another_of_its_kind():
    names, numbers = {"Marie Curie", "Warsaw", "Albert Einstein"}, {"1905", "1911"}
    seen = set()
    for seed in range(20):
        for before, after in zip(
            SWAPPED, mixed(SWAPPED, SWAPPED, share=1.0, seed=seed, swapped_share=1.0), strict=True
        ):
            assert (after.context, after.answers, after.starts) == (before.context, (), ())
            kinds = [
                (old, new)
                for kind in (names, numbers)
                for old in kind
                for new in kind
                if before.question.replace(old, new) == after.question != before.question
            ]
            assert len(kinds) == 1
            assert kinds[0][1] not in before.context
            seen |= {*kinds[0]}
    assert seen == names | numbers


def test_a_question_without_names_is_asked_about_another_paragraph():
    plain = [ask(n, "where did they go?", f"place {n}", answer=f"there {n}") for n in range(4)]
    for before, after in zip(plain, mixed(plain, plain, share=1.0, swapped_share=1.0), strict=True):
        assert after.question == before.question
        assert after.context != before.context


def test_so_many_are_swapped_and_the_others_have_another_paragraph():
    names = [f"{chr(65 + n)}ville" for n in range(20)]
    asked = [
        ask(n, f"Where is {name}?", f"Mount {name}.", answer=f"at {n}x")
        for n, name in enumerate(names)
    ]
    found = mixed(asked, asked, share=0.5, seed=3, swapped_share=0.4)
    changed = [(a, b) for a, b in zip(asked, found, strict=True) if a != b]
    assert len(changed) == 10
    assert sum(a.question != b.question for a, b in changed) == 4
    assert sum(a.context != b.context for a, b in changed) == 6
