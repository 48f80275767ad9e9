"""The checks themselves: each kind of mistake makes one fail."""

import os

import pytest

from predictor import __version__
from tests.k8s import arguments, hardening, images, queries, references, rendering, schemas
from tests.k8s.rendering import K8S, Pod, named, pods, render


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


def check_arguments(objects):
    for pod in pods(objects):
        arguments.check(pod, objects, {})


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


@pytest.fixture
def load_test():
    return render(K8S / "overlays" / "loadtest-distributed")


def container_of(objects, name):
    return named(objects, "Job")[name]["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("job", ["loadtest", "loadtest-workers"])
@pytest.mark.parametrize("argument", ["--headles", "--lengths=0", "--requests-per-lenght=5"])
def test_what_locust_would_refuse(load_test, job, argument):
    container_of(load_test, job)["args"].append(argument)
    with pytest.raises(AssertionError, match=f"Job/{job} "):
        check_arguments(load_test)


def test_a_variable_that_locust_does_not_read(load_test):
    (scenario,) = (m for m in named(load_test, "ConfigMap").values() if "targets" not in str(m))
    scenario["data"]["LOADTEST_LENGHTS"] = "8"
    with pytest.raises(AssertionError, match="LOADTEST_LENGHTS"):
        check_arguments(load_test)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets: []", "no list named targets"),
        ("targets: [{name: qa, hots: 'http://qa'}]", "unknown key 'hots'"),
        ("targets: [{name: qa}]", "no host"),
        ("targets: [{name: qa, host: 'http://qa', tokenizer: t.json}]", "no tokenizer"),
    ],
)
def test_targets_that_the_load_test_would_refuse(load_test, text, says):
    (targets,) = (m for m in named(load_test, "ConfigMap").values() if "targets" in str(m))
    targets["data"]["targets.yaml"] = text
    with pytest.raises(AssertionError, match=says):
        check_arguments(load_test)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("targets: [{name: qa, host: 'http://qa', modle: qa}]", "unknown key 'modle'"),
        ("targets: [{name: qa, host: 'grpc://qa', protocol: grpc}]", "not grpc"),
    ],
)
def test_targets_that_the_page_would_refuse(text, says):
    page = render(K8S / "overlays" / "demo")
    (targets,) = (m for m in named(page, "ConfigMap").values() if "targets.yaml" in str(m))
    targets["data"]["targets.yaml"] = text
    with pytest.raises(AssertionError, match=says):
        check_arguments(page)


def test_a_targets_file_that_is_not_mounted(load_test):
    container_of(load_test, "loadtest")["volumeMounts"][0]["mountPath"] = "/etc/elsewhere"
    with pytest.raises(AssertionError, match=r"cannot read /etc/loadtest/targets\.yaml"):
        check_arguments(load_test)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda o: container_of(o, "loadtest")["ports"][0].update(name="x"), "no port workers"),
        (
            lambda o: named(o, "Service")["loadtest-master"]["spec"]["selector"].pop(
                "app.kubernetes.io/component"
            ),
            "selects 2 kinds",
        ),
        (lambda o: o.remove(next(m for m in o if "targets.yaml" in str(m))), "no ConfigMap load"),
    ],
)
def test_a_service_or_a_file_that_is_not_there(load_test, damage, says):
    damage(load_test)
    with pytest.raises(AssertionError, match=says):
        references.check(load_test)


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


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sum(rate(spanserve_request_total[5m]))", "no metric spanserve_request_total"),
        ("sum(rate(spanserve_requests[5m]))", "no metric spanserve_requests"),
        ('spanserve_requests_total{code="500"}', "has no label {'code'}"),
        ("sum by (le) (rate(spanserve_stage_seconds_sum[5m]))", "has no label {'le'}"),
        ("sum by (stage) (spanserve_in_flight)", "has no label {'stage'}"),
        ("spanserve_in_flight and on (stage) spanserve_queue_tokens", "has no label {'stage'}"),
        ("sum(spanserve_in_flight", "unclosed"),
        ("rate(spanserve_in_flight)", "expected type"),
        ("1 + 1", "asks for no metric"),
        ('spanserve_in_flight{inference_service="qa"}', "has no label {'inference_service'}"),
    ],
)
def test_a_query_that_asks_for_what_is_not_there(query, says):
    with pytest.raises(AssertionError, match=says):
        queries.check("here", query, set())


def test_every_place_of_a_query_is_looked_at():
    objects = render(K8S / "tests" / "cpu-queue-scaled")
    places = {where.split()[0] for where, _ in queries.queries(objects)}
    assert places == {
        "PrometheusRule/spanserve",
        "ConfigMap/spanserve-dashboard",
        "InferenceService/qa",
    }


def test_a_folder_that_does_not_build_fails(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(AssertionError, match=r"absent\.yaml"):
        render(tmp_path)


def test_an_old_kubectl_is_no_reason_to_fail(monkeypatch, tmp_path):
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho \'{"kustomizeVersion": "v4.5.7"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    rendering.kubectl.cache_clear()
    with pytest.raises(pytest.skip.Exception, match=r"v4\.5\.7"):
        rendering.kubectl()
    rendering.kubectl.cache_clear()


def test_containers_are_merged_as_kserve_does():
    base = {"args": ["a"], "env": [{"name": "X", "value": "1"}, {"name": "Y"}], "r": {"l": 1}}
    over = {"args": ["b"], "env": [{"name": "X", "value": "2"}], "r": {"m": 2}}
    assert rendering.merged(base, over) == {
        "args": ["a", "b"],
        "env": [{"name": "X", "value": "2"}, {"name": "Y"}],
        "r": {"l": 1, "m": 2},
    }


def test_init_containers_are_looked_at():
    pod = Pod("x", {"initContainers": [{"name": "a"}], "containers": [{"name": "b"}]}, kserve=False)
    assert [container["name"] for container in pod.containers] == ["a", "b"]


def test_stages_of_a_dockerfile(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x AS base\nRUN y\nFROM base as predictor\n")
    assert images.dockerfile_targets(dockerfile) == {"base", "predictor"}
