"""How the attention kernels' debug output is read and judged."""

from benchmarks.gpu import attention as gpu_attention
from benchmarks.gpu import checks as gpu_checks

# As ONNX Runtime writes it, colours included.
OUTPUT = (
    "\x1b[36mAttentionKernelOptions: FLASH_ATTENTION=1 CUDNN_FLASH_ATTENTION=1 MATH=1\x1b[0m\n"
    "length=64\n"
    "\x1b[36mOperator=Attention Node=Attention_0 DataType=fp16 "
    "SdpaKernel=CUDNN_FLASH_ATTENTION\x1b[0m\n"
    "\x1b[36mOperator=Attention DataType=fp16 SdpaKernel=CUDNN_FLASH_ATTENTION\x1b[0m\n"
    "\x1b[36mOperator=MultiHeadAttention Node=x DataType=fp16 SdpaKernel=MATH\x1b[0m\n"
    "length=512\n"
    "\x1b[36mOperator=Attention Node=Attention_0 DataType=fp16 SdpaKernel=MATH\x1b[0m\n"
    "\x1b[36mOperator=Attention Node=Attention_1 DataType=fp16 SdpaKernel=TRT_FLASH_ATTENTION\n"
)
CUDNN = "CUDNN_FLASH_ATTENTION"


def test_kernels_are_read_by_length():
    assert gpu_attention.parse(OUTPUT) == {
        64: [CUDNN, CUDNN],
        512: ["MATH", "TRT_FLASH_ATTENTION"],
    }


def test_every_layer_must_be_fused_at_every_length():
    assert gpu_checks.fused("x", {64: [CUDNN] * 2, 512: [CUDNN] * 2}, layers=2).passed
    unfused = gpu_checks.fused("x", gpu_attention.parse(OUTPUT), layers=2)
    assert unfused.passed is False
    assert "512 tokens: MATH, TRT_FLASH_ATTENTION" in unfused.detail
    assert gpu_checks.fused("x", {64: [CUDNN]}, layers=2).passed is False
    assert gpu_checks.fused("x", {64: []}, layers=2).passed is False
    assert gpu_checks.fused("x", {}, layers=2).passed is False
