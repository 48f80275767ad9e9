"""Every overlay and every supported combination is built and checked as a whole."""

import pytest

from tests.k8s import arguments, hardening, queries, references, schemas
from tests.k8s.rendering import COMBINATIONS, K8S, OVERLAYS, named, pods, renamed, render

BUILDS = [K8S / "base", *OVERLAYS, *COMBINATIONS]

builds = pytest.mark.parametrize("folder", BUILDS, ids=lambda path: path.name)


@builds
def test_every_object_is_as_its_schema_says(folder):
    objects = render(folder)
    for each in objects:
        schemas.check(each)
    for pod in pods(objects):
        schemas.check_pod(pod)


@builds
def test_every_container_is_hardened(folder):
    for pod in pods(render(folder)):
        hardening.check(pod, renamed(folder))


@builds
def test_every_program_takes_its_arguments(folder):
    objects = render(folder)
    for pod in pods(objects):
        arguments.check(pod, objects, renamed(folder))


@builds
def test_what_is_named_is_there(folder):
    references.check(render(folder))


@builds
def test_every_query_asks_for_what_there_is(folder):
    objects = render(folder)
    for where, query in queries.queries(objects):
        queries.check(where, query, queries.relabelled(objects))


@builds
def test_every_image_has_one_tag_and_no_host_of_ours(folder):
    images = {c["image"] for pod in pods(render(folder)) for c in pod.containers}
    names = [image.rpartition(":")[0] for image in images if ":" in image]
    assert len(names) == len(set(names))
    if not renamed(folder):
        assert all("." not in name for name in names)


# What overlays and components are for ----------------------------------------------------------


def _arguments(objects, job="optimize-qa-1"):
    return named(objects, "Job")[job]["spec"]["template"]["spec"]["containers"][0]["args"]


def _overlay(name):
    return render(K8S / "overlays" / name)


def _combination(name):
    return render(K8S / "tests" / name)


def test_the_services_of_compare():
    objects = _overlay("compare")
    services = named(objects, "InferenceService")
    assert set(services) == {"qa", "qa-baseline", "qa-no-binding", "qa-triton"}
    containers = {
        pod.owner.partition("/")[2]: {c["name"]: c for c in pod.containers} for pod in pods(objects)
    }

    def variables(service):
        return {e["name"]: e["value"] for e in containers[service]["kserve-container"]["env"]}

    assert variables("qa-no-binding")["SPANSERVE_IO_BINDING"] == "off"
    assert "SPANSERVE_IO_BINDING" not in variables("qa")
    assert variables("qa-baseline")["SPANSERVE_SESSION"] == "optimize.torch_session:TorchSession"
    assert set(containers["qa-triton"]) == {"kserve-container", "transformer-container"}
    # The load test measures these four, the baseline first.
    (pod,) = pods(_overlay("loadtest-compare"))
    asked = [dict(a[2:].split("=", 1) for a in c["args"] if "=" in a) for c in pod.containers[:-1]]
    assert {a["host"]: a["model-name"] for a in asked} == {
        f"http://{name}-predictor": name for name in services
    }
    tabled = [a for a in pod.containers[-1]["args"] if a.endswith(".json")]
    assert tabled == [a["results"] for a in asked]
    assert "baseline" in tabled[0]


def test_a_gpu_rollout_needs_no_second_gpu():
    for name in ("cuda-embedded", "triton-cuda", "baseline-cuda", "compare-cuda"):
        objects = _combination(name)
        assert _arguments(objects)[-2:] == ["--target", "cuda"] or "--triton" in _arguments(objects)
        for service in named(objects, "InferenceService").values():
            update = service["spec"]["predictor"]["deploymentStrategy"]["rollingUpdate"]
            assert update == {"maxSurge": 0, "maxUnavailable": 1}
        for pod in pods(objects):
            gpus = [
                c["resources"]["limits"].get("nvidia.com/gpu")
                for c in pod.containers
                if c["name"] == "kserve-container"
            ]
            assert gpus == (["1"] if pod.kserve else [])


def test_the_reference_journey():
    objects = _overlay("gpu")
    pairs = dict(zip(_arguments(objects), _arguments(objects)[1:], strict=False))
    data = named(objects, "ConfigMap")["hub-model"]["data"]
    assert (pairs["--model"], pairs["--baseline"]) == ("$(MODEL)", "$(BASELINE)")
    assert data["MODEL"].startswith("madlag/bert-large")
    assert "hybrid" in data["MODEL"]
    assert data["BASELINE"].endswith("whole-word-masking-finetuned-squadv2")
    (image,) = {c["image"] for pod in pods(objects) if pod.kserve for c in pod.containers}
    assert image.startswith("spanserve/predictor-gpu:")


@pytest.mark.parametrize("name", ["cpu-canary", "cuda-canary", "hub-model-canary"])
def test_a_candidate_differs_in_version_and_precision_alone(name):
    objects = _combination(name)
    stable, candidate = _arguments(objects), _arguments(objects, "optimize-qa-2")
    at = candidate.index("--precision")
    del candidate[at : at + 2]
    assert [pair for pair in zip(stable, candidate, strict=True) if len(set(pair)) > 1] == [
        ("1", "2")
    ]
    service = named(objects, "InferenceService")["qa"]
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"


@pytest.mark.parametrize("name", ["cpu-autoscaled", "cpu-queue-scaled", "gpu-guarded"])
def test_many_replicas_share_a_volume(name):
    objects = _combination(name)
    claim = named(objects, "PersistentVolumeClaim")["spanserve-models"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "affinity" not in named(objects, "InferenceService")["qa"]["spec"]["predictor"]


def test_whoever_mounts_the_volume_follows_who_has_it():
    """The same label and the same term on all, or they would not meet."""
    objects = _overlay("compare")
    job = named(objects, "Job")["optimize-qa-1"]["spec"]["template"]
    for service in named(objects, "InferenceService").values():
        predictor = service["spec"]["predictor"]
        assert predictor["affinity"] == job["spec"]["affinity"]
        (term,) = predictor["affinity"]["podAffinity"].popitem()[1]
        for labels in (predictor["labels"], job["metadata"]["labels"]):
            assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_failed_gate_is_final():
    rules = named(render(K8S / "base"), "Job")["optimize-qa-1"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["action"] == "FailJob"
    assert rules[0]["onExitCodes"]["values"] == [2, 3]
