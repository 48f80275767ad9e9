"""Every overlay and every supported combination is built and checked as a whole."""

import re

import pytest
import yaml

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
    assert variables("qa-baseline")["SPANSERVE_SESSION"] == "torch"
    assert set(containers["qa-triton"]) == {"kserve-container", "transformer-container"}


@pytest.mark.parametrize("name", ["load-tested", "compare-load-tested", "many-load-tested"])
def test_the_load_test_measures_every_service(name):
    """The baseline, which the speed-ups are over, first."""
    objects = _combination(name)
    asked = _targets(objects)
    assert {target["host"]: target.get("model", "qa") for target in asked} == {
        f"http://{service}-predictor": service for service in named(objects, "InferenceService")
    }
    assert len(asked) == 1 or asked[0]["name"] == "baseline"


def test_the_page_asks_every_service():
    objects = _overlay("demo")
    asked = _targets(objects, "demo")
    assert {target["host"]: target["model"] for target in asked} == {
        f"http://{service}-predictor": service for service in named(objects, "InferenceService")
    }
    assert [target["name"] for target in asked] == ["baseline", "pruned", "optimized"]


def test_the_pruned_service_differs_from_the_optimized_in_precision_alone():
    objects = _overlay("demo")
    optimized, pruned = _arguments(objects), _arguments(objects, "optimize-qa-pruned-1")
    assert pruned[-2:] == ["--precision", "fp32"]
    differences = [pair for pair in zip(optimized, pruned, strict=False) if len(set(pair)) > 1]
    assert differences == [("qa", "qa-pruned")]


def test_the_page_may_call_what_it_asks_and_no_more():
    objects = _overlay("demo")
    (rules,) = [
        policy["spec"]["egress"]
        for name, policy in named(objects, "NetworkPolicy").items()
        if name == "spanserve-demo"
    ]
    names, predictors = rules
    assert {port["port"] for port in names["ports"]} == {53}
    # The port of KServe's own Service is mapped to the predictors'.
    assert predictors["ports"] == [{"port": 8080}]
    (selector,) = predictors["to"]
    assert set(selector) == {"podSelector"}


def _targets(objects, program="loadtest"):
    (text,) = [
        data["data"]["targets.yaml"]
        for name, data in named(objects, "ConfigMap").items()
        if name.startswith(f"{program}-targets-")
    ]
    return yaml.safe_load(text)["targets"]


@pytest.mark.parametrize("name", ["loadtest", "loadtest-compare", "loadtest-distributed"])
def test_the_tables_stay_on_the_volume(name):
    """`compare` makes its folder in the working directory."""
    spec = named(_overlay(name), "Job")["loadtest"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"][0] == "compare"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claim = {"persistentVolumeClaim": {"claimName": "spanserve-results"}}
    assert claim.items() <= volumes[mounts["/app/results"]].items()
    assert re.search(r"^WORKDIR /app$", (K8S.parent / "Dockerfile").read_text(), re.MULTILINE)


def test_workers_find_the_master_and_need_no_volume():
    objects = _overlay("loadtest-distributed")
    (service,) = named(objects, "Service").values()
    workers = named(objects, "Job")["loadtest-workers"]["spec"]
    spec = workers["template"]["spec"]
    assert f"--master-host={service['metadata']['name']}" in spec["containers"][0]["args"]
    # Locust's own port.
    assert service["spec"]["ports"][0]["port"] == 5557
    assert f"--expect-workers={workers['parallelism']}" in _arguments(objects, "loadtest")
    # Otherwise pods that have ended would be made anew.
    assert "completions" not in workers
    assert [volume for volume in spec["volumes"] if "emptyDir" not in volume] == []


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


def test_a_hub_model_is_its_own_baseline():
    embedded = _arguments(_overlay("cpu"))
    pairs = dict(zip(embedded, embedded[1:], strict=False))
    assert pairs["--model"] == "/app/demo/checkpoint/pruned"
    assert pairs["--baseline"] == "/app/demo/checkpoint/baseline"
    for name in ("optimize-qa-1", "optimize-qa-2"):
        arguments = _arguments(_combination("hub-model-canary"), name)
        assert arguments[1:5] == ["--model", "$(MODEL)", "--null-threshold", "$(NULL_THRESHOLD)"]
        assert "--baseline" not in arguments


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
