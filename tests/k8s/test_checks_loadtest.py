"""The checks of the load test's and the page's manifests: each kind of mistake fails one."""

import pytest

from tests.k8s import references
from tests.k8s.arguments import check_all as check_arguments
from tests.k8s.rendering import K8S, named, render


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
