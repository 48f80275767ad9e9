"""The checks themselves: each kind of mistake makes one fail."""

import pytest

from predictor import __version__
from tests.k8s import hardening, references, schemas
from tests.k8s.arguments import check_all as check_arguments
from tests.k8s.rendering import K8S, named, pods, render


@pytest.fixture
def objects():
    return render(K8S / "tests" / "cpu-guarded")


def service(objects):
    return named(objects, "InferenceService")["qa"]


def runtime(objects):
    return named(objects, "ServingRuntime")["spanserve-predictor"]["spec"]["containers"][0]


def job(objects):
    return named(objects, "Job")["optimize-qa-1"]["spec"]["template"]["spec"]["containers"][0]


def check_schemas(objects):
    for each in objects:
        schemas.check(each)
    for pod in pods(objects):
        schemas.check_pod(pod)


def check_hardening(objects):
    for pod in pods(objects):
        hardening.check(pod, {})


def misspell(mapping, field, wrong):
    mapping[wrong] = mapping.pop(field)


def test_as_they_are_all_pass(objects):
    check_schemas(objects)
    check_hardening(objects)
    check_arguments(objects)
    references.check(objects)


FIELDS = [
    (
        lambda o: misspell(service(o)["spec"]["predictor"], "minReplicas", "minReplica"),
        "minReplica",
    ),
    (
        lambda o: misspell(service(o)["spec"]["predictor"]["model"], "storageUri", "storageURI"),
        "storageURI",
    ),
    (lambda o: misspell(runtime(o), "readinessProbe", "readynessProbe"), "readynessProbe"),
    (
        lambda o: misspell(runtime(o)["readinessProbe"]["httpGet"], "path", "pth"),
        "pth",
    ),
    (lambda o: misspell(job(o), "resources", "resource"), "resource"),
    (lambda o: job(o)["volumeMounts"][0].update(mountPath=7), "7"),
    (
        lambda o: misspell(named(o, "PodMonitor")["spanserve"]["spec"], "selector", "selectors"),
        "selector",
    ),
    (
        lambda o: misspell(
            named(o, "PrometheusRule")["spanserve"]["spec"]["groups"][0]["rules"][0], "expr", "exp"
        ),
        "exp",
    ),
    (
        lambda o: misspell(
            named(o, "PodDisruptionBudget")["spanserve-predictor"]["spec"],
            "maxUnavailable",
            "maxUnavailible",
        ),
        "maxUnavailible",
    ),
    (lambda o: named(o, "Role")["spanserve-rollout"].update(apiVersion="rbac/v9"), "rbac-v9"),
]


@pytest.mark.parametrize(("damage", "says"), FIELDS, ids=[says for _, says in FIELDS])
def test_a_wrong_field(objects, damage, says):
    damage(objects)
    with pytest.raises(AssertionError, match=says):
        check_schemas(objects)


@pytest.mark.parametrize("field", ["storageURI", "autoscaling"])
def test_the_classes_of_the_sdk_alone_find_a_wrong_field(objects, field, monkeypatch, tmp_path):
    monkeypatch.setattr(schemas, "CRDS", tmp_path)
    schemas._crd.cache_clear()
    service(objects)["spec"]["predictor"]["model"][field] = "x"
    with pytest.raises(AssertionError, match=f"model.{field}"):
        check_schemas(objects)
    schemas._crd.cache_clear()


def test_the_crd_finds_a_wrong_value(objects):
    if schemas._crd("InferenceService") is None:
        pytest.skip("KServe's CRD schemas are not beside the repository")
    service(objects)["spec"]["predictor"]["scaleMetric"] = "gpu"
    with pytest.raises(AssertionError, match="scaleMetric"):
        check_schemas(objects)


SECURITY = ["readOnlyRootFilesystem", "allowPrivilegeEscalation", "capabilities"]
HARDENING = [
    *((lambda o, f=f: runtime(o)["securityContext"].pop(f), f) for f in SECURITY),
    *((lambda o, f=f: job(o)["securityContext"].pop(f), f) for f in SECURITY),
    (lambda o: runtime(o)["securityContext"].update(runAsUser=0), "runAsUser"),
    (lambda o: runtime(o)["securityContext"].update(privileged=True), "privileged"),
    (lambda o: runtime(o)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot"),
    (lambda o: runtime(o)["securityContext"]["seccompProfile"].update(type="x"), "seccompProfile"),
    (lambda o: runtime(o)["resources"].pop("limits"), "no limit of cpu"),
    (lambda o: job(o)["resources"]["limits"].pop("memory"), "no limit of memory"),
    (lambda o: job(o)["resources"]["requests"].update(memory="64Gi"), "more memory"),
    (lambda o: job(o)["resources"]["limits"].update({"x.com/gpu": "1"}), "other things"),
    *(
        (lambda o, p=p: runtime(o).pop(p), f"no {p}")
        for p in ("startupProbe", "readinessProbe", "livenessProbe")
    ),
    (lambda o: runtime(o).update(image=f"spanserve/predictr:{__version__}"), "spanserve/predictr"),
    (lambda o: runtime(o).update(image="spanserve/predictor:latest"), "has not the tag"),
    (lambda o: job(o).update(image="spanserve/optimize"), "spanserve/optimize is none"),
    (lambda o: job(o).update(imagePullPolicy="Always"), "imagePullPolicy"),
    (lambda o: runtime(o).update(volumeMounts=[]), "no emptyDir at /tmp"),
    (lambda o: job(o)["volumeMounts"][0].update(name="other"), "not there"),
    (
        lambda o: service(o)["spec"]["predictor"].update(terminationGracePeriodSeconds=40),
        "killed after 40 s",
    ),
    (lambda o: service(o)["spec"]["predictor"].pop("terminationGracePeriodSeconds"), "after 30 s"),
    (
        lambda o: runtime(o).update(lifecycle={"preStop": {"exec": {"command": ["sleep", "20"]}}}),
        "ends within 60 s",
    ),
    (
        lambda o: service(o)["spec"]["predictor"].pop("enableServiceLinks"),
        "enableServiceLinks is not false",
    ),
    (lambda o: service(o)["spec"]["predictor"].pop("serviceAccountName"), "serviceAccountName"),
]


@pytest.mark.parametrize(("damage", "says"), HARDENING)
def test_a_container_that_lacks_something(objects, damage, says):
    damage(objects)
    with pytest.raises(AssertionError, match=says):
        check_hardening(objects)


def variable(container, name, value):
    container.setdefault("env", []).append({"name": name, "value": value})


ARGUMENTS = [
    (lambda o: runtime(o)["args"].append("--drain=1"), "--drain"),
    (lambda o: runtime(o)["args"].append("--session=optimize.nowhere:Session"), "optimize.nowhere"),
    (
        lambda o: runtime(o)["args"].append("--session=optimize.evaluation.torch_session:Tor"),
        "has no Tor",
    ),
    (lambda o: runtime(o)["args"].append("--threads=many"), "threads"),
    (lambda o: variable(runtime(o), "SPANSERVE_DRAIN", "1"), "SPANSERVE_DRAIN names no setting"),
    (lambda o: variable(runtime(o), "SPANSERVE_THREADS", "many"), "threads"),
    (lambda o: variable(runtime(o), "OMP_NUM", "1"), "nobody reads"),
    (lambda o: job(o)["args"].append("--precison"), "--precison"),
    (lambda o: job(o)["args"].extend(["--null", "1"]), "--null"),
    (lambda o: job(o)["args"].append("$(MODEL)"), "no such variable"),
    (lambda o: job(o)["args"].__setitem__(-1, "2"), "misnamed"),
    (lambda o: job(o)["args"].__setitem__(2, "/app/demo/nothing"), "no /app/demo/nothing"),
]


@pytest.mark.parametrize(("damage", "says"), ARGUMENTS)
def test_what_a_program_would_refuse(objects, damage, says):
    damage(objects)
    with pytest.raises(AssertionError, match=says):
        check_arguments(objects)


REFERENCES = [
    (
        lambda o: service(o)["spec"]["predictor"]["model"].update(storageUri="pvc://x/qa/1"),
        "no Job publishes",
    ),
    (
        lambda o: service(o)["spec"]["predictor"].update(serviceAccountName="x"),
        "no ServiceAccount x",
    ),
    (lambda o: service(o)["spec"]["predictor"]["model"].update(runtime="x"), "no runtime x"),
    (lambda o: job(o).update(envFrom=[{"configMapRef": {"name": "x"}}]), "no ConfigMap x"),
    (
        lambda o: named(o, "Job")["optimize-qa-1"]["metadata"]["labels"].update(
            {"spanserve/version": "2"}
        ),
        "labelled wrong",
    ),
]


@pytest.mark.parametrize(("damage", "says"), REFERENCES)
def test_a_name_that_is_not_there(objects, damage, says):
    damage(objects)
    with pytest.raises(AssertionError, match=says):
        references.check(objects)
