"""What k8s/ says of itself, and its form."""

import re

import pytest
import yaml

from predictor import __version__
from tests.k8s.images import ENTRYPOINTS, IMAGES, dockerfile_targets
from tests.k8s.rendering import COMBINATIONS, COMPONENTS, K8S, OVERLAYS

README = (K8S / "README.md").read_text(encoding="utf-8")


def _uses(folder, seen):
    """Every folder that a kustomization is made of."""
    if folder not in seen and (folder / "kustomization.yaml").is_file():
        seen.add(folder)
        parts = yaml.safe_load((folder / "kustomization.yaml").read_text())
        for part in parts.get("resources", []) + parts.get("components", []):
            _uses((folder / part).resolve(), seen)
    return seen


def test_every_overlay_and_component_is_in_a_combination():
    used = set().union(*(_uses(folder, set()) for folder in COMBINATIONS))
    assert set(COMPONENTS) <= used
    assert set(OVERLAYS) <= used


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda path: path.name)
def test_every_component_says_what_it_is(component):
    text = (component / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {component.name}\n")
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["What", "Needs", "How"]
    assert f"components/{component.name}\n" in text
    assert f"[{component.name}](components/{component.name}/README.md)" in README


def test_every_overlay_is_listed():
    listed = re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE)
    assert sorted(listed) == [folder.name for folder in OVERLAYS]


def test_the_example_is_the_combination_that_is_checked():
    (example,) = re.findall(r"```yaml\n# [^\n]*production[^\n]*\n(.*?)```", README, re.DOTALL)
    first, _, checked = (K8S / "tests/own-overlay/kustomization.yaml").read_text().partition("\n")
    assert first.startswith("#")
    assert example == checked


def test_the_scenario_is_in_a_combination():
    (example,) = re.findall(r"```yaml\n(configMapGenerator:.*?)```", README, re.DOTALL)
    assert (K8S / "tests/load-tested/kustomization.yaml").read_text().endswith(f"\n{example}")


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.yaml")), ids=lambda p: str(p.relative_to(K8S)))
def test_a_file_is_one_object(path):
    text = path.read_text(encoding="utf-8")
    (content,) = yaml.safe_load_all(text)
    assert content
    assert len(text.splitlines()) <= 150


def test_links_lead_somewhere():
    for readme in K8S.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)", readme.read_text(encoding="utf-8")):
            assert (readme.parent / link).exists(), f"{readme}: {link}"


def test_images_are_targets_of_the_dockerfile():
    dockerfile = K8S.parent / "Dockerfile"
    if not dockerfile.is_file():
        pytest.skip("there is no Dockerfile yet")
    assert set(IMAGES.values()) <= dockerfile_targets(dockerfile)
    assert set(IMAGES.values()) == set(ENTRYPOINTS)
    entrypoints = re.findall(r"^ENTRYPOINT (\[.*\])", dockerfile.read_text(), re.MULTILINE)
    for command in ENTRYPOINTS.values():
        assert command in [yaml.safe_load(found) for found in entrypoints]


def test_tags_are_the_version():
    tags = set()
    for path in K8S.rglob("*.yaml"):
        tags |= set(re.findall(r"image: spanserve/[\w-]+:(\S+)", path.read_text(encoding="utf-8")))
    assert tags == {__version__}
