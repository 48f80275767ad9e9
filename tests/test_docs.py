"""The pages as a whole: none is missing from the index, and what they name is there."""

import re
from functools import cache

import pytest

from predictor.sessions.loading import NAMES
from tests.conftest import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"
FOLDERS = [DOCS, ROOT / "k8s", ROOT / "demo"]
PAGES = sorted([*ROOT.glob("*.md"), *(p for folder in FOLDERS for p in folder.rglob("*.md"))])


@cache
def prose(page):
    """A page without what is in code blocks, which may look like headings and links."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """What a link to a heading may end with, as GitHub makes it of the heading's text."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_five_minutes():
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_the_index_lists_every_page():
    index = DOCS / "README.md"
    listed = re.findall(r"^- \[[^]]+\]\(([^)]+\.md)\): \S", prose(index), re.MULTILINE)
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page != index}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages | {"../k8s/README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.is_relative_to(ROOT), target
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_target_of_make_is_one(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    text = page.read_text("utf-8")
    named = re.findall(r"^make ([a-z0-9-]+)(?: ([a-z0-9-]+))?", text, re.MULTILINE)
    named += re.findall(r"`make ([a-z0-9-]+)(?: ([a-z0-9-]+))?", text)
    assert {target for pair in named for target in pair if target} <= targets


def test_sessions_have_their_short_names_but_where_the_old_ones_are_told():
    old = {name for name in NAMES if ":" in name}
    assert old
    for page in PAGES:
        named = [name for name in old for _ in range(page.read_text("utf-8").count(name))]
        assert sorted(named) == (sorted(old) if page == DOCS / "serving.md" else []), page
    rows = set(re.findall(r"^\| `(\w+)` \|", prose(DOCS / "serving.md"), re.MULTILINE))
    assert set(NAMES) - old <= rows


def test_the_readme_names_every_room():
    (section,) = re.findall(r"^## Develop\n(.*)", prose(README), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `(\w+)/` \|(.*)$", section, re.MULTILINE)
    assert [folder for folder, _ in rows] == ["predictor", "optimize", "loadtest", "benchmarks"]
    for folder, row in rows:
        named = re.findall(r"`(\w+)`", row)
        rooms = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        assert rooms <= set(named)
        for name in named:
            assert (ROOT / folder / name).is_dir() or (ROOT / folder / f"{name}.py").is_file()
