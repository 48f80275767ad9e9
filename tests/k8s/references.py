"""What objects of a build say of each other."""

from __future__ import annotations

from optimize.verbs.parser import parser
from tests.k8s.rendering import Object, named, pods


def check(objects: list[Object]) -> None:
    """Raises AssertionError where something is named that is not there."""
    _check_names(objects)
    _check_storage(objects)
    _check_services(objects)
    for role in named(objects, "RoleBinding").values():
        assert role["roleRef"]["name"] in named(objects, "Role")
        subject = role["subjects"][0]
        account = named(objects, "ServiceAccount")[subject["name"]]
        # kubectl's own default where nothing is named.
        assert subject["namespace"] == account["metadata"].get("namespace", "default")


def _check_names(objects: list[Object]) -> None:
    claims = set(named(objects, "PersistentVolumeClaim"))
    accounts = named(objects, "ServiceAccount")
    maps = named(objects, "ConfigMap")
    for pod in pods(objects):
        name = pod.spec["serviceAccountName"]
        assert name in accounts, f"{pod.owner}: no ServiceAccount {name}"
        for volume in pod.spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in claims, f"{pod.owner}: no claim {claim}"
            name = volume.get("configMap", {}).get("name")
            assert name is None or name in maps, f"{pod.owner}: no ConfigMap {name}"
        for container in pod.containers:
            for source in container.get("envFrom", []):
                name = source["configMapRef"]["name"]
                assert name in maps, f"{pod.owner}: no ConfigMap {name}"


def _check_services(objects: list[Object]) -> None:
    """Each Service has the pods of one Job or Deployment, and a port of theirs."""
    templates = [each["spec"]["template"] for each in objects if "template" in each.get("spec", {})]
    for name, service in named(objects, "Service").items():
        wanted = service["spec"]["selector"].items()
        behind = [each for each in templates if wanted <= each["metadata"]["labels"].items()]
        assert len(behind) == 1, f"Service {name}: selects {len(behind)} kinds of pods"
        containers = behind[0]["spec"]["containers"]
        ports = {port["name"] for c in containers for port in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, f"Service {name}: no port {port['targetPort']}"


def _check_storage(objects: list[Object]) -> None:
    published = _published(objects)
    for name, service in named(objects, "InferenceService").items():
        predictors = [service["spec"]["predictor"]]
        predictors += [canary["predictor"] for canary in service["spec"].get("canary", [])]
        for predictor in predictors:
            uri = predictor["model"]["storageUri"]
            assert uri in published, f"{name}: no Job publishes {uri}"


def _published(objects: list[Object]) -> set[str]:
    """What the Jobs of a build publish, as storageUri."""
    result = set()
    claims = named(objects, "PersistentVolumeClaim")
    for name, job in named(objects, "Job").items():
        if not name.startswith("optimize-"):
            continue
        spec = job["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        # $(NAME) stands for a value here that the parser need not know.
        values = [v.replace("$(NULL_THRESHOLD)", "auto") for v in container["args"]]
        given = parser().parse_args(values)
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        claim = volumes[mounts[str(given.output)]]["persistentVolumeClaim"]["claimName"]
        assert claim in claims, f"{name}: no claim {claim}"
        root = f"pvc://{claim}"
        result |= {f"{root}/{n}/{given.version}" for n in (given.name, f"{given.name}-baseline")}
        result |= {f"{root}/triton"} if given.triton else set()
        labels = job["metadata"]["labels"]
        assert labels["spanserve/name"] == given.name, f"{name}: is labelled wrong"
        assert labels["spanserve/version"] == str(given.version), f"{name}: is labelled wrong"
    return result
