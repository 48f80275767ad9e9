"""The same bad inputs on V1, V2 JSON, V2 binary and gRPC: one meaning, and no harm."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import pytest

from tests.integration import oip_schema
from tests.integration.calls import ANSWER, OVER_THE_LIMIT, Inquiry, call
from tests.wording import INTERNAL

REST = ("v1", "v2_json", "v2_binary")
GRPC = ("grpc", "grpc_raw")
NOT_JSON = ("v2_binary", *GRPC)


@dataclass(frozen=True)
class Case:
    """A bad inquiry and what every protocol has to say about it.

    Attributes:
        names: Words that tell the client what is wrong.
        told_by: Protocols where the refusal is the server's own, in words that it chooses, and not
            a JSON parser's or gRPC's.
    """

    inquiry: Inquiry
    names: Sequence[str]
    http: int = 400
    grpc: str = "INVALID_ARGUMENT"
    told_by: Sequence[str] = (*REST, *GRPC)


CASES = {
    "missing question": Case(Inquiry(question=None), ["question"]),
    "missing context": Case(Inquiry(context=None), ["context"]),
    "empty question": Case(Inquiry(question=[""]), ["question", "empty"]),
    "blank context": Case(Inquiry(context=[" \t\n"]), ["context", "empty"]),
    "wrong datatype": Case(Inquiry(question=[7], datatype="INT64"), ["question"]),
    "wrong shape": Case(Inquiry(question=["Who?", "What?"], shape=[1]), ["question"]),
    "no UTF-8": Case(Inquiry(question=[b"Who \xff?"]), ["question"], told_by=NOT_JSON),
    "half a surrogate pair": Case(Inquiry(question=["\ud800"]), ["question"], told_by=NOT_JSON),
    "unknown parameter": Case(Inquiry(parameters={"top_n": 2}), ["top_n"]),
    "parameter without value": Case(Inquiry(parameters={"top_k": None}), ["top_k"]),
    "top_k out of range": Case(Inquiry(parameters={"top_k": 0}), ["top_k"]),
    "threshold that is no number": Case(
        Inquiry(parameters={"null_score_diff_threshold": "low"}),
        ["null_score_diff_threshold", "number"],
    ),
    "question over the window": Case(Inquiry(question=["word " * 600]), ["question"]),
    "parameter of a name as long as a book": Case(
        Inquiry(parameters={"t" * 100_000: 2}), ["unknown parameter"]
    ),
    "unknown model": Case(Inquiry(model="nobody"), ["nobody"], 404, "NOT_FOUND"),
    # The only one that gRPC itself refuses.
    "request over the limit": Case(
        Inquiry(context=[OVER_THE_LIMIT]), ["8388608"], 413, "RESOURCE_EXHAUSTED", told_by=REST
    ),
}


def refusal(server, stub, protocol, inquiry):
    """The status and the text of a request that must be refused."""
    if protocol in REST:
        reply = call(server, "POST", *getattr(inquiry, protocol)())
        oip_schema.ERROR.validate(reply.json)
        return reply.status, reply.json["error"]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(inquiry.grpc(raw=protocol == "grpc_raw"), timeout=30)
    return caught.value.code().name, caught.value.details()


@pytest.mark.parametrize("protocol", [*REST, *GRPC])
@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_means_the_same_everywhere(server, stub, name, protocol):
    case = CASES[name]
    status, text = refusal(server, stub, protocol, case.inquiry)
    assert status == (case.http if protocol in REST else case.grpc), text
    assert not INTERNAL.search(text), text
    if protocol in case.told_by:
        assert [word for word in case.names if word not in text] == [], text


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_has_one_text_on_every_v2_transport(server, stub, name):
    case = CASES[name]
    told_by = [protocol for protocol in case.told_by if protocol != "v1"]
    texts = {protocol: refusal(server, stub, protocol, case.inquiry)[1] for protocol in told_by}
    assert len(set(texts.values())) == 1, texts


@pytest.mark.parametrize("letter", ["n", "🐖"])
def test_a_name_that_is_too_long_to_repeat_is_still_not_found(server, stub, letter):
    status, text = refusal(server, stub, "grpc", Inquiry(model=letter * 20_000))
    assert status == "NOT_FOUND"
    assert text.startswith(f"model {letter}")


@pytest.fixture(scope="module")
def log_of_all(server, stub):
    """What the server logs while it refuses every case on every protocol."""
    before = len(server.log.read_text())
    for case in CASES.values():
        for protocol in (*REST, *GRPC):
            refusal(server, stub, protocol, case.inquiry)
    assert call(server, "GET", "/v1/models/nobody").status == 404
    return server.log.read_text()[before:]


@pytest.mark.usefixtures("log_of_all")
def test_the_server_still_answers(server, stub):
    for protocol in REST:
        reply = call(server, "POST", *getattr(Inquiry(), protocol)())
        assert reply.status == 200
        assert ANSWER in reply.content.decode()
    response = stub.ModelInfer(Inquiry().grpc(), timeout=30)
    assert list(response.outputs[0].contents.bytes_contents) == [ANSWER.encode()]


def test_a_client_s_mistake_leaves_no_traceback_in_the_log(log_of_all):
    assert "Traceback" not in log_of_all
