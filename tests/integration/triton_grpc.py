"""Triton's gRPC client as a program: its protobuf messages clash with KServe's in one process.

`python triton_grpc.py host:port` reads the question, the context and a second question as JSON from
stdin and writes JSON to stdout: scenario → what the client got, or the status it was refused with.
"""

import json
import sys

import grpc
import numpy as np
from tritonclient.grpc import (
    InferenceServerClient,
    InferenceServerException,
    InferInput,
    InferRequestedOutput,
    service_pb2,
    service_pb2_grpc,
)


def inputs(**columns):
    tensors = []
    for name, texts in columns.items():
        tensor = InferInput(name, [len(texts)], "BYTES")
        tensor.set_data_from_numpy(np.array([text.encode() for text in texts], np.object_))
        tensors.append(tensor)
    return tensors


def flat(array):
    return [x.decode() if isinstance(x, bytes) else x for x in array.reshape(-1).tolist()]


def infer(client, question, context, **options):
    tensors = inputs(question=question, context=context)
    result = client.infer("qa", tensors, request_id="mine", **options)
    response = result.get_response()
    values = {output.name: flat(result.as_numpy(output.name)) for output in response.outputs}
    return {"id": response.id, "version": response.model_version, "values": values}


def typed(url, question, context):
    """The same service called with typed contents, which the client's own `infer` never sends."""
    message = service_pb2.ModelInferRequest(model_name="qa", id="mine")
    for name, text in (("question", question), ("context", context)):
        tensor = message.inputs.add(name=name, datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(text.encode())
    with grpc.insecure_channel(url) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
            message, timeout=30
        )
    values = {}
    for output in response.outputs:
        contents = {
            "BYTES": [text.decode() for text in output.contents.bytes_contents],
            "FP32": list(output.contents.fp32_contents),
            "INT64": list(output.contents.int64_contents),
        }
        values[output.name] = contents[output.datatype]
    return {"id": response.id, "version": response.model_version, "values": values}


def refused(error):
    return {"status": str(error.status()), "message": error.message()}


def main():
    (url,) = sys.argv[1:]
    question, context, other = json.load(sys.stdin)
    one = ([question], [context])
    outputs = [InferRequestedOutput("end"), InferRequestedOutput("answer")]
    threshold = "null_score_diff_threshold"
    with InferenceServerClient(url) as client:
        scenarios = {
            "raw": lambda: infer(client, *one),
            "typed": lambda: typed(url, question, context),
            "version": lambda: infer(client, *one, model_version="1"),
            "requested outputs": lambda: infer(client, *one, outputs=outputs),
            "gzip": lambda: infer(client, *one, compression_algorithm="gzip"),
            "enough time": lambda: infer(client, *one, timeout=20_000_000, client_timeout=30),
            "priority": lambda: infer(client, *one, priority=1),
            "sequence": lambda: infer(
                client, *one, sequence_id=7, sequence_start=True, sequence_end=True
            ),
            "batch": lambda: infer(client, [question, other], [context]),
            "top_k": lambda: infer(client, *one, parameters={"top_k": 2}),
            "threshold as string": lambda: infer(client, *one, parameters={threshold: "-1000"}),
            "threshold as float": lambda: infer(client, *one, parameters={threshold: -1000.0}),
            "no time on the server": lambda: infer(client, *one, timeout=1),
            "no time at the client": lambda: infer(client, *one, client_timeout=1e-6),
            "unknown version": lambda: infer(client, *one, model_version="2"),
            "empty question": lambda: infer(client, [""], [context]),
            "server is live": client.is_server_live,
            "server is ready": client.is_server_ready,
            "model is ready": lambda: client.is_model_ready("qa"),
            "version is ready": lambda: client.is_model_ready("qa", "1"),
            "server metadata": lambda: client.get_server_metadata(as_json=True),
            "model metadata": lambda: client.get_model_metadata("qa", as_json=True),
            "version's metadata": lambda: client.get_model_metadata("qa", "1", as_json=True),
        }
        results = {}
        for name, scenario in scenarios.items():
            try:
                results[name] = scenario()
            except InferenceServerException as error:
                results[name] = refused(error)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
