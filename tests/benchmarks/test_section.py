"""What a target writes of a page, and that it leaves the rest alone."""

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.section import Section, link

SECTION = Section("some-table")


def test_only_what_is_between_the_markers_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SECTION.begin}\nold\n{SECTION.end}\nafter\n")
    new = SECTION.filled(page, "new")
    assert new == f"before\n{SECTION.begin}\n\nnew\n\n{SECTION.end}\nafter\n"
    page.write_text(new)
    assert SECTION.filled(page, "new") == new


@pytest.mark.parametrize("text", ["no markers", SECTION.begin, f"{SECTION.end}\n{SECTION.begin}"])
def test_a_page_without_the_markers_is_named(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(BenchmarkError, match=r"page\.md has no <!-- some-table: .* /some-table"):
        SECTION.filled(page, "new")


def test_a_link_is_seen_from_its_page(tmp_path):
    chart = tmp_path / "docs" / "benchmarks" / "a.svg"
    assert link(tmp_path / "README.md", chart) == "docs/benchmarks/a.svg"
    assert link(tmp_path / "docs" / "benchmarks.md", chart) == "benchmarks/a.svg"
    assert link(tmp_path / "docs" / "other" / "page.md", chart) == "../benchmarks/a.svg"
