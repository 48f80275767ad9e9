"""V2 (Open Inference Protocol) over REST, in JSON or with binary tensors."""

import json
import struct
from typing import Any

from loadtest.clients.base import Reply
from loadtest.clients.rest import HttpAnswer, HttpClient
from loadtest.errors import WrongError
from loadtest.prompts import Prompt

LENGTH_OUTPUT = "sequence_length"
_JSON_SIZE = "Inference-Header-Content-Length"


class V2Client(HttpClient):
    """JSON in and out."""

    def check_ready(self) -> None:
        """Raises TargetError unless the model is ready."""
        self.check_path(f"/v2/models/{self.model_path}/ready")

    def infer(self, prompt: Prompt) -> Reply:
        """Ask one question; raises RequestError."""
        body, headers = self._encode(prompt)
        answer = self.post(f"/v2/models/{self.model_path}/infer", body, headers)
        return answer.reply(_sequence_length(answer))

    def _encode(self, prompt: Prompt) -> tuple[bytes, dict[str, str]]:
        inputs = [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
            for name, text in prompt.columns()
        ]
        return json.dumps({"inputs": inputs}).encode(), {"Content-Type": "application/json"}


class V2BinaryClient(V2Client):
    """The binary tensor extension: texts go as raw bytes after the JSON, tensors come so."""

    def _encode(self, prompt: Prompt) -> tuple[bytes, dict[str, str]]:
        inputs, tensors = [], []
        for name, text in prompt.columns():
            raw = text.encode()
            tensors.append(struct.pack("<I", len(raw)) + raw)
            size = {"binary_data_size": len(tensors[-1])}
            inputs.append({"name": name, "shape": [1], "datatype": "BYTES", "parameters": size})
        document = {"inputs": inputs, "parameters": {"binary_data_output": True}}
        head = json.dumps(document).encode()
        headers = {"Content-Type": "application/octet-stream", _JSON_SIZE: str(len(head))}
        return b"".join([head, *tensors]), headers


def _sequence_length(answer: HttpAnswer) -> int | None:
    """The output of that name, in JSON or binary; None where there is none."""
    try:
        size = int(answer.headers.get(_JSON_SIZE) or len(answer.body))
        outputs: list[dict[str, Any]] = json.loads(answer.body[:size])["outputs"]
        place = size
        for output in outputs:
            binary = output.get("parameters", {}).get("binary_data_size", 0)
            if output["name"] == LENGTH_OUTPUT:
                if not binary:
                    return int(output["data"][0])
                (length,) = struct.unpack("<q", answer.body[place : place + binary])
                return int(length)
            place += binary
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error):
        raise WrongError("the answer is not one of the V2 protocol") from None
    return None
