"""The three bindings on a small model whose every row would spoil all others with a NaN."""

import mmap
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from predictor.engine import Engine
from predictor.errors import StartupError
from predictor.sessions import cuda
from predictor.sessions import ort as session
from predictor.sessions.binding import BucketBinding, ExactBinding, PlainBinding
from predictor.sessions.bucket_grid import BucketGrid
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU, CUDA

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PAD = 7
# The longest length is no multiple of the alignment of tensors in a buffer.
GRID = BucketGrid(125, 256)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Logits that depend on the row's valid tokens; a row without one makes them all NaN."""
    shape = ["rows", "length"]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "mask"], ["valid"]),
        helper.make_node("ReduceSum", ["valid", "one"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("ReduceSum", ["mean"], ["all"], keepdims=1),
        helper.make_node("Mul", ["all", "zero"], ["poison"]),
        helper.make_node("Sub", ["ids", "mean"], ["centred"]),
        helper.make_node("Add", ["centred", "poison"], ["start_logits"]),
        helper.make_node("Add", ["start_logits", "types"], ["end_logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in INPUTS],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name in ("start_logits", "end_logits")
        ],
        [
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        ],
    )
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


@pytest.fixture
def runtime(model):
    return ort.InferenceSession(str(model), providers=[CPU])


class Watched:
    """A session that also notes which binding ran with which graph."""

    def __init__(self, inner, fail_at=None):
        self.inner = inner
        self.fail_at = fail_at
        self.runs = []

    def io_binding(self):
        return self.inner.io_binding()

    def run_with_iobinding(self, binding, options):
        self.runs.append((binding, options.get_run_config_entry("gpu_graph_id")))
        if len(self.runs) == self.fail_at:
            raise RuntimeError("CUDA failure 900")
        self.inner.run_with_iobinding(binding, options)


def buckets(on, **changes):
    return BucketBinding(on, INPUTS, GRID, **{"pad_token_id": PAD, "device": "cpu"} | changes)


def batch(rows, longest, seed=0):
    values = np.random.default_rng(seed)
    lengths = values.integers(1, longest + 1, rows)
    lengths[0] = longest
    mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
    return {
        "input_ids": np.where(mask, values.integers(10, 1000, mask.shape), PAD),
        "attention_mask": mask,
        "token_type_ids": values.integers(0, 2, mask.shape) * mask,
    }


@pytest.mark.parametrize(
    ("rows", "longest"), [(1, 1), (1, 64), (3, 64), (3, 70), (1, 125), (2, 125), (16, 16)]
)
def test_all_bindings_give_the_same_logits(runtime, rows, longest):
    given = batch(rows, longest)
    expected = ExactBinding(runtime).run(given)
    assert np.isfinite(expected.start).all()
    for binding in (PlainBinding(runtime), buckets(runtime)):
        found = binding.run(given)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == (rows, longest)
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("make", [ExactBinding, PlainBinding, buckets])
def test_what_is_returned_belongs_to_the_caller(runtime, make):
    binding = make(runtime)
    first = binding.run(batch(4, 64, seed=1))
    kept = [array.copy() for array in first]
    binding.run(batch(4, 64, seed=2))
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
        array[:] = 0.0
    again = binding.run(batch(4, 64, seed=1))
    np.testing.assert_array_equal(again.start, kept[0])


def test_nothing_of_an_earlier_batch_is_left(runtime):
    binding = buckets(runtime)
    binding.run(batch(4, 64, seed=1))
    small = batch(3, 20, seed=2)
    expected = ExactBinding(runtime).run(small)
    np.testing.assert_allclose(binding.run(small).end, expected.end, rtol=1e-5)


def test_more_rows_than_a_bucket_has_run_in_parts(runtime):
    watched = Watched(runtime)
    given = batch(100, 2)
    found = buckets(watched).run(given)
    np.testing.assert_allclose(found.start, ExactBinding(runtime).run(given).start, rtol=1e-5)
    most = GRID.most_rows(2)
    assert len(watched.runs) == -(-100 // most) > 1


def test_a_bucket_keeps_its_binding_and_its_graph(runtime):
    watched = Watched(runtime)
    binding = buckets(watched, cuda_graph=True)
    for rows, longest in ((1, 64), (1, 30), (2, 64), (1, 100), (1, 10)):
        binding.run(batch(rows, longest))
    seen = [(id(used), graph) for used, graph in watched.runs]
    assert seen[0] == seen[1] == seen[4]
    assert len({seen[0], seen[2], seen[3]}) == 3
    assert len({graph for _, graph in seen}) == 3
    # Zero is the graph of runs that name none.
    assert all(int(graph) > 0 for _, graph in seen)


def test_without_graphs_no_run_is_captured(runtime):
    watched = Watched(runtime)
    buckets(watched).run(batch(1, 64))
    assert [graph for _, graph in watched.runs] == ["-1"]


def test_warm_up_runs_every_bucket_largest_first(runtime, caplog):
    watched = Watched(runtime)
    binding = buckets(watched, cuda_graph=True)
    with caplog.at_level("INFO"):
        binding.warm_up()
    graphs = [int(graph) for _, graph in watched.runs]
    assert graphs[::2] == graphs[1::2] == list(range(1, len(GRID.buckets) + 1))
    assert next(iter(binding._ready)) == max(GRID.buckets, key=lambda bucket: bucket.tokens)
    assert f"{len(GRID.buckets)} shapes are ready" in caplog.text
    assert "host memory pageable" in caplog.text


def test_a_bucket_that_does_not_run_stops_the_start(runtime):
    message = r"16 × 64 tokens do not run on cpu: CUDA failure 900; .*--cuda_graph off"
    with pytest.raises(StartupError, match=message):
        buckets(Watched(runtime, fail_at=1), cuda_graph=True).warm_up()
    with pytest.raises(StartupError) as caught:
        buckets(Watched(runtime, fail_at=3)).warm_up()
    assert "--cuda_graph" not in str(caught.value)


def test_a_model_without_mask_cannot_be_padded(runtime):
    with pytest.raises(StartupError, match="attention_mask"):
        BucketBinding(runtime, ("input_ids",), GRID, pad_token_id=0)


@pytest.mark.parametrize(
    ("provider", "options", "expected"),
    [
        (CPU, {}, ExactBinding),
        (CPU, {"io_binding": False}, PlainBinding),
        (CUDA, {}, BucketBinding),
        (CUDA, {"io_binding": False}, PlainBinding),
    ],
)
def test_the_provider_decides_on_the_binding(fake_engine, runtime, provider, options, expected):
    chosen = session._binding(runtime, fake_engine.spec, provider, SessionOptions(**options))
    assert type(chosen) is expected


def test_a_model_that_cannot_be_captured_says_what_to_do(make_artifact, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError(
            "This session cannot use the graph capture feature as requested by the user as all "
            "compute graph nodes have not been partitioned to the CUDAExecutionProvider"
        )

    monkeypatch.setattr(ort, "InferenceSession", refuse)
    with pytest.raises(StartupError, match="--cuda_graph off"):
        Engine.load(make_artifact())


def test_graphs_are_asked_for_only_with_iobinding(monkeypatch):
    asked = []

    def note(*_, providers, **__):
        asked.append(providers[0][1]["enable_cuda_graph"])

    monkeypatch.setattr(ort, "InferenceSession", note)
    for options in ({}, {"cuda_graph": False}, {"io_binding": False}):
        session._load(Path("model.onnx"), CUDA, SessionOptions(**options))
    assert asked == ["1", "0", "0"]


def test_the_engine_warms_its_session_first(fake_engine, monkeypatch):
    calls = []
    inner = fake_engine.session
    run = inner.run
    monkeypatch.setattr(inner, "warm_up", lambda: calls.append("warm_up"), raising=False)
    monkeypatch.setattr(inner, "run", lambda b: calls.append("run") or run(b), raising=False)
    fake_engine.warm_up()
    assert calls[0] == "warm_up"
    assert "run" in calls


class Cudart:
    """Stands in for the CUDA runtime, which is not here."""

    def __init__(self, status):
        self.status = status
        self.calls = []

    def cudaHostRegister(self, address, size, flags):
        self.calls.append(("register", address, size, flags))
        return self.status

    def cudaHostUnregister(self, address):
        self.calls.append(("unregister", address))

    def cudaGetLastError(self):
        self.calls.append(("last error",))


def test_host_memory_is_pinned_by_whole_pages_and_given_back():
    runtime = Cudart(0)
    array, pinned = cuda.host_array((3, 5, 7), runtime)
    assert pinned
    assert array.shape == (3, 5, 7)
    assert not array.any()
    ((_, address, size, _),) = runtime.calls
    assert address == array.ctypes.data
    assert address % mmap.PAGESIZE == size % mmap.PAGESIZE == 0
    assert size >= array.nbytes
    view = array[1]
    del array
    assert len(runtime.calls) == 1
    del view
    assert runtime.calls[1:] == [("unregister", address)]


def test_memory_that_cannot_be_pinned_is_ordinary_memory():
    runtime = Cudart(2)
    array, pinned = cuda.host_array((2, 2), runtime)
    assert not pinned
    assert [call[0] for call in runtime.calls] == ["register", "last error"]
    assert array.shape == (2, 2)
    assert cuda.host_array((2, 2), None)[1] is False


def test_a_missing_cudnn_is_said(monkeypatch, caplog):
    def absent(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda.ctypes, "CDLL", absent)
    cuda.load_libraries()
    assert "libcudnn.so.9 is not found" in caplog.text
    assert cuda.cuda_runtime() is None
