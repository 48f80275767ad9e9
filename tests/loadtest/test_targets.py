"""The targets file, and the one target of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.errors import OptionError
from loadtest.targets import Target, targets_of
from tests.loadtest.given import options

HOST = "http://127.0.0.1:1"


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "targets.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_one_target_of_the_options(tmp_path: Path) -> None:
    assert targets_of(options(), HOST) == [Target(HOST, HOST)]
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.touch()
    given = options(
        *("--protocol", "grpc", "--model-name", "m", "--host-header", "h", "--token", "t"),
        *("--tokenizer", str(tokenizer), "--max-length", "384", "--target-name", "n"),
    )
    assert targets_of(given, HOST) == [
        Target("n", HOST, "grpc", "m", "h", "t", str(tokenizer), 384)
    ]
    with pytest.raises(OptionError, match="no target"):
        targets_of(options(), "")


def test_file_with_what_it_leaves_out_from_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.json").touch()
    monkeypatch.setenv("SECRET", "xyz")
    path = write(
        tmp_path,
        """
        targets:
          - {name: plain, host: "http://a"}
          - name: full
            host: grpc://b:9000
            protocol: grpc
            model: other
            host_header: qa.example.com
            token_env: SECRET
            tokenizer: tokenizer.json
            max_length: 384
        """,
    )
    plain, full = targets_of(options("--targets", path, "--model-name", "m"), "")
    assert plain == Target("plain", "http://a", model="m")
    tokenizer = str(tmp_path / "tokenizer.json")
    assert full == Target(
        "full", "grpc://b:9000", "grpc", "other", "qa.example.com", "xyz", tokenizer, 384
    )
    chosen = targets_of(options("--targets", path, "--target-name", "full"), "")
    assert [target.name for target in chosen] == ["full"]
    with pytest.raises(OptionError, match="no target 'fast': there are plain, full"):
        targets_of(options("--targets", path, "--target-name", "fast"), "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets: [", "is not YAML"),
        ("[]", "no list named targets"),
        ("targets: []", "no list named targets"),
        ("targets: [a]", "target 1: it is not a mapping"),
        ("targets: [{host: 'http://a'}]", "target 1: it has no name"),
        ("targets: [{name: a}]", "target 1: it has no host"),
        ("targets: [{name: a, host: b, hots: c}]", "unknown key 'hots'; there are host,"),
        ("targets: [{name: 1, host: b}]", "name is 1, not a text"),
        ("targets: [{name: a, host: b, max_length: x}]", "max_length is 'x', not a number"),
        ("targets: [{name: a, host: b, protocol: v3}]", "protocol 'v3' is none of v2,"),
        ("targets: [{name: a, host: b, token_env: NOT_SET_ANYWHERE}]", "is not set"),
        ("targets: [{name: a, host: b, tokenizer: no.json}]", "target a: there is no tokenizer"),
        ("targets: [{name: a, host: b}, {name: a, host: c}]", "target 2: 'a' is there twice"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message.replace("[", r"\[")):
        targets_of(options("--targets", write(tmp_path, text)), "")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read"):
        targets_of(options("--targets", str(tmp_path / "none.yaml")), "")
