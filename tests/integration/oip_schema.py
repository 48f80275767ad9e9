"""JSON schemas of the Open Inference Protocol's REST objects (draft 2020-12).

Written from the protocol's definition (inference_rest.md and open_inference_rest.yaml of
kserve/open-inference-protocol). Stricter than its own schemas where its text is: the listed members
and no others, no nulls, known datatypes, and `error` is required.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

_DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
_DATATYPES += ["FP16", "FP32", "FP64", "BYTES"]
_STRING = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_BOOLEAN = {"type": "boolean"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_DEFINITIONS = {
    "parameters": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    # Flat in row-major order, or nested.
    "tensor_data": _list(
        {"anyOf": [{"$ref": "#/$defs/tensor_data"}, {"type": ["number", "string", "boolean"]}]}
    ),
    # -1 stands for a dimension of any size, in metadata alone.
    "metadata_tensor": _object(
        {
            "name": _NAME,
            "datatype": {"enum": _DATATYPES},
            "shape": _list({"type": "integer", "minimum": -1}),
        }
    ),
    "response_output": _object(
        {
            "name": _NAME,
            "shape": _list({"type": "integer", "minimum": 0}),
            "datatype": {"enum": _DATATYPES},
            "data": {"$ref": "#/$defs/tensor_data"},
        },
        {"parameters": {"$ref": "#/$defs/parameters"}},
    ),
    # The extension binary_tensor_data: the output's data lies behind the JSON.
    "binary_output": _object(
        {
            "name": _NAME,
            "shape": _list({"type": "integer", "minimum": 0}),
            "datatype": {"enum": _DATATYPES},
            "parameters": {
                "$ref": "#/$defs/parameters",
                "properties": {"binary_data_size": {"type": "integer", "minimum": 0}},
                "required": ["binary_data_size"],
            },
        }
    ),
}


def _inference_response(output: str) -> dict[str, Any]:
    # The protocol names `id` where the request has one; a server of ours always has one.
    return _object(
        {"model_name": _NAME, "id": _NAME, "outputs": _list({"$ref": f"#/$defs/{output}"})},
        {"model_version": _NAME, "parameters": {"$ref": "#/$defs/parameters"}},
    )


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    complete = {"$schema": Draft202012Validator.META_SCHEMA["$id"], "$defs": _DEFINITIONS} | schema
    Draft202012Validator.check_schema(complete)
    return Draft202012Validator(complete)


SERVER_METADATA = _validator(
    _object({"name": _NAME, "version": _STRING, "extensions": _list(_NAME)})
)
SERVER_LIVE = _validator(_object({"live": _BOOLEAN}))
# The protocol's text prints `live` here too; its implementations and their clients say `ready`.
SERVER_READY = _validator(_object({"ready": _BOOLEAN}))
MODEL_METADATA = _validator(
    _object(
        {
            "name": _NAME,
            "platform": _STRING,
            "inputs": _list({"$ref": "#/$defs/metadata_tensor"}),
            "outputs": _list({"$ref": "#/$defs/metadata_tensor"}),
        },
        {"versions": _list(_NAME)},
    )
)
MODEL_READY = _validator(_object({"name": _NAME, "ready": _BOOLEAN}))
INFERENCE_RESPONSE = _validator(_inference_response("response_output"))
BINARY_INFERENCE_RESPONSE = _validator(_inference_response("binary_output"))
ERROR = _validator(_object({"error": _NAME}))
