"""Whatever the bytes, a codec gives a call that keeps its promises, or refuses in words.

Right requests of every protocol come back as they were asked; so do results. The numbers of
examples below, with those of the endpoints, give the 20,000 inputs that are counted there.
"""

import json
import math
import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.codecs.call import Call
from predictor.codecs.v2 import OUTPUT_NAMES, OUTPUTS
from predictor.errors import PredictorError
from predictor.grpc_api import v2 as v2_grpc
from predictor.rest_api import v1
from predictor.rest_api import v2 as v2_rest
from predictor.types import Answer, Question, Result, SpanParameters, Timings
from tests import generated
from tests.damage import DAMAGES, DENTS, body, damaged
from tests.generated import N_BEST, WINDOW, asks
from tests.wording import INTERNAL, own_words

DEFAULTS = SpanParameters(n_best_size=N_BEST)
# Examples, each of which is an input to so many decoders.
DAMAGED, NOISE, RIGHT = 2200, 700, 500
INPUTS = 5 * DAMAGED + 4 * NOISE + 5 * RIGHT
RESULTS = 300

# What stands in the header of the binary extension when it is not the JSON's length.
HEADERS = st.sampled_from(
    ["", "0", "-1", "+5", "5 ", "٣", "1e3", "0x10", "9" * 5000, "0" * 30, "²", "\x00"]
) | st.text(max_size=4)


def decode_v1(content):
    return v1.decode(content, DEFAULTS, WINDOW), OUTPUT_NAMES


def decode_rest(content, header=None):
    request = v2_rest.decode(content, header, DEFAULTS, WINDOW)
    assert request.id
    assert request.id.encode()
    assert request.binary <= set(request.outputs)
    return request.call, request.outputs


def decode_grpc(message):
    return v2_grpc.decode(message, DEFAULTS, WINDOW)


def check(decode, *arguments):
    """What a decoder may do: keep the promises of Call, or refuse in its own words."""
    try:
        call, outputs = decode(*arguments)
    except PredictorError as error:
        refusal = error
    else:
        keeps_its_promises(call, outputs)
        return
    assert refusal.http_status == 400
    assert 0 < len(str(refusal)) < 500
    assert not INTERNAL.search(own_words(str(refusal))), str(refusal)


def keeps_its_promises(call, outputs):
    assert call.questions
    for text in (t for q in call.questions for t in (q.question, q.context)):
        assert isinstance(text, str)
        assert text.strip()
        assert text.encode()
    parameters = call.parameters
    assert isinstance(parameters.top_k, int)
    assert 1 <= parameters.top_k <= parameters.n_best_size == N_BEST
    assert isinstance(parameters.max_answer_length, int)
    assert 1 <= parameters.max_answer_length <= WINDOW
    assert math.isfinite(parameters.null_score_diff_threshold)
    assert call.timeout is None or 0 < call.timeout < math.inf
    assert outputs
    assert len(set(outputs)) == len(outputs)
    assert set(outputs) <= set(OUTPUT_NAMES)


@settings(max_examples=DAMAGED)
@given(asks(), DAMAGES, DENTS, st.integers(-9, 9), st.none() | HEADERS)
def test_damaged_requests(ask, damages, dent, shift, header):
    check(decode_v1, dent(body(damaged(generated.v1(ask), damages))))
    check(decode_rest, dent(body(damaged(generated.v2(ask), damages))))
    head, raw = generated.v2_binary(ask)
    head = body(damaged(head, damages))
    if header is None:
        header = str(len(head) + (shift if shift % 3 == 0 else 0))
    check(decode_rest, dent(head + raw) if shift % 2 else head + dent(raw), header)
    for in_raw in (False, True):
        fields = damaged(generated.v2_message(ask, raw=in_raw), damages, text=False)
        check(decode_grpc, generated.message(fields))


@settings(max_examples=NOISE)
@given(st.binary(max_size=200), st.integers(0, 250), HEADERS)
def test_noise(content, length, header):
    check(decode_v1, content)
    check(decode_rest, content)
    check(decode_rest, content, str(length))
    check(decode_rest, content, header)


def laid_over(ask):
    """The parameters and the timeout that an ask comes to."""
    asked = {name: float(value) for name, value in ask.parameters.items()}
    timeout = asked["timeout"] / 1e6 if "timeout" in asked else None
    parameters = SpanParameters(
        int(asked.get("top_k", DEFAULTS.top_k)),
        N_BEST,
        int(asked.get("max_answer_length", DEFAULTS.max_answer_length)),
        asked.get("null_score_diff_threshold", DEFAULTS.null_score_diff_threshold),
    )
    return parameters, timeout


@settings(max_examples=RIGHT)
@given(asks())
def test_a_right_request_is_understood_on_every_protocol(ask):
    contexts = ask.contexts * (len(ask.questions) // len(ask.contexts))
    parameters, timeout = laid_over(ask)
    expected = Call(tuple(map(Question, ask.questions, contexts)), parameters, timeout)
    assert decode_v1(body(generated.v1(ask)))[0] == expected
    head, raw = generated.v2_binary(ask)
    head = body(head)
    for decoded in (
        decode_rest(body(generated.v2(ask))),
        decode_rest(head + raw, str(len(head))),
        decode_grpc(generated.message(generated.v2_message(ask, raw=False))),
        decode_grpc(generated.message(generated.v2_message(ask, raw=True))),
    ):
        assert decoded == (expected, tuple(ask.outputs) or OUTPUT_NAMES)


ANSWERS = st.builds(
    Answer,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.floats(0, 1),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
)
ONE_RESULT = st.builds(
    Result,
    st.lists(ANSWERS, min_size=1, max_size=3).map(tuple),
    st.floats(-1e30, 1e30),
    st.integers(1, 512),
)
DATATYPES = {output["name"]: output["datatype"] for output in OUTPUTS}


def unpacked(datatype, content):
    """The values of raw contents, read as the protocol says."""
    if datatype != "BYTES":
        size, code = {"FP32": (4, "f"), "INT64": (8, "q")}[datatype]
        return list(struct.unpack(f"<{len(content) // size}{code}", content))
    values = []
    while content:
        (length,) = struct.unpack_from("<I", content)
        values.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return values


def expected_values(results, top_k):
    """Every output's values, row-major, as the protocol's datatypes hold them."""
    rows = [[*r.answers, *[Answer("", 0.0, -1, -1)] * (top_k - len(r.answers))] for r in results]
    answers = [answer for row in rows for answer in row]
    return {
        "answer": [a.text for a in answers],
        "score": [float(np.float32(a.score)) for a in answers],
        "start": [a.start for a in answers],
        "end": [a.end for a in answers],
        "null_score_diff": [float(np.float32(r.null_score_diff)) for r in results],
        "sequence_length": [r.sequence_length for r in results],
    }


def from_rest(content, headers):
    size = int(headers.get(v2_rest.BINARY_HEADER, len(content)))
    raw, values = content[size:], {}
    for output in json.loads(content[:size])["outputs"]:
        assert output["datatype"] == DATATYPES[output["name"]]
        values[output["name"]] = output.get("data")
        if "data" not in output:
            length = output["parameters"]["binary_data_size"]
            values[output["name"]], raw = (
                unpacked(output["datatype"], raw[:length]),
                raw[length:],
            )
    assert raw == b""
    return values


def from_grpc(response):
    values = {}
    for position, output in enumerate(response.outputs):
        if response.raw_output_contents:
            raw = response.raw_output_contents[position]
            values[output.name] = unpacked(output.datatype, raw)
            continue
        contents = getattr(output.contents, f"{output.datatype.lower()}_contents")
        texts = output.datatype == "BYTES"
        values[output.name] = [c.decode() for c in contents] if texts else list(contents)
    return values


@settings(max_examples=RESULTS)
@given(st.lists(ONE_RESULT, min_size=1, max_size=3), asks(), st.sets(st.sampled_from(OUTPUT_NAMES)))
def test_results_come_back_as_they_were_sent(results, ask, binary):
    ask.parameters["top_k"] = top_k = 3
    names = tuple(ask.outputs) or OUTPUT_NAMES
    expected = {n: v for n, v in expected_values(results, top_k).items() if n in names}
    payload = generated.v2(ask)
    payload["outputs"] = [
        {"name": name, "parameters": {"binary_data": name in binary}} for name in names
    ]
    request = v2_rest.decode(body(payload), None, DEFAULTS, WINDOW)
    assert from_rest(*v2_rest.encode(request, results, model="qa", version=1)) == expected
    for raw in (False, True):
        message = generated.message(generated.v2_message(ask, raw=raw))
        call, asked = v2_grpc.decode(message, DEFAULTS, WINDOW)
        response = v2_grpc.encode(message, call, asked, results, Timings(), version=1)
        assert from_grpc(response.FromString(response.SerializeToString())) == expected
    rows = [
        [{"answer": a.text, "score": a.score, "start": a.start, "end": a.end} for a in r.answers]
        for r in results
    ]
    assert json.loads(v1.encode(results, top_k)) == {"predictions": rows}
    one = json.loads(v1.encode(results, 1))
    assert one == {"predictions": [row[0] for row in rows]}
