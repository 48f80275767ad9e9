"""The Dockerfile, without building it: `make image-check` does that."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import predictor

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
ENTRY_POINTS = {
    "predictor": ["python", "-m", "predictor"],
    "predictor-gpu": ["python", "-m", "predictor"],
    "optimize": ["python", "-m", "optimize"],
    "loadtest": ["locust", "-f", "loadtest/locustfile.py"],
    "demo": ["python", "-m", "demo"],
}


def stages(text):
    """Stage → its parent, and its instructions as pairs of keyword and arguments."""
    found = {"": (None, [])}
    name = ""
    for line in re.sub(r"\\\n", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines():
        keyword, _, arguments = line.strip().partition(" ")
        if keyword == "FROM":
            parent, _, name = arguments.partition(" AS ")
            found[name] = (parent, [])
        elif keyword:
            found[name][1].append((keyword, arguments.strip()))
    return found


STAGES = stages(DOCKERFILE)
IMAGES = [name for name, (_, lines) in STAGES.items() if "ENTRYPOINT" in dict(lines)]


def values(stage, keyword):
    return [arguments for word, arguments in STAGES[stage][1] if word == keyword]


def packages(folder):
    """The lists that the Dockerfile's own code makes of pyproject.toml: file → lines."""
    (script,) = values("requirements", "RUN")
    shutil.copy(ROOT / "pyproject.toml", folder)
    subprocess.run(["sh", "-c", script], cwd=folder, check=True)
    return {path.name: path.read_text().splitlines() for path in folder.glob("*.txt")}


def test_the_images_and_what_they_run():
    assert {name: json.loads(*values(name, "ENTRYPOINT")) for name in IMAGES} == ENTRY_POINTS
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^IMAGES := (.*)$", makefile, re.MULTILINE) == [" ".join(ENTRY_POINTS)]


@pytest.mark.parametrize("image", ENTRY_POINTS)
def test_an_image_is_small_and_no_root(image):
    assert STAGES[image][0] == "base"
    assert values(image, "USER") == ["1000:1000"]
    keywords = [keyword for keyword, _ in STAGES[image][1]]
    assert "RUN" not in keywords, "whatever installs belongs to a stage that is left behind"
    assert keywords.index("USER") > max(i for i, word in enumerate(keywords) if word == "COPY")
    copied = values(image, "COPY")
    assert copied[0] == f"--from={image}-packages /opt/venv /opt/venv"
    assert not [line for line in copied if re.search(r"torch|optimize/", line)] or (
        image == "optimize"
    )


def test_labels():
    assert STAGES["base"][0] == "${BASE_IMAGE}"
    (label,) = values("base", "LABEL")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f'image.version="{predictor.__version__}"' in label
    assert f'image.licenses="{project["license"]}"' in label
    for image in IMAGES:
        (label,) = values(image, "LABEL")
        assert 'image.title="' in label


def test_every_stage_comes_from_the_base():
    for name, (parent, _) in STAGES.items():
        assert name in ("", "base") or parent in STAGES


def test_what_is_copied_is_there_and_not_ignored():
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in allowed
    for name in STAGES:
        assert not values(name, "ADD")
        for line in values(name, "COPY"):
            if not line.startswith("--from="):
                for source in line.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert f"!{source.rstrip('/')}" in allowed


def test_nothing_is_fetched_but_packages():
    assert "://" not in DOCKERFILE
    for name in STAGES:
        for script in values(name, "RUN"):
            assert not re.search(r"\b(curl|wget|apt-get|git)\b", script)
            if "pip install" in script:
                assert "pip install --constraint constraints.txt --requirement" in script
                assert "--mount=type=secret,id=pip_conf,target=/etc/pip.conf" in script


def test_the_lists_are_the_projects(tmp_path):
    lists = packages(tmp_path)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lists["predictor.txt"] == project["dependencies"]
    for extra, lines in project["optional-dependencies"].items():
        assert lists[f"{extra}.txt"] == lines
    (torch,) = lists["torch.txt"]
    assert torch in lists["optimize.txt"]
    for name in STAGES:
        for line in values(name, "COPY"):
            for needed in re.findall(r"/app/(\w+\.txt)", line.replace("${ONNXRUNTIME}", "gpu")):
                assert needed in lists
    served = [line for name in ("predictor", "cpu", "gpu") for line in lists[f"{name}.txt"]]
    assert not [line for line in served if re.match(r"torch|transformers|optimum", line)]


def test_the_predictors_packages_hold_nothing_else():
    """Its stages install the predictor's lists and those of its runtime."""
    for image, runtime in (("predictor", "cpu"), ("predictor-gpu", "gpu")):
        parent, lines = STAGES[f"{image}-packages"]
        assert parent == "serving"
        installed = " ".join(arguments for _, arguments in (*STAGES["serving"][1], *lines))
        assert re.findall(r"--requirement (\S+)", installed) == ["predictor.txt", f"{runtime}.txt"]


def test_the_demo_runs_on_what_is_copied_for_it(tmp_path):
    """Its modules import none that stay behind."""
    for line in values("demo", "COPY")[1:]:
        *sources, place = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / place)
            else:
                (tmp_path / place).mkdir(exist_ok=True)
                shutil.copy(ROOT / source, tmp_path / place)
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_documented_images_are_the_dockerfiles():
    table = re.findall(r"^\| `([a-z-]+)` \|", DOCS.partition("## Build")[0], re.MULTILINE)
    assert table == list(ENTRY_POINTS)
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert arguments == set(re.findall(r"^\| `([A-Z_]+)` \|", DOCS, re.MULTILINE))
    assert "docs/images.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def tools(tmp_path):
    """A PATH with what make needs, and builders of which docker has no engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("make", "sh", "sed", "awk"):
        place = shutil.which(name)
        assert place
        (folder / name).symlink_to(Path(place).resolve())

    def with_builders(**builders):
        for name, engine in builders.items():
            (folder / name).write_text(f"#!/bin/sh\n[ $1 != info ] || exit {int(not engine)}\n")
            (folder / name).chmod(0o755)
        return {"PATH": str(folder)}

    return with_builders


def make_image(environment, *arguments):
    return subprocess.run(
        [shutil.which("make"), "image", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("builders", "expected"),
    [
        ({"podman": True}, "podman"),
        ({"podman": True, "buildah": True}, "buildah"),
        ({"podman": True, "docker": False}, "podman"),
        ({"podman": True, "docker": True}, "docker"),
    ],
)
def test_make_takes_a_builder_that_works(builders, expected, tools):
    done = make_image(tools(**builders), "-n", "TARGET=loadtest", "BUILD_ARGS=--x")
    assert done.returncode == 0, done.stderr
    builder, _, rest = done.stdout.splitlines()[-1].partition(" ")
    assert Path(builder).name == expected
    assert rest == (
        f"build --target loadtest --tag spanserve/loadtest:{predictor.__version__} --x ."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["TARGET=predictor"], "make: images need docker, buildah or podman"),
        ([], "make: TARGET is one of: predictor predictor-gpu optimize loadtest demo"),
        (["TARGET=base"], "make: TARGET is one of:"),
    ],
)
def test_what_make_cannot_build_is_one_line(arguments, message, tools):
    done = make_image(tools(docker=False), *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
