"""The enumerations of the C ABI; every member equals its C value.

Generated from fp6llm.h by script/generate-bindings; do not edit.
"""


from enum import IntEnum


class Status(IntEnum):
    """Result of a call. Values equal `cublasStatus_t`."""

    SUCCESS = 0
    """Done."""
    NOT_INITIALIZED = 1
    """The handle is NULL or was not made by this library."""
    ALLOC_FAILED = 3
    """Out of host or device memory; nothing was left behind."""
    INVALID_VALUE = 7
    """An argument is wrong; the detail text names it."""
    ARCH_MISMATCH = 8
    """This processor or device cannot run what was asked."""
    MAPPING_ERROR = 11
    """Device memory could not be reached."""
    EXECUTION_FAILED = 13
    """A launch or a caller's parallel-for failed."""
    INTERNAL_ERROR = 14
    """A bug in this library."""
    NOT_SUPPORTED = 15
    """Valid, but this build or backend cannot do it."""


class DataType(IntEnum):
    """Element types. Values equal `cudaDataType` where CUDA has the type."""

    R_32F = 0
    """IEEE binary32."""
    R_16F = 2
    """IEEE binary16."""
    R_8I = 3
    """int8."""
    R_16BF = 14
    """bfloat16."""
    R_8F_E4M3 = 28
    """OCP FP8 E4M3."""
    R_8F_E5M2 = 29
    """OCP FP8 E5M2."""
    R_8F_UE8M0 = 30
    """OCP MX scale: 2^(byte - 127); 255 is NaN."""
    R_6F_E2M3 = 31
    """OCP MX FP6 E2M3: bias 1, max 7.5, min subnormal 0.125."""
    R_6F_E3M2 = 32
    """OCP MX FP6 E3M2: bias 3, max 28, min subnormal 0.0625."""
    R_4F_E2M1 = 33
    """OCP MX FP4 E2M1: bias 1, max 6, min subnormal 0.5."""
    R_5F_E2M2 = 0x1001
    """5 bits: bias 1, max 7, min subnormal 0.25."""
    R_5F_E3M1 = 0x1002
    """5 bits: bias 3, max 24, min subnormal 0.125."""
    R_6F_AUTO = 0x1010
    """Requested format only: E3M2 or E2M3, whichever errs less."""


class Operation(IntEnum):
    """Whether a matrix is used as it is stored or transposed. Values equal `cublasOperation_t`."""

    N = 0
    """As stored."""
    T = 1
    """Transposed."""


class PointerMode(IntEnum):
    """Where `alpha` and `beta` live. Values equal `cublasPointerMode_t`."""

    HOST = 0
    DEVICE = 1


class ComputeType(IntEnum):
    """How products are formed and summed. 68, 74, 75 equal `cublasComputeType_t`.

    A compute type is a permission that the caller gives. FP6LLM_COMPUTE_32F rounds no activation. The
    others let a backend round activations, never weights, and it does so where that is faster, which
    depends on the processor, the format and the tokens; elsewhere it is more exact than asked.
    fp6llmGemmGetHeuristic() names the kernel. Sums are fp32.

    FAST_16I and FAST_8I, where kernels take integers, cut a token's columns into blocks of 128. With
    amax the largest magnitude of a block, its activations become the integers nearest to
    x * 32767 / amax (FAST_8I: 127 / amax), whose products with weights are summed exactly within the
    block and scale group. A NaN or infinity makes all outputs of its token NaN; blocks with
    amax < 2^-100 count as zero. int16 goes with every format, int8 with E2M3, E2M2 and E2M1. Other
    kernels keep 16 bits of an activation in two bf16 parts (FAST_16I), or round it to bf16 (FAST_8I).

    Error of Y, rms relative to the rms of Y: FAST_16I 2.5e-5, FAST_8I 7e-3 with Gaussian activations;
    9e-5 and 2.1e-2 where 0.5 % of the channels are 20 times as large, 1.03e-4 and 2.6e-2 where they
    are 100 times. That is the largest over formats, row and MX scales at 2048 columns, measured by
    tests/unit/gemm/integer_reference_test.cpp. For comparison: bf16 activations 1.7e-3; 6-bit weights
    3e-2 (E2M3) and 5e-2 (E3M2).
    """

    COMPUTE_32F = 68
    """Exact products, fp32 sums. The default choice."""
    COMPUTE_32F_FAST_16F = 74
    """May round activations to fp16; at least that exact."""
    COMPUTE_32F_FAST_16BF = 75
    """May round activations to bf16 (error 1.7e-3)."""
    COMPUTE_32F_FAST_8F = 0x1001
    """FP8 activations (W6A8). No backend has it yet."""
    COMPUTE_32F_FAST_8I = 0x1002
    """May round activations to int8 (7e-3). CPU only."""
    COMPUTE_32F_FAST_16I = 0x1003
    """May round to int16: near exact (2.5e-5). CPU only."""


class Backend(IntEnum):
    """Where work is done."""

    AUTO = 0
    """CUDA when a usable device is present, else the CPU."""
    CPU = 1
    CUDA = 2


class ScaleMode(IntEnum):
    """How many weights share one scale."""

    ROW = 0
    """One scale per row (ZeroQuant(4+2) and FP6-LLM, "CGQ")."""
    GROUP = 1
    """One per `groupSize` consecutive columns of a row ("FGQ")."""
    MX = 2
    """OCP MX: one E8M0 power of two per 32 columns of a row."""


class Rounding(IntEnum):
    """Rounding of a scaled weight to the nearest code."""

    EVEN = 0
    """Ties to the even code, as CUDA, torchao and ml_dtypes do."""
    AWAY = 1
    """Ties away from zero, as the papers' quantizer did."""


class MxScaleRule(IntEnum):
    """How the E8M0 exponent of an MX group follows from its largest magnitude."""

    FLOOR = 0
    """OCP MX 1.0 section 6.3: floor(log2 amax) - emax; may clip."""
    EVEN = 1
    """AMD Quark's default: amax rounded to the element's mantissa."""
    RCEIL = 2
    """Smallest power of two that clips nothing."""


class NonFinite(IntEnum):
    """What NaN and infinity among the weights do."""

    ERROR = 0
    """FP6LLM_STATUS_INVALID_VALUE, nothing written."""
    SATURATE = 1
    """Left out of amax; Inf saturates by sign, NaN becomes +max."""


class PackedLayout(IntEnum):
    """Published packed layouts that can be imported and exported."""

    TC_FPX = 1
    """The original fp6_llm buffer: 2+4 (or 1+4) bit planes, 64x64."""
    SPLIT_4_2 = 2
    """ZeroQuant(4+2): a plane of first 4 bits, a plane of last 2."""


class Activation(IntEnum):
    """Activation function of an epilogue."""

    NONE = 0
    RELU = 1
    """max(v, 0)."""
    GELU = 2
    """v * Phi(v), with erf."""
    GELU_TANH = 3
    """The tanh form of GELU."""
    SILU = 4
    """v / (1 + exp(-v))."""


class LogLevel(IntEnum):
    """Severity of a log message."""

    ERROR = 0
    """A call failed; the same text as the error detail."""
    WARNING = 1
    """Worked, but not as well as it could."""
    INFO = 2
    """Choices made: ISA, kernels, pool size."""
