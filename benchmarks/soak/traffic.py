"""What a server meets in production: every kind of request, weighted, over every protocol.

The shots of a kind are made once; one is picked for every arrival. Their statuses are those of
HTTP, gRPC's being translated, so that the same rules hold for all protocols.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from benchmarks.artifact import tokenizer_of
from benchmarks.load import http_request
from benchmarks.workload import INFER_PATH, Texts, v1_body, v2_body
from predictor.artifact import TOKENIZER_FILE, load_spec
from predictor.tokenization import FeatureTokenizer
from predictor.types import Question

V1_PATH = "/v1/models/qa:predict"
MAX_REQUEST_BYTES = 8 << 20
MAX_QUEUE_TOKENS = 16384
PROTOCOLS = ("v1", "v2", "grpc")
SHORT_TIMEOUT_SECONDS = 0.05

_OVERLOADED = {429, 503, 504}
_VARIANTS = 24
# Kind → share of the arrivals, and the statuses it may have.
_KINDS: dict[str, tuple[float, set[int]]] = {
    "valid": (0.68, {200} | _OVERLOADED),
    "many-questions": (0.03, {200} | _OVERLOADED),
    "many-windows": (0.03, {200} | _OVERLOADED),
    "short-timeout": (0.06, {200} | _OVERLOADED),
    "invalid": (0.10, {400, 404, 429}),
    # Over gRPC, both are INVALID_ARGUMENT or RESOURCE_EXHAUSTED.
    "huge-body": (0.01, {413, 429}),
    "huge-context": (0.01, {413, 400, 429}),
    "hang-up-midway": (0.04, set()),
    "hang-up-after": (0.04, set()),
}
WORKING = ("valid", "many-questions", "many-windows")


@dataclass(frozen=True, eq=False)
class Shot:
    """One request, ready to be sent.

    Attributes:
        kind: Its kind.
        protocol: v1, v2 or grpc.
        payload: The bytes of the HTTP request, or of the gRPC message.
        tokens: What the server has to compute for it, all windows.
        deadline: Seconds after which a gRPC client gives up, or None.
    """

    kind: str
    protocol: str
    payload: bytes
    tokens: int = 0
    deadline: float | None = None

    @property
    def allowed(self) -> set[int]:
        """The statuses it may have; none where the client does not wait for one."""
        return _KINDS[self.kind][1]


class Traffic:
    """An endless mix of shots."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Makes the shots for an artifact."""
        spec = load_spec(folder)
        self._random = random.Random(seed)
        self._texts = Texts(tokenizer_of(folder), seed)
        self._features = FeatureTokenizer(
            folder / TOKENIZER_FILE,
            max_seq_length=spec.max_seq_length,
            doc_stride=spec.doc_stride,
        )
        valid = [[question] for question in self._texts.squad_like(_VARIANTS * 3)]
        several = [self._texts.squad_like(8) for _ in range(_VARIANTS)]
        # Contexts of about eight windows.
        long = [[self._texts.question(3000)] for _ in range(_VARIANTS)]
        cut = valid[:_VARIANTS]
        self._shots = {
            "valid": self._on_every_protocol("valid", valid),
            "many-questions": self._on_every_protocol("many-questions", several),
            "many-windows": self._on_every_protocol("many-windows", long),
            "short-timeout": self._short_timeouts(cut),
            "invalid": _invalid(),
            "huge-body": self._huge("huge-body", MAX_REQUEST_BYTES * 9 // 8),
            # At least a token for every word of five characters: twice what the queue holds.
            "huge-context": self._huge("huge-context", MAX_QUEUE_TOKENS * 2 * 5),
            "hang-up-midway": self._on_every_protocol("hang-up-midway", cut + several + long),
            "hang-up-after": self._on_every_protocol("hang-up-after", cut + several + long),
        }

    def pick(self, kinds: Sequence[str] = tuple(_KINDS)) -> Shot:
        """The next shot of these kinds, by their weights."""
        (kind,) = self._random.choices(kinds, [_KINDS[kind][0] for kind in kinds])
        return self._random.choice(self._shots[kind])

    def gap(self, rate: float) -> float:
        """Seconds to the next arrival of a Poisson process of that rate."""
        return self._random.expovariate(rate)

    @staticmethod
    def working_share() -> float:
        """The share of the arrivals that are valid and want an answer, in time."""
        return sum(_KINDS[kind][0] for kind in WORKING)

    def mean_working_tokens(self) -> float:
        """Tokens of the average working shot."""
        total = sum(
            _KINDS[kind][0] * sum(s.tokens for s in self._shots[kind]) / len(self._shots[kind])
            for kind in WORKING
        )
        return total / self.working_share()

    def most_tokens(self) -> int:
        """Tokens of the largest working shot."""
        return max(shot.tokens for kind in WORKING for shot in self._shots[kind])

    def _on_every_protocol(self, kind: str, calls: list[list[Question]]) -> list[Shot]:
        return [
            Shot(kind, protocol, _payload(protocol, questions), self._tokens(questions))
            for number, questions in enumerate(calls)
            for protocol in (PROTOCOLS[number % len(PROTOCOLS)],)
        ]

    def _short_timeouts(self, calls: list[list[Question]]) -> list[Shot]:
        timeout = {"timeout": round(SHORT_TIMEOUT_SECONDS * 1e6)}
        shots = []
        for questions in calls:
            tokens = self._tokens(questions)
            for protocol in PROTOCOLS:
                payload = _payload(protocol, questions, timeout)
                shots.append(Shot("short-timeout", protocol, payload, tokens))
            payload = _payload("grpc", questions)
            shots.append(Shot("short-timeout", "grpc", payload, tokens, SHORT_TIMEOUT_SECONDS))
        return shots

    def _huge(self, kind: str, size: int) -> list[Shot]:
        questions = [Question("Who built it?", "pigs " * (size // 5))]
        return [Shot(kind, protocol, _payload(protocol, questions)) for protocol in PROTOCOLS]

    def _tokens(self, questions: Sequence[Question]) -> int:
        return sum(len(feature) for feature in self._features.features(questions))


def _payload(
    protocol: str, questions: Sequence[Question], parameters: dict[str, int] | None = None
) -> bytes:
    if protocol == "v1":
        return http_request(V1_PATH, v1_body(questions, parameters))
    if protocol == "v2":
        return http_request(INFER_PATH, v2_body(questions, parameters))
    message = pb.ModelInferRequest(model_name="qa")
    for name in ("question", "context"):
        tensor = message.inputs.add(name=name, datatype="BYTES", shape=[len(questions)])
        tensor.contents.bytes_contents.extend(getattr(q, name).encode() for q in questions)
    for name, value in (parameters or {}).items():
        message.parameters[name].int64_param = value
    return bytes(message.SerializeToString())


def _invalid() -> list[Shot]:
    question = Question("Who built it?", "The pigs built it.")
    empty = Question("Who built it?", " ")
    wrong_shape = json.loads(v2_body([question]))
    wrong_shape["inputs"][0]["shape"] = [2]
    wrong_type = json.loads(v2_body([question]))
    wrong_type["inputs"][1]["datatype"] = "FP32"
    one_input = json.loads(v2_body([question]))
    del one_input["inputs"][1]
    bodies = {
        INFER_PATH: [
            b"{", b"[]", b"\xff\xfe", b"", v2_body([empty]), v2_body([question], {"top_k": 0}),
            *(json.dumps(body).encode() for body in (wrong_shape, wrong_type, one_input)),
        ],
        V1_PATH: [
            b"{", b"[]", b"\xff\xfe", b'{"instances": []}', b'{"instances": [1]}',
            v1_body([empty]), v1_body([question], {"top_k": "x"}),
        ],
        "/v2/models/another/infer": [v2_body([question])],
        "/v2/models/qa/versions/99/infer": [v2_body([question])],
        "/v1/models/another:predict": [v1_body([question])],
        "/nowhere": [b"{}"],
    }  # fmt: skip
    shots = [
        Shot("invalid", "v1" if path.startswith("/v1") else "v2", http_request(path, body))
        for path, several in bodies.items()
        for body in several
    ]
    messages = [
        pb.ModelInferRequest(model_name="another"),
        pb.ModelInferRequest(model_name="qa"),
        pb.ModelInferRequest(model_name="qa", model_version="99"),
    ]
    shots += [Shot("invalid", "grpc", bytes(m.SerializeToString())) for m in messages]
    shots.append(Shot("invalid", "grpc", _payload("grpc", [empty])))
    shots.append(Shot("invalid", "grpc", _payload("grpc", [question], {"top_k": 0})))
    return shots
