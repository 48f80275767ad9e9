"""The session on a GPU answers as on a CPU, with graphs and without, on fused kernels."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gpu import checks as gpu_checks
from predictor.engine import Engine
from predictor.sessions import cuda
from predictor.sessions.bucket_grid import BucketGrid
from predictor.sessions.protocol import SessionOptions
from predictor.sessions.providers import CPU, CUDA

# Both run fp32 sums in other orders, CUDA's in TF32.
TF32 = 1e-2


def passed(check):
    assert check.passed, check.detail


def test_fp16_answers_as_fp32(embedded, examples):
    passed(gpu_checks.fp16_answers(embedded, "cuda", examples))


def test_a_replayed_graph_answers_as_no_graph(embedded, examples):
    passed(gpu_checks.graph_answers(embedded, "cuda", examples))


def test_buckets_answer_as_a_plain_run(embedded, examples):
    passed(gpu_checks.binding_answers(embedded, "cuda", examples))


def test_attention_is_fused_also_with_uneven_heads(embedded, compacted):
    passed(gpu_checks.fused_attention(embedded, "cuda"))
    passed(gpu_checks.fused_attention(compacted, "cuda"))


def test_fp32_runs_too(embedded, examples):
    on_gpu = Engine.load(embedded.fp32, options=SessionOptions(CUDA))
    on_cpu = Engine.load(embedded.fp32, options=SessionOptions(CPU))
    features = on_cpu.prepare([gpu_checks.Question(e.question, e.context) for e in examples[::20]])
    for ours, theirs in zip(on_gpu.run(features), on_cpu.run(features), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a - b).max() < TF32 * max(1.0, np.abs(b).max())


def test_every_bucket_is_captured_and_stays_right(embedded):
    """Captured graphs share the arena's memory: one must not spoil what another reads."""
    options = SessionOptions(CUDA, max_batch_tokens=1024)
    graphs = Engine.load(embedded.fp16, options=options)
    plain = Engine.load(embedded.fp16, options=replace(options, io_binding=False))
    graphs.warm_up()
    values = np.random.default_rng(0)
    buckets = BucketGrid(graphs.spec.max_seq_length, 1024).buckets
    for bucket in [*buckets, *values.permutation(np.array(buckets, dtype=object))]:
        shape = (bucket.rows, bucket.length)
        batch = {name: np.zeros(shape, dtype=np.int64) for name in graphs.spec.inputs}
        batch["input_ids"][:] = values.integers(1000, 20000, shape)
        batch["attention_mask"][:] = 1
        ours, theirs = graphs.session.run(batch), plain.session.run(batch)
        tolerance = 2e-2 * max(1.0, np.abs(theirs.start).max())
        assert np.abs(ours.start - theirs.start).max() <= tolerance, bucket


def test_staging_memory_is_pinned(embedded):
    engine = Engine.load(embedded.fp16, options=SessionOptions(CUDA, cuda_graph=False))
    engine.warm_up()
    assert engine.session._binding.pinned
    runtime = cuda.cuda_runtime()
    array, pinned = cuda.host_array((4, 1000), runtime)
    assert pinned
    # Pinned twice is refused; after the first array is gone, its pages are free again.
    assert runtime.cudaHostRegister(array.ctypes.data, array.nbytes, 0) != 0
    runtime.cudaGetLastError()


def test_auto_is_cuda_for_what_is_made_for_it(embedded):
    engine = Engine.load(embedded.fp16)
    assert engine.session.provider == CUDA
    assert engine.session.run_overhead_tokens == 4096


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_more_rows_than_any_bucket(embedded, cuda_graph):
    options = SessionOptions(CUDA, cuda_graph=cuda_graph, max_batch_tokens=256)
    engine = Engine.load(embedded.fp16, options=options)
    batch = {name: np.ones((100, 2), dtype=np.int64) for name in engine.spec.inputs}
    logits = engine.session.run(batch)
    assert logits.start.shape == (100, 2)
    assert np.allclose(logits.start, logits.start[0], atol=2e-2)
