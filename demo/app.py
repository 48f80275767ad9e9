"""The side-by-side page: one question to several models, and what each makes of it.

Gradio draws the form and carries the events; the rest is HTML of `demo.page`. Nothing is asked of
any host but the models' and the page's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from demo.errors import DemoError
from demo.page import cards, journey
from demo.page.asking import Model, Outcome, Reply, ask_all
from demo.page.describing import Catalogue
from demo.page.edge import HEALTH, Edge
from demo.page.examples import EXAMPLES, MOST_QUESTION, MOST_TEXT, Example
from demo.page.theme import STYLE, theme
from loadtest.targets import Target, read_targets

HOST, PORT = "127.0.0.1", 7860
TITLE = "Spanserve side by side"
# Visitors who are answered at a time, and who wait.
_AT_ONCE, _WAITING = 8, 64
_STOP_SECONDS = 3
_HEAD = (
    '<header class="intro"><p class="brand">Spanserve</p><h1>What optimization changed</h1>'
    '<p class="what">Ask a question about a text. Every model answers at the same moment; the '
    "first is the baseline that the others are compared with.</p></header>"
)
_NOTE = (
    '<p class="note">Times are the servers\' own, of this one request. Models that share a '
    "machine also share its processors, so look at the journey for figures measured in turns.</p>"
)

# On a phone the answers are below the form.
_SHOW_ANSWERS = """(...inputs) => {
  const answers = document.getElementById("verdict");
  if (answers.getBoundingClientRect().top > innerHeight - 120) {
    answers.scrollIntoView({ block: "start" });
  }
  return inputs;
}"""


class Page:
    """What the page shows of its models."""

    def __init__(self, models: list[Model]) -> None:
        """Takes the models, the baseline first."""
        self._models = models
        self._catalogue = Catalogue(models)

    async def opened(self) -> list[str]:
        """A card of every model before it is asked."""
        known = await self._catalogue.all()
        pairs = zip(self._models, known, strict=True)
        return [cards.idle(model.name, description) for model, description in pairs]

    async def journey(self) -> str:
        """What the models' reports say, as they are now."""
        return journey.page(await self._catalogue.all())

    async def asked(self, text: str, question: str) -> AsyncIterator[list[Any]]:
        """The verdict and a card of every model, anew with each answer."""
        problem = _problem(text, question)
        if problem:
            shown = f'<p class="verdict problem" role="alert">{problem}</p>'
            yield [shown, *(gr.skip() for _ in self._models)]
            return
        names = [model.name for model in self._models]
        known = self._catalogue.known()
        outcomes: list[Outcome | None] = [None] * len(names)
        yield self._shown(names, known, outcomes, text)
        async for place, outcome in ask_all(self._models, question.strip(), text):
            outcomes[place] = outcome
            if isinstance(outcome, Reply):
                known[place] = await self._catalogue.of(place, outcome.version)
            yield self._shown(names, known, outcomes, text)

    def _shown(
        self,
        names: list[str],
        known: list[Any],
        outcomes: list[Outcome | None],
        text: str,
    ) -> list[Any]:
        spent = [each.milliseconds or 0.0 for each in outcomes if isinstance(each, Reply)]
        longest = max(spent, default=0.0)
        drawn = [
            cards.asking(name, description)
            if outcome is None
            else cards.done(
                name,
                description,
                outcome,
                text,
                baseline=outcomes[0] if place else None,
                longest=longest,
            )
            for place, (name, description, outcome) in enumerate(
                zip(names, known, outcomes, strict=True)
            )
        ]
        return [cards.verdict(names, outcomes), *drawn]


def application(targets: list[Target]) -> ASGIApp:
    """The page's web application; raises OptionError for a target that it cannot ask."""
    # Gradio counts its users elsewhere unless it is told not to.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    models = [Model(target) for target in targets]

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.gather(*(model.close() for model in models))

    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    server.add_route(HEALTH, lambda _: PlainTextResponse("ok\n"))
    gr.mount_gradio_app(
        server,
        _blocks(Page(models), models),
        path="/",
        footer_links=[],
        show_error=False,
        max_file_size=1,
        ssr_mode=False,
        enable_monitoring=False,
        theme=theme(),
        css=STYLE,
    )
    return Edge(server)


def serve(targets: Path, host: str, port: int) -> None:
    """Serves the page for the targets of a file until it is told to stop.

    Raises:
        OptionError: The file cannot be used.
        DemoError: The page cannot listen there.
    """
    app = application(read_targets(targets, Target(name="", host="")))
    # Of Gradio's own code, at every request.
    warnings.filterwarnings("ignore", message="'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        where = f"{host}:{port} ({error.strerror})"
        raise DemoError(f"the page cannot listen on {where}") from error
    with listening:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        sys.stdout.write(f"The page: http://{shown}:{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            app, loop="asyncio", log_level="warning", timeout_graceful_shutdown=_STOP_SECONDS
        )
        uvicorn.Server(config).run([listening])


def port(text: str) -> int:
    """A port's number, 0 for a free one, from a command line; raises ValueError."""
    number = int(text)
    if not 0 <= number < 2**16:
        raise ValueError(f"{number} is no port")
    return number


def _blocks(page: Page, models: list[Model]) -> Any:
    first = EXAMPLES[0]
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(_HEAD, apply_default_css=False)
        with gr.Tab("Ask"), gr.Row(elem_classes="sides"):
            with gr.Column(scale=5, min_width=300, elem_classes="inquiry"):
                text = gr.Textbox(
                    first.text, label="Text", lines=9, max_lines=16, max_length=MOST_TEXT,
                    elem_id="text",
                )  # fmt: skip
                question = gr.Textbox(
                    first.question, label="Question", max_length=MOST_QUESTION, elem_id="question"
                )
                ask = gr.Button("Ask all models", variant="primary", elem_id="ask")
                gr.HTML('<h2 class="small">Or try</h2>', apply_default_css=False)
                with gr.Row(elem_classes="examples"):
                    buttons = [gr.Button(each.label, size="sm", min_width=90) for each in EXAMPLES]
            with gr.Column(scale=7, min_width=320, elem_classes="answers"):
                verdict = gr.HTML(cards.NOTHING_ASKED, apply_default_css=False, elem_id="verdict")
                shown = [
                    gr.HTML(cards.looking(model.name), apply_default_css=False) for model in models
                ]
                gr.HTML(_NOTE, apply_default_css=False)
        with gr.Tab("The journey") as tab:
            drawn = gr.HTML(journey.READING, apply_default_css=False, elem_id="journey")

        unseen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        opened = blocks.load(page.opened, outputs=shown, **unseen)
        tab.select(page.journey, outputs=drawn, **unseen)
        asking: dict[str, Any] = {
            "fn": page.asked,
            "inputs": [text, question],
            "outputs": [verdict, *shown],
            # Lest what is still looked for is written over an answer.
            "cancels": [opened],
            "js": _SHOW_ANSWERS,
            "concurrency_limit": _AT_ONCE,
            "concurrency_id": "asking",
            "trigger_mode": "once",
        } | unseen
        gr.on([ask.click, question.submit], **asking)
        for example, button in zip(EXAMPLES, buttons, strict=True):
            filled = button.click(_filling(example), outputs=[text, question], **unseen)
            filled.then(**asking)
    blocks.queue(max_size=_WAITING)
    return blocks


def _filling(example: Example) -> Any:
    return lambda: (example.text, example.question)


def _problem(text: str, question: str) -> str:
    """What keeps a question from being asked, as a sentence; empty where nothing does."""
    if not isinstance(text, str) or not isinstance(question, str):
        return "Text and question have to be texts."
    if not text.strip():
        return "There is no text to look for an answer in."
    if not question.strip():
        return "There is no question yet."
    if len(text) > MOST_TEXT:
        return f"The text has {len(text):,} letters; at most {MOST_TEXT:,} are taken."
    if len(question) > MOST_QUESTION:
        return f"The question has {len(question):,} letters; at most {MOST_QUESTION:,} are taken."
    return ""
