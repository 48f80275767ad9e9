"""Where checkpoints come from: files of every kind, and the hub with its real client."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForQuestionAnswering

from optimize.errors import SourceError
from optimize.source import checkpoint
from tests.optimize.source import sources

COMMIT = "1234567890abcdef1234567890abcdef12345678"
TOKEN = "hf_of_the_test"


@pytest.fixture
def folder(tmp_path):
    return sources.write("bert", tmp_path / "model")


def rewritten(folder, **options):
    """The same checkpoint, its weights saved otherwise."""
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, **options)
    return folder


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[n], other[n]) for n in state)


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("shards", [False, True])
def test_every_kind_of_file(folder, safe, shards):
    expected = checkpoint.load(str(folder))
    options = {"max_shard_size": "20KB"} if shards else {}
    rewritten(folder, safe_serialization=safe, **options)
    suffix = "safetensors" if safe else "bin"
    assert (len(list(folder.glob(f"*.{suffix}"))) > 2) == shards
    loaded = checkpoint.load(str(folder))
    assert same(loaded.state, expected.state)
    if shards:
        # Every shard is part of the identity.
        last = sorted(folder.glob(f"*-of-*.{suffix}"))[-1]
        last.write_bytes(last.read_bytes() + b" ")
        assert checkpoint._digest(last) != loaded.sha256


@pytest.mark.parametrize("damage", ["shard", "outside", "index"])
def test_an_index_that_leads_nowhere(folder, damage):
    rewritten(folder, max_shard_size="20KB")
    index = folder / "model.safetensors.index.json"
    message = "names .*, which is not there"
    if damage == "shard":
        next(folder.glob("model-*.safetensors")).unlink()
    elif damage == "outside":
        index.write_text(json.dumps({"weight_map": {"a": "../model/config.json"}}))
    else:
        index.write_text("[]")
        message = "not an index of weights"
    with pytest.raises(SourceError, match=message):
        checkpoint.load(str(folder))


def test_weights_that_question_answering_does_not_use(folder, caplog):
    expected = checkpoint.load(str(folder)).state
    (folder / "model.safetensors").unlink()
    table = expected["bert.embeddings.word_embeddings.weight"]
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in expected.items()
    }
    tied = {
        "bert.embeddings.position_ids": torch.arange(64)[None],
        "bert.pooler.dense.weight": torch.zeros(32, 32),
        "cls.predictions.decoder.weight": table,
    }
    torch.save(old | tied, folder / "pytorch_model.bin")
    with caplog.at_level("INFO", logger="optimize"):
        state = checkpoint.load(str(folder)).state
    assert same(state, expected)
    assert all(name in caplog.text for name in tied)
    save_file(state, folder / "again.safetensors")  # refuses tensors that share memory


def test_half_precision_is_widened(folder):
    path = folder / "model.safetensors"
    save_file({n: t.half() for n, t in load_file(path).items()}, path)
    assert {t.dtype for t in checkpoint.load(str(folder)).state.values()} == {torch.float32}


@contextmanager
def hub(folder):
    """A hub with one private model; yields its address and the paths it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(head=True)

        def do_GET(self):
            self.answer(head=False)

        def answer(self, *, head):
            asked.append(self.path)
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return self.send(401, b"", {"X-Error-Code": "RepoNotFound"}, head)
            where, _, rest = self.path.partition("/resolve/")
            commit, _, name = rest.partition("/")
            if where == "/owner/model" and commit == COMMIT and (folder / name).is_file():
                data = (folder / name).read_bytes()
                tags = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}
                return self.send(200, data, tags, head)
            if self.path.split("?")[0] in (
                "/api/models/owner/model",
                "/api/models/owner/model/revision/main",
                "/api/models/owner/model/revision/v2",
                f"/api/models/owner/model/revision/{COMMIT}",
            ):
                files = [{"rfilename": path.name} for path in folder.iterdir()]
                info = {"id": "owner/model", "sha": COMMIT, "siblings": files}
                return self.send(200, json.dumps(info).encode(), {}, head)
            code = "RevisionNotFound" if "/owner/model" in self.path else "RepoNotFound"
            return self.send(404, b"", {"X-Error-Code": code}, head)

        def send(self, status, data, headers, head):
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if not head:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


LOAD = """
import json, os, sys
from optimize.source import checkpoint
from optimize.errors import SourceError
for source, revision, token in json.loads(sys.argv[1]):
    os.environ["HF_TOKEN"] = token
    try:
        loaded = checkpoint.load(source, revision)
        sys.stdout.write(f"{loaded.source} {loaded.revision} {loaded.sha256}\\n")
    except SourceError as error:
        sys.stdout.write(f"error: {error}\\n")
"""


def load(endpoint, cache, *loads, **environment):
    """Loads in a new process, since the client reads the environment when it is imported.

    Each of `loads` is a source, a revision and a token; a line of each comes back.
    """
    ours = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(loads)],
        env=os.environ | ours | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(loads)
    return lines


def test_a_private_model_of_the_hub(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(b"not to be downloaded")
    cache = tmp_path / "cache"
    model = "owner/model"
    with hub(folder) as (endpoint, asked):
        wrong, none, tagged, default, missing, other = load(
            endpoint,
            cache,
            (model, None, "hf_wrong"),
            (model, None, ""),
            (model, "v2", TOKEN),
            (model, None, TOKEN),
            (model, "v3", TOKEN),
            ("owner/other", None, TOKEN),
        )
        for refused, name in ((wrong, model), (none, model), (other, "owner/other")):
            assert refused == (
                f"error: {name} is no folder here, and no model of the hub "
                "that this HF_TOKEN may read"
            )
        assert tagged == default == f"{model} {COMMIT} {checkpoint.load(str(folder)).sha256}"
        assert any(path.endswith(f"{COMMIT}/model.safetensors") for path in asked)
        assert not any(path.endswith("pytorch_model.bin") for path in asked)
        assert missing == f"error: {model} has no revision v3"
    # With the hub gone, from the cache or not at all.
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        again, gone = load(
            endpoint, cache, (model, None, TOKEN), ("owner/other", "v2", TOKEN), **environment
        )
        assert again == default
        assert gone == (
            "error: owner/other at v2 is no folder here and not in the cache, and the hub cannot "
            f"be reached at {endpoint}" + " (HF_HUB_OFFLINE is set)" * len(environment)
        )


def test_shards_of_the_hub(folder, tmp_path):
    rewritten(folder, safe_serialization=False, max_shard_size="20KB")
    with hub(folder) as (endpoint, _):
        (found,) = load(endpoint, tmp_path / "cache", ("owner/model", None, TOKEN))
    assert found == f"owner/model {COMMIT} {checkpoint.load(str(folder)).sha256}"
