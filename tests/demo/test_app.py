"""The page's web server, and what it takes."""

import asyncio
import json
import re
import socket
import subprocess
import sys

import httpx
import pytest

from demo.app import Page
from demo.page.edge import MOST_BYTES
from demo.page.examples import EXAMPLES, MOST_QUESTION, MOST_TEXT
from predictor.types import Question
from tests.conftest import ROOT
from tests.demo.pages import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Of a page whose only model is away."""
    hosts = {"a<b>": "http://127.0.0.1:9"}
    with (
        serving(hosts, tmp_path_factory.mktemp("page")) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        yield client


def test_the_page_names_no_other_host(client):
    response = client.get("/")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"([^\"]*)\"", response.text)
    assert loaded
    here = str(client.base_url).rstrip("/")
    assert not [each for each in loaded if "//" in each and not each.startswith(f"{here}/")]
    style = client.get("/theme.css").text
    assert not re.search(r"@import|url\([\"']?(?:https?:)?//", style)


def test_it_is_healthy_without_its_models(client):
    assert client.get("/healthz").text == "ok\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/gradio_api/proxy=https://example.com"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/call/asked"),
        ("POST", "/gradio_api/run/asked"),
        ("GET", "/monitoring"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("DELETE", "/"),
        ("PUT", "/gradio_api/queue/join"),
    ],
)
def test_what_the_page_does_not_need_is_not_there(client, method, path):
    assert client.request(method, path).status_code == 404


def test_a_large_body_is_refused(client):
    for content in (b"x" * (MOST_BYTES + 1), iter([b"x" * MOST_BYTES, b"x"])):
        assert client.post("/gradio_api/queue/join", content=content).status_code == 413
    assert client.post("/gradio_api/queue/join", content=b"x" * 99).status_code in (400, 422)


def test_the_longest_text_is_no_large_body():
    longest = {"data": ["\u00e9" * MOST_TEXT, "\u00e9" * MOST_QUESTION], "session_hash": "x" * 20}
    assert len(json.dumps(longest)) < MOST_BYTES


@pytest.mark.parametrize(
    ("text", "question", "said"),
    [
        ("", "Who?", "no text"),
        (" \n", "Who?", "no text"),
        ("A text.", " ", "no question"),
        ("x" * (MOST_TEXT + 1), "Who?", "20,001 letters; at most 20,000"),
        ("A text.", "x" * (MOST_QUESTION + 1), "501 letters; at most 500"),
        (["A text."], "Who?", "have to be texts"),
        ("A text.", None, "have to be texts"),
    ],
)
def test_what_is_not_asked(text, question, said):
    async def first():
        return [each async for each in Page([]).asked(text, question)]

    ((verdict,),) = asyncio.run(first())
    assert said in verdict
    assert 'role="alert"' in verdict


def test_the_examples_fit_and_are_what_they_say():
    labels = [example.label for example in EXAMPLES]
    assert len(set(labels)) == len(labels)
    assert EXAMPLES[0].question == "Who worked a little bit harder?"
    assert EXAMPLES[1].question == "What did the pigs do after building their house?"
    for example in EXAMPLES:
        assert len(example.text) <= MOST_TEXT
        assert len(example.question) <= MOST_QUESTION


def test_the_long_example_is_longer_than_the_window(make_tokenizer):
    long = EXAMPLES[-1]
    features = make_tokenizer(512, 128).features([Question(long.question, long.text)])
    assert len(features) > 1


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (None, "cannot read"),
        ("targets: []", "no list named targets"),
        ("targets: [{name: a, host: 'grpc://b:1', protocol: grpc}]", "V2 over HTTP, not grpc"),
    ],
)
def test_a_targets_file_that_cannot_be_used_is_one_line(tmp_path, targets, said):
    path = tmp_path / "targets.yaml"
    if targets:
        path.write_text(targets)
    command = [sys.executable, "-m", "demo", "--targets", str(path), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("demo: error: ")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(tmp_path):
    path = tmp_path / "targets.yaml"
    path.write_text("targets: [{name: a, host: 'http://127.0.0.1:9'}]")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "demo", "--targets", str(path), "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    said = f"demo: error: the page cannot listen on 127.0.0.1:{port} (Address already in use"
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
