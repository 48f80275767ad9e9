"""Where `make image-check` cannot work it says why; what it does elsewhere takes minutes."""

import os

import pytest

from tests.images import check


@pytest.mark.parametrize(
    ("user", "tools", "reason"),
    [
        (0, ["podman", "make"], "there is no buildah, debootstrap, runc"),
        (1000, check.TOOLS, "it needs root"),
    ],
)
def test_what_is_missing(user, tools, reason, monkeypatch, capsys):
    monkeypatch.setattr(os, "getuid", lambda: user)
    monkeypatch.setattr(check.shutil, "which", lambda name: name if name in tools else None)
    assert check.main() == 0
    assert capsys.readouterr().out == f"image-check: skipped: {reason}\n"
