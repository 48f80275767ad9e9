"""Objects against the schemas of their kinds, where an unknown field is an error."""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import kserve
import kubernetes.client
import kubernetes_validate
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

from tests.k8s.rendering import Object, Pod

KUBERNETES = "1.31"
"""The oldest Kubernetes that the manifests are for."""

CRDS = Path(__file__).resolve().parents[3] / "shared" / "schemas"
"""Where KServe's CRD schemas may lie; its SDK has classes of the same fields."""


def check(each: Object) -> None:
    """Raises AssertionError where an object is not as its kind asks for."""
    group = each["apiVersion"].split("/")[0]
    if group == "serving.kserve.io":
        _check_class(each, f"{_version(each)}{each['kind']}", each["kind"])
        _check_crd(each)
    elif group == "monitoring.coreos.com":
        _check_json(each, Draft202012Validator(_MONITORING[each["kind"]]))
    else:
        _check_kubernetes(each)


def check_pod(pod: Pod) -> None:
    """The same for a pod as its controllers would make it."""
    # KServe replaces these; a probe's path needs no more than to start with a slash.
    spec = json.loads(json.dumps(pod.spec).replace("{{.Name}}", "qa"))
    _check_kubernetes({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec})


def _check_kubernetes(each: Object) -> None:
    group, _, version = each["apiVersion"].rpartition("/")
    group = group.partition(".")[0]
    name = "-".join(part for part in (each["kind"].lower(), group, version) if part)
    _check_json(each, _kubernetes(name))


def _check_json(each: Object, validator: Draft202012Validator) -> None:
    error = best_match(validator.iter_errors(each))
    assert error is None, f"{each['kind']}: {error.json_path}: {error.message}"


# Kubernetes' own -------------------------------------------------------------------------------

# The package's own function reads all of them anew for each object.
_SCHEMAS = importlib.resources.files(kubernetes_validate) / "kubernetes-json-schema"
_STRICT = _SCHEMAS / f"v{KUBERNETES}.0-local-strict"


@functools.cache
def _registry() -> Registry:
    definitions = json.loads((_STRICT / "_definitions.json").read_text())
    return Resource.from_contents(definitions) @ Registry()


@functools.cache
def _kubernetes(name: str) -> Draft202012Validator:
    path = _STRICT / f"{name}.json"
    assert path.is_file(), f"Kubernetes {KUBERNETES} has no {name}"
    return Draft202012Validator(json.loads(path.read_text()), registry=_registry())


# KServe's CRDs ---------------------------------------------------------------------------------


@functools.cache
def _crd(kind: str) -> Draft202012Validator | None:
    path = CRDS / f"{kind.lower()}s.json"
    if not path.is_file():
        return None
    return Draft202012Validator(_strict(json.loads(path.read_text())["openAPIV3Schema"]))


def _check_crd(each: Object) -> None:
    schema = _crd(each["kind"])
    if schema is not None:
        _check_json(each, schema)


def _strict(schema: Any) -> Any:
    """OpenAPI as the API server reads it, but that unknown fields are refused, not dropped."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _strict(value) for key, value in schema.items()}
    preserved = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not preserved:
        result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result


# The classes of the SDKs -----------------------------------------------------------------------


def _version(each: Object) -> str:
    version: str = each["apiVersion"].split("/")[1]
    return version[0].upper() + version[1:]


def _check_class(value: Any, type_: str, path: str) -> None:
    """`type_` as the SDKs write it: a class, `list[…]`, `dict(str, …)` or a plain type."""
    if inner := re.fullmatch(r"list\[(.+)\]", type_):
        assert isinstance(value, list), f"{path} is no list"
        for number, item in enumerate(value):
            _check_class(item, inner[1], f"{path}[{number}]")
        return
    if re.match(r"dict\W", type_):
        assert isinstance(value, dict), f"{path} is no map"
        return
    name = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}.get(type_, type_)
    class_ = getattr(kserve, name, None) or getattr(kubernetes.client, name, None)
    if class_ is None:
        plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}.get(type_)
        assert plain is None or isinstance(value, plain), f"{path} is no {type_}"
        return
    assert isinstance(value, dict), f"{path} is no map"
    attributes = {field: attribute for attribute, field in class_.attribute_map.items()}
    for field, inside in value.items():
        assert field in attributes, f"{path}.{field}: {name} has no such field"
        _check_class(inside, class_.openapi_types[attributes[field]], f"{path}.{field}")


# The Prometheus operator's: the fields that we use ---------------------------------------------


def _map(*required: str, **properties: Object) -> Object:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Object) -> Object:
    return {"type": "array", "items": items, "minItems": 1}


_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_DURATION = {"type": "string", "pattern": r"^(\d+(ms|[smhdwy]))+$"}
_METADATA = _map("name", name=_TEXT, namespace=_TEXT, labels=_TEXTS)
_EXPRESSION = _map(
    "key",
    "operator",
    key=_TEXT,
    operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
    values=_list(_TEXT),
)
_MONITORING = {
    "PodMonitor": _map(
        "spec",
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind=_TEXT,
        metadata=_METADATA,
        spec=_map(
            "selector",
            "podMetricsEndpoints",
            selector=_map(matchLabels=_TEXTS, matchExpressions=_list(_EXPRESSION)),
            podMetricsEndpoints=_list(
                _map(
                    port=_TEXT,
                    path=_TEXT,
                    interval=_DURATION,
                    relabelings=_list(_map(sourceLabels=_list(_TEXT), targetLabel=_TEXT)),
                )
            ),
        ),
    ),
    "PrometheusRule": _map(
        "spec",
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind=_TEXT,
        metadata=_METADATA,
        spec=_map(
            groups=_list(
                _map(
                    "name",
                    "rules",
                    name=_TEXT,
                    rules=_list(
                        _map(
                            "alert",
                            "expr",
                            alert=_TEXT,
                            expr=_TEXT,
                            labels=_TEXTS,
                            annotations=_TEXTS,
                            **{"for": _DURATION},
                        )
                    ),
                )
            )
        ),
    ),
}
