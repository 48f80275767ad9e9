"""docs/guide.md: every command runs, in order, and prints what the guide says but for numbers."""

import re
import shutil
import subprocess
import sys
import time

import pytest

from demo import guide
from demo.errors import DemoError
from tests.conftest import ROOT

TEXT = guide.GUIDE.read_text("utf-8")


def test_every_command_prints_what_the_guide_says(tmp_path):
    if not shutil.which("curl"):
        pytest.skip("the guide asks with curl, which is not here")
    outputs = guide.run([block.command for block in guide.blocks(TEXT)], tmp_path)
    assert guide.differences(TEXT, outputs) == ""


def test_the_guide_is_read_whole_and_put_together_as_it_was():
    found = guide.blocks(TEXT)
    assert len(found) == TEXT.count("```sh\n") > 12
    assert sum(bool(block.output) for block in found) == TEXT.count("```text\n")
    assert guide.filled(TEXT, [block.output for block in found]) == TEXT


def test_numbers_and_widths_differ_from_run_to_run_and_words_do_not():
    said = "2026-01-02 09:38:36,563 made: 1.5 s\n| -- |  7.2e-06 | 0123456789abcdef |"
    again = "2027-11-20 19:08:01,003 made: 22.25 s\n| ----- | 12.0 | fedcba9876543210 |"
    assert guide.shape(said) == guide.shape(again)
    assert guide.shape(said) != guide.shape(said.replace("made", "not made"))
    text = f"```sh\na\n```\n\n```text\n{said}\n```\n"
    assert guide.differences(text, [again]) == ""
    found = guide.differences(text, [again + "\nmore"])
    assert "+more" in found
    assert guide.differences(text, [""]) != ""


def test_a_failing_command_is_named_and_nothing_goes_on_or_stays(tmp_path):
    commands = ["echo first\n", "sleep 300 & echo $! > pid\n", "echo why; false\n", "touch later\n"]
    with pytest.raises(DemoError, match=r"'echo why; false' failed: why"):
        guide.run(commands, tmp_path)
    assert not (tmp_path / "later").exists()
    status = f"/proc/{(tmp_path / 'pid').read_text().strip()}/status"
    for _ in range(50):
        done = subprocess.run(["grep", "State:\tZ", status], capture_output=True, text=True)
        if done.returncode != 1:  # it is gone, or its parent has not asked yet how it ended
            return
        time.sleep(0.1)
    pytest.fail("what the command left running runs on")


def test_ports_of_the_guide_stand_for_free_ones(tmp_path):
    printed = f"echo 8080 8081 > ports; echo http://127.0.0.1:8080; {sys.executable} -V\n"
    (output,) = guide.run([printed], tmp_path)
    assert output.startswith("http://127.0.0.1:8080\n")
    first, second = (tmp_path / "ports").read_text().split()
    assert len({first, second, "8080", "8081"}) == 4


def test_the_guide_is_linked_and_its_links_lead_somewhere():
    for place in ("README.md", "docs/optimize.md"):
        assert "guide.md)" in (ROOT / place).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
