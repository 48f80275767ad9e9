"""A real browser, real predictors of the embedded models, and the page between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo import local
from demo.servers import Server, running
from tests.conftest import FAKE_SESSION, ROOT
from tests.demo.pages import serving

ARTIFACTS = ROOT / "build" / "demo-ui"
"""Those of `make demo-ui`, so that the next run finds them."""
SCREENSHOTS = ROOT / "build" / "screenshots"
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
SECONDS = 60_000  # milliseconds that anything may take


# Not for the session: while Playwright runs it holds the event loop of the thread, and no test
# of another folder could run its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """Debian's Chromium, driven by Playwright; skips where either is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        # The sandbox of a browser needs what containers rarely give; the page is our own.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models() -> dict[str, Path]:
    """The three artifacts of the page."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return local.artifacts(ARTIFACTS)


@pytest.fixture(scope="session")
def predictors(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """Baseline, pruned and optimized."""
    with running(models, local.settings(models), tmp_path_factory.mktemp("logs")) as servers:
        yield servers


@pytest.fixture
def fake(fake_artifact: Path, tmp_path: Path) -> Iterator[Server]:
    """A predictor that a test may stop."""
    with running({"fake": fake_artifact}, {"fake": {"session": FAKE_SESSION}}, tmp_path) as (one,):
        yield one


@pytest.fixture(scope="session")
def site(
    predictors: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The page of the three models: its address, and the file of the hosts that it calls."""
    folder = tmp_path_factory.mktemp("page")
    with serving({server.name: server.url for server in predictors}, folder) as url:
        yield url, folder / "hosts"


@pytest.fixture
def visit(chromium, site: tuple[str, Path]) -> Iterator[Callable[..., object]]:
    """Opens the page; in the end there was no console error and no request to another host."""
    problems: list[str] = []
    contexts = []

    def opened(url: str = site[0], width: str = "desktop", scheme: str = "light") -> object:
        columns, rows = WIDTHS[width]
        context = chromium.new_context(
            viewport={"width": columns, "height": rows},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and problems.append(m.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on("requestfailed", lambda r: problems.append(f"{r.url} failed: {r.failure}"))
        host = urlsplit(url).netloc

        def asked(request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in ("data", "blob") and parts.netloc != host:
                problems.append(f"asks {request.url}")

        page.on("request", asked)
        page.goto(url)
        page.get_by_text("Not asked yet.").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    # Leaving a page ends the stream that it listens to.
    assert [each for each in problems if "ERR_ABORTED" not in each] == []
