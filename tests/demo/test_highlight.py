"""Texts stay texts, and the answer is what is highlighted."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from demo.page.highlight import AROUND, excerpt, marked, shown

WILD = st.text(st.characters() | st.sampled_from("<>&\"'/= \n${}`"), max_size=600)


def text_of(markup):
    """What a browser shows of it: only the page's own tags are tags."""
    return html.unescape(re.sub("<mark>|</mark>", "", markup).replace("<br>", "\n"))


@given(WILD)
def test_nothing_in_a_text_is_markup(text):
    assert text_of(shown(text)) == text
    assert set(re.findall("<[^>]*>?", shown(text))) <= {"<br>"}
    assert '"' not in shown(text)


@given(WILD, st.integers(-5, 700), st.integers(-5, 700))
def test_the_answer_is_marked_and_the_rest_is_there(text, start, end):
    markup = marked(text, start, end)
    assert text_of(markup) == text
    inside = re.findall("<mark>(.*?)</mark>", markup, re.DOTALL)
    expected = text[max(0, start) : max(0, end)]
    assert [text_of(each) for each in inside] == ([expected] if expected else [])


@given(WILD, st.data())
def test_an_excerpt_is_around_the_answer(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    markup, cut = excerpt(text, start, end)
    passage = text_of(markup)
    assert cut == (len(text) > end - start + 3 * AROUND)
    if cut:
        assert passage.removeprefix("… ").removesuffix(" …") in text
        assert len(passage) <= end - start + 2 * AROUND + 4
    else:
        assert passage == text
    if start < end:
        assert f"<mark>{shown(text[start:end])}</mark>" in markup


def test_words_are_left_out_whole():
    words = " ".join(f"word{n:03}" for n in range(200))
    start = words.index("word100")
    markup, cut = excerpt(words, start, start + 7)
    assert cut
    assert re.fullmatch(r"… (word\d{3} )+<mark>word100</mark>( word\d{3})+ …", markup)


def test_offsets_are_code_points():
    assert marked("𝕏é<b>", 1, 2) == "𝕏<mark>é</mark>&lt;b&gt;"
