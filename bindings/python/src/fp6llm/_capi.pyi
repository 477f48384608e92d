"""The C ABI of libfp6llm, call by call, as bindings/swig/python.i shapes it.

Generated from fp6llm.h by script/generate-bindings; do not edit.
"""


from collections.abc import Callable, Sequence
from typing import Final

FP6LLM_STATUS_SUCCESS: Final = 0
FP6LLM_STATUS_NOT_INITIALIZED: Final = 1
FP6LLM_STATUS_ALLOC_FAILED: Final = 3
FP6LLM_STATUS_INVALID_VALUE: Final = 7
FP6LLM_STATUS_ARCH_MISMATCH: Final = 8
FP6LLM_STATUS_MAPPING_ERROR: Final = 11
FP6LLM_STATUS_EXECUTION_FAILED: Final = 13
FP6LLM_STATUS_INTERNAL_ERROR: Final = 14
FP6LLM_STATUS_NOT_SUPPORTED: Final = 15
FP6LLM_R_32F: Final = 0
FP6LLM_R_16F: Final = 2
FP6LLM_R_8I: Final = 3
FP6LLM_R_16BF: Final = 14
FP6LLM_R_8F_E4M3: Final = 28
FP6LLM_R_8F_E5M2: Final = 29
FP6LLM_R_8F_UE8M0: Final = 30
FP6LLM_R_6F_E2M3: Final = 31
FP6LLM_R_6F_E3M2: Final = 32
FP6LLM_R_4F_E2M1: Final = 33
FP6LLM_R_5F_E2M2: Final = 0x1001
FP6LLM_R_5F_E3M1: Final = 0x1002
FP6LLM_R_6F_AUTO: Final = 0x1010
FP6LLM_OP_N: Final = 0
FP6LLM_OP_T: Final = 1
FP6LLM_POINTER_MODE_HOST: Final = 0
FP6LLM_POINTER_MODE_DEVICE: Final = 1
FP6LLM_COMPUTE_32F: Final = 68
FP6LLM_COMPUTE_32F_FAST_16F: Final = 74
FP6LLM_COMPUTE_32F_FAST_16BF: Final = 75
FP6LLM_COMPUTE_32F_FAST_8F: Final = 0x1001
FP6LLM_COMPUTE_32F_FAST_8I: Final = 0x1002
FP6LLM_COMPUTE_32F_FAST_16I: Final = 0x1003
FP6LLM_BACKEND_AUTO: Final = 0
FP6LLM_BACKEND_CPU: Final = 1
FP6LLM_BACKEND_CUDA: Final = 2
FP6LLM_SCALE_ROW: Final = 0
FP6LLM_SCALE_GROUP: Final = 1
FP6LLM_SCALE_MX: Final = 2
FP6LLM_ROUND_NEAREST_EVEN: Final = 0
FP6LLM_ROUND_NEAREST_AWAY: Final = 1
FP6LLM_MX_SCALE_FLOOR: Final = 0
FP6LLM_MX_SCALE_EVEN: Final = 1
FP6LLM_MX_SCALE_RCEIL: Final = 2
FP6LLM_NONFINITE_ERROR: Final = 0
FP6LLM_NONFINITE_SATURATE: Final = 1
FP6LLM_LAYOUT_TC_FPX: Final = 1
FP6LLM_LAYOUT_SPLIT_4_2: Final = 2
FP6LLM_ACTIVATION_NONE: Final = 0
FP6LLM_ACTIVATION_RELU: Final = 1
FP6LLM_ACTIVATION_GELU: Final = 2
FP6LLM_ACTIVATION_GELU_TANH: Final = 3
FP6LLM_ACTIVATION_SILU: Final = 4
FP6LLM_LOG_ERROR: Final = 0
FP6LLM_LOG_WARNING: Final = 1
FP6LLM_LOG_INFO: Final = 2
FP6LLM_VERSION_MAJOR: Final = 0
FP6LLM_VERSION_MINOR: Final = 1
FP6LLM_VERSION_PATCH: Final = 0
FP6LLM_VERSION: Final = 100
FP6LLM_BLOB_ALIGNMENT: Final = 64
FP6LLM_ALGO_DEFAULT: Final = -1
FP6LLM_SCALE_TYPE_DEFAULT: Final = -1

class fp6llmHandle_t:
    """One thread of work at a time: backend, stream, workspace, thread pool, last error. Owns nothing.
    """

class fp6llmWeight_t:
    """An immutable quantized and prepacked matrix. Owns nothing."""

class fp6llmHandleConfig_t:
    """What fp6llmCreateWithConfig() makes."""

    structSize: int
    backend: int
    device: int
    numThreads: int
    reserved: int
    def __init__(self) -> None: ...

class fp6llmDeviceInfo_t:
    """A device as fp6llmGetDeviceInfo() describes it."""

    structSize: int
    backend: int
    ordinal: int
    name: str
    isa: str
    computeCapabilityMajor: int
    computeCapabilityMinor: int
    multiprocessorCount: int
    driverVersion: int
    totalMemory: int
    sharedMemoryPerBlock: int
    l2CacheBytes: int
    def __init__(self) -> None: ...

class fp6llmQuantConfig_t:
    """How to quantize, and what given codes and scales mean."""

    structSize: int
    format: int
    scaleMode: int
    groupSize: int
    scaleType: int
    rounding: int
    mxScaleRule: int
    nonFinite: int
    scaleSearch: int
    computeHint: int
    reserved: int
    def __init__(self) -> None: ...

class fp6llmQuantStats_t:
    """What quantization did. Errors are over the finite elements, against the input as fp32."""

    structSize: int
    format: int
    reserved: int
    mse: float
    signal: float
    maxAbsError: float
    saturated: int
    nonFinite: int
    def __init__(self) -> None: ...

class fp6llmWeightInfo_t:
    """A weight object as fp6llmWeightGetInfo() describes it."""

    structSize: int
    rows: int
    cols: int
    format: int
    scaleMode: int
    groupSize: int
    scaleType: int
    backend: int
    device: int
    isView: int
    computeHint: int
    bytes: int
    codeBytes: int
    scaleBytes: int
    layout: str
    def __init__(self) -> None: ...

class fp6llmEpilogue_t:
    """What follows the multiplication in fp6llmLinear(): Y = activation(X W^T + bias) + residual.
    """

    structSize: int
    bias: int | None
    biasType: int
    activation: int
    residual: int | None
    residualType: int
    computeType: int
    ldr: int
    def __init__(self) -> None: ...

class fp6llmHeuristicResult_t:
    """One way to run a multiplication, best first, from fp6llmGemmGetHeuristic()."""

    structSize: int
    algo: int
    isReference: int
    workspaceSize: int
    name: str
    def __init__(self) -> None: ...

def fp6llmGetVersion() -> int:
    """The library's version.
    @param version  receives 10000 * major + 100 * minor + patch
    @retval FP6LLM_STATUS_INVALID_VALUE  version is NULL
    """
    ...

def fp6llmGetVersionString() -> str:
    """The library's version as "major.minor.patch". Never NULL; static storage."""
    ...

def fp6llmGetStatusName(status: int) -> str:
    """The enumerator's name, e.g. "FP6LLM_STATUS_INVALID_VALUE". Never NULL; static storage."""
    ...

def fp6llmGetStatusString(status: int) -> str:
    """One sentence on what a status means. Never NULL; static storage."""
    ...

def fp6llmGetBuildInfo() -> str:
    """JSON: version, compilers, ISAs and CUDA architectures built in, build options.
    @retval FP6LLM_STATUS_ALLOC_FAILED  out of memory
    These copy NUL-terminated UTF-8 into the caller's buffer.
    @param buffer  `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
                   NUL-terminated when size > 0.
    @param size    bytes in buffer
    @param needed  receives the bytes the whole text takes with its NUL; may be NULL
    @retval FP6LLM_STATUS_INVALID_VALUE  buffer is NULL and size is not 0, or needed is misaligned;
                                         recorded for the thread only, so that a handle's text stays
                                         readable
    """
    ...

def fp6llmGetLastErrorString() -> str:
    """Detail of the last call that failed on this thread; "" if none has. Successful calls leave it.
    These copy NUL-terminated UTF-8 into the caller's buffer.
    @param buffer  `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
                   NUL-terminated when size > 0.
    @param size    bytes in buffer
    @param needed  receives the bytes the whole text takes with its NUL; may be NULL
    @retval FP6LLM_STATUS_INVALID_VALUE  buffer is NULL and size is not 0, or needed is misaligned;
                                         recorded for the thread only, so that a handle's text stays
                                         readable
    """
    ...

def fp6llmGetErrorString(handle: fp6llmHandle_t | None) -> str:
    """Detail of the last call that failed with this handle, on whichever thread; "" if none has.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    These copy NUL-terminated UTF-8 into the caller's buffer.
    @param buffer  `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
                   NUL-terminated when size > 0.
    @param size    bytes in buffer
    @param needed  receives the bytes the whole text takes with its NUL; may be NULL
    @retval FP6LLM_STATUS_INVALID_VALUE  buffer is NULL and size is not 0, or needed is misaligned;
                                         recorded for the thread only, so that a handle's text stays
                                         readable
    """
    ...

def fp6llmGetDeviceCount(backend: int) -> int:
    """The number of devices a backend has: 1 for the CPU; 0 for CUDA without a driver or device.
    Devices too old for the kernels count.
    @param backend  CPU, CUDA, or AUTO for the sum of both
    @param count    receives the number
    @retval FP6LLM_STATUS_INVALID_VALUE  count is NULL or backend is unknown
    """
    ...

def fp6llmGetDeviceInfo(backend: int, ordinal: int) -> fp6llmDeviceInfo_t:
    """Describes a device. `isa` of the CPU is the instruction set whose kernels are in use: the best
    that the processor has (but avx512vnni instead of avx512bf16 on Intel's, where that is faster),
    or one that the environment variable FP6LLM_CPU_ISA names, up to what the processor has
    (portable, avx2, avx512, avx512vnni, avx512bf16; read once per process).
    @param backend  CPU or CUDA
    @param ordinal  0 <= ordinal < count
    @param info     structSize set; receives the description
    @retval FP6LLM_STATUS_INVALID_VALUE  info is NULL or its structSize wrong, backend is unknown or
                                         AUTO, ordinal is out of range
    @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory
    """
    ...

def fp6llmSetLogger(callback: Callable[[int, str], object] | None) -> None:
    """Installs the process-wide log receiver; without one nothing is logged and nothing is printed.
    @param callback  NULL removes the receiver
    @param user      passed on to the callback
    @retval FP6LLM_STATUS_ALLOC_FAILED  out of memory; the receiver stays
    """
    ...

def fp6llmCreate() -> fp6llmHandle_t:
    """Makes a handle with the AUTO backend and default settings.
    @param handle  receives the handle
    @retval FP6LLM_STATUS_INVALID_VALUE  handle is NULL
    @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory
    """
    ...

def fp6llmCreateWithConfig(config: fp6llmHandleConfig_t | None) -> fp6llmHandle_t:
    """Makes a handle.
    @param handle  receives the handle
    @param config  backend, device, threads
    @retval FP6LLM_STATUS_INVALID_VALUE  a pointer is NULL, a field out of range, no such device
    @retval FP6LLM_STATUS_NOT_SUPPORTED  CUDA was asked for by name and is not there: never a silent
                                         fallback. The detail text says why: no driver, one too old,
                                         no device, a build without CUDA
    @retval FP6LLM_STATUS_ARCH_MISMATCH  CUDA was asked for by name and the device is older than
                                         compute capability 8.0
    @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory
    """
    ...

def fp6llmDestroy(handle: fp6llmHandle_t | None) -> None:
    """Frees a handle. NULL is a no-op. Weights made with the handle live on.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  not a live handle, as far as can be told
    """
    ...

def fp6llmSetStream(handle: fp6llmHandle_t | None, stream: int | None) -> None:
    """Sets the stream that later calls enqueue on; NULL is the (legacy) default stream. The CPU backend
    works synchronously and only stores it.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    """
    ...

def fp6llmGetStream(handle: fp6llmHandle_t | None) -> int | None:
    """The stream last set, or NULL.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    stream is NULL
    """
    ...

def fp6llmSetWorkspace(handle: fp6llmHandle_t | None, workspace: int | None, size: int) -> None:
    """Lends the handle memory for its multiplications, which then allocate nothing (on CUDA: but for
    64 KiB of locks, once per stream). Without it the handle keeps scratch of its own that grows to
    the largest call seen; on a CUDA handle, one per stream, kept until the handle is destroyed, so
    that captured graphs stay valid as long.
    @param workspace  host or device memory, as the backend has it, aligned to 64 bytes, the caller's
                      until replaced; NULL with size 0 returns to the handle's own scratch
    @param size       bytes; fp6llmGemmGetWorkspaceSize() tells how many a call needs
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    NULL with a size, a size of 0 with a pointer, misaligned,
                                           host memory on a CUDA handle
    """
    ...

def fp6llmSetPointerMode(handle: fp6llmHandle_t | None, mode: int) -> None:
    """Where `alpha` and `beta` are read from.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    unknown mode
    @retval FP6LLM_STATUS_NOT_SUPPORTED    DEVICE on a CPU handle
    """
    ...

def fp6llmGetPointerMode(handle: fp6llmHandle_t | None) -> int:
    """The pointer mode in force.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    mode is NULL
    """
    ...

def fp6llmGetBackend(handle: fp6llmHandle_t | None) -> int:
    """The backend the handle got: CPU or CUDA, never AUTO.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    backend is NULL
    """
    ...

def fp6llmSetNumThreads(handle: fp6llmHandle_t | None, threads: int) -> None:
    """Threads the CPU work of this handle uses, the caller's included. Results do not depend on it.
    @param threads  1..256; 0 = min(OMP_NUM_THREADS if set, CPUs in the affinity mask)
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    threads is out of range
    """
    ...

def fp6llmGetNumThreads(handle: fp6llmHandle_t | None) -> int:
    """The thread count in force, never 0.
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    threads is NULL
    """
    ...

def fp6llmSetParallelFor(
    handle: fp6llmHandle_t | None,
    parallelFor: int | None,
    user: int | None,
) -> None:
    """Runs CPU work on the caller's executor in place of the library's own pool.
    @param parallelFor  NULL returns to the library's pool
    @param user         passed on to it
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @note A parallelFor that leaves an index out, or throws a C++ exception, makes the call that used
          it answer FP6LLM_STATUS_EXECUTION_FAILED.
    """
    ...

def fp6llmQuantGetSizes(
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
) -> tuple[int, int]:
    """Bytes of the plain codes and scales of a [rows, cols] matrix.

    The **plain format** is the only one to store or exchange. Codes: row-major, each row an LSB-first
    bit stream padded to a byte, so `rows * ceil(cols * bits / 8)` bytes. Scales: [rows] for ROW, else
    row-major [rows, ceil(cols / groupSize)], of the config's scale type; none where there are no
    columns. With MX scales these are the tensors of an AMD Quark MXFP6 checkpoint.
    @param config      format and scale mode; AUTO counts as 6 bits
    @param codeBytes   receives the bytes of the codes; may be NULL
    @param scaleBytes  receives the bytes of the scales; may be NULL
    @retval FP6LLM_STATUS_INVALID_VALUE  config is NULL or a field of it invalid, rows or cols is
                                         negative, or the sizes overflow
    """
    ...

def fp6llmQuantize(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    W: int | None,
    Wtype: int,
    ldw: int,
    codes: int | None,
    scales: int | None,
    stats: fp6llmQuantStats_t | None,
) -> None:
    """Quantizes W by rounding to nearest (ZeroQuant(4+2) section 4; OCP MX 1.0 section 6.3).

    Row and group scales are amax / largest value of the format in fp32 (1 where amax is 0), then
    rounded to the scale type; code = round(float(w) / scale) with an IEEE division, saturating. A
    matrix may be quantized in blocks of rows, with the same result unless the format is AUTO.
    Bitwise the same for any thread count.
    @param rows, cols  output and input channels
    @param W       row-major [rows, cols], host or device
    @param Wtype   R_16F, R_16BF or R_32F
    @param ldw     elements between two rows; >= cols
    @param codes   receives the plain codes, fp6llmQuantGetSizes() bytes
    @param scales  receives the scales
    @param stats   may be NULL, which is faster; else structSize set
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, a size, ldw or config field
                                           out of range, or NaN/Inf in W with NONFINITE_ERROR
    @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
    @retval FP6LLM_STATUS_NOT_SUPPORTED    CUDA backend of this build
    """
    ...

def fp6llmDequantize(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    codes: int | None,
    scales: int | None,
    W: int | None,
    Wtype: int,
    ldw: int,
) -> None:
    """The matrix that codes and scales stand for: W[r, c] = value(code) * scale, rounded once, to
    nearest even, to Wtype.
    @param config  format, scaleMode, groupSize and scaleType count; AUTO is invalid
    @param codes, scales  plain, host or device
    @param W       receives row-major [rows, cols]; elements between cols and ldw stay as they are
    @retval FP6LLM_STATUS_NOT_INITIALIZED, FP6LLM_STATUS_INVALID_VALUE, FP6LLM_STATUS_NOT_SUPPORTED
            as for fp6llmQuantize()
    """
    ...

def fp6llmWeightCreate(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    W: int | None,
    Wtype: int,
    ldw: int,
) -> fp6llmWeight_t:
    """Quantizes W and prepacks it for the handle's backend.
    Arguments and errors as for fp6llmQuantize().
    @param weight  receives the weight; free with fp6llmWeightDestroy()
    @retval FP6LLM_STATUS_INVALID_VALUE  also: weight is NULL
    """
    ...

def fp6llmWeightCreateFromCodes(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    codes: int | None,
    scales: int | None,
) -> fp6llmWeight_t:
    """Prepacks plain codes and scales. They are copied; export gives them back bit for bit.
    @param config  as for fp6llmDequantize()
    @param rows, cols  output and input channels
    @param codes, scales  plain, fp6llmQuantGetSizes() bytes, host or device
    @param weight  receives the weight
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, a size or field out of range
    @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
    @retval FP6LLM_STATUS_NOT_SUPPORTED    CUDA backend of this build
    """
    ...

def fp6llmWeightCreateFromPacked(
    handle: fp6llmHandle_t | None,
    layout: int,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    packed: int | None,
    scales: int | None,
) -> fp6llmWeight_t:
    """Prepacks a buffer in a published layout: the original fp6_llm's, as its released packer writes it
    (FP6-LLM, arXiv 2401.14112), or the two planes of ZeroQuant(4+2) (arXiv 2312.08583).
    @param layout  TC_FPX: E3M2, E2M3 (2+4 planes) and E2M2, E3M1 (1+4), rows and cols multiples of
                   64. SPLIT_4_2: E3M2 and E2M3, any shape.
    @param packed  the buffer, fp6llmPackedGetSizes() bytes, host or device
    @param scales  as config says; the original fp6_llm has R_16F row scales
    @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold
    Other errors as for fp6llmWeightCreateFromCodes().
    """
    ...

def fp6llmWeightExportCodes(
    handle: fp6llmHandle_t | None,
    weight: fp6llmWeight_t | None,
    codes: int | None,
    scales: int | None,
) -> None:
    """Gives back the plain codes and scales the weight was made from, bit for bit (padding bits of a
    row's last byte as zero).
    @param codes, scales  receive fp6llmWeightInfo_t's codeBytes and scaleBytes, host or device; either
                          may be NULL
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    weight is NULL, or of another backend, device or CUDA
                                           context; scales misaligned
    @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
    """
    ...

def fp6llmWeightExportPacked(
    handle: fp6llmHandle_t | None,
    weight: fp6llmWeight_t | None,
    layout: int,
    packed: int | None,
    scales: int | None,
) -> None:
    """Gives the weight in a published layout.
    @param packed, scales  receive fp6llmPackedGetSizes() bytes, host or device; either may be NULL
    @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold
    Other errors as for fp6llmWeightExportCodes().
    """
    ...

def fp6llmPackedGetSizes(
    layout: int,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
) -> tuple[int, int]:
    """Bytes of a published layout.
    @param packedBytes, scaleBytes  receive the bytes; either may be NULL
    @retval FP6LLM_STATUS_INVALID_VALUE  as for fp6llmQuantGetSizes(), or an unknown layout
    @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold
    """
    ...

def fp6llmWeightGetInfo(weight: fp6llmWeight_t | None) -> fp6llmWeightInfo_t:
    """Describes a weight.
    @param info  structSize set; receives the description
    @retval FP6LLM_STATUS_INVALID_VALUE  a pointer is NULL or structSize wrong
    """
    ...

def fp6llmWeightDestroy(weight: fp6llmWeight_t | None) -> None:
    """Frees a weight. NULL is a no-op. A view's blob stays the caller's.
    @retval FP6LLM_STATUS_INVALID_VALUE  not a live weight, as far as can be told
    """
    ...

def fp6llmWeightGetBlobSize(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
) -> int:
    """Bytes of a prepacked blob, for weights in memory the caller owns (a framework's tensor, a shared
    mapping). A blob belongs to one layout version and kind of processor: keep it in memory or a
    cache, and store plain codes.
    @param bytes  receives the size
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    bytes is NULL, or as for fp6llmQuantGetSizes(); AUTO is
                                           invalid
    """
    ...

def fp6llmWeightPackBlob(
    handle: fp6llmHandle_t | None,
    config: fp6llmQuantConfig_t | None,
    rows: int,
    cols: int,
    codes: int | None,
    scales: int | None,
    blob: int | None,
    bytes: int,
) -> None:
    """Prepacks plain codes and scales into a blob.
    @param blob   receives the blob; aligned to ::FP6LLM_BLOB_ALIGNMENT
    @param bytes  bytes available; >= fp6llmWeightGetBlobSize(), else FP6LLM_STATUS_INVALID_VALUE
    Errors as for fp6llmWeightCreateFromCodes().
    """
    ...

def fp6llmWeightCreateView(
    handle: fp6llmHandle_t | None,
    blob: int | None,
    bytes: int,
) -> fp6llmWeight_t:
    """A weight over a blob, without a copy; cheap enough to make per call. The blob must outlive it and
    not change meanwhile.
    @param blob    aligned to ::FP6LLM_BLOB_ALIGNMENT
    @param bytes   bytes readable
    @param weight  receives the weight
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    NULL, misaligned, too short, or not a sound blob: the header
                                           is checked against its checksum and against `bytes`
    @retval FP6LLM_STATUS_NOT_SUPPORTED    a blob of another layout version
    @retval FP6LLM_STATUS_ARCH_MISMATCH    a blob of another backend
    @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
    """
    ...

def fp6llmGemmEx(
    handle: fp6llmHandle_t | None,
    transa: int,
    transb: int,
    m: int,
    n: int,
    k: int,
    alpha: float | int | None,
    A: fp6llmWeight_t | None,
    B: int | None,
    Btype: int,
    ldb: int,
    beta: float | int | None,
    C: int | None,
    Ctype: int,
    ldc: int,
    computeType: int,
    algo: int,
) -> None:
    """C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C[m, n], all column-major as in cuBLAS.

    A weight made from a row-major [OC, IC] matrix *is* a column-major [IC, OC] matrix, so a linear
    layer Y = X W^T on row-major X [tokens, IC] and Y [tokens, OC] is
    @code
    fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, tokens, IC, &alpha, W, X, FP6LLM_R_16F, IC,
                 &beta, Y, FP6LLM_R_16F, OC, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
    @endcode
    which is what a serving engine already passes to cublasGemmEx, less A's type and lda.
    @param transa  T: op(A) is [rows, cols] of the weight (m = rows, k = cols), the fast way. N: its
                   transpose (m = cols, k = rows), which decodes the weight anew for every 64 tokens.
    @param transb  N: B is column-major [k, n], token j at B + j * ldb. T: B is column-major [n, k].
    @param m, n, k  >= 0; m and k must be those of op(A). k == 0 gives beta * C.
    @param alpha, beta  fp32, by pointer mode. beta == 0 never reads C; alpha == 0 never reads B.
    @param B, Btype, ldb  R_16F, R_16BF or R_32F; ldb >= max(1, transb == N ? k : n)
    @param C, Ctype, ldc  R_32F, or B's own type; ldc >= max(1, m)
    @param computeType  how exact products must be; see ::fp6llmComputeType_t
    @param algo    FP6LLM_ALGO_DEFAULT, or from fp6llmGemmGetHeuristic()
    @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
    @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, an unknown enum, m or k not
                                           the weight's, a leading dimension too small, sizes that
                                           overflow, a weight of another backend, device or CUDA
                                           context, a lent workspace that is too small
    @retval FP6LLM_STATUS_NOT_SUPPORTED    a combination of types or a compute type this backend lacks
    @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory; C is untouched
    @retval FP6LLM_STATUS_EXECUTION_FAILED the caller's parallel-for threw or left a task out; a launch
                                           or earlier work on the GPU failed, or its context is gone
    """
    ...

def fp6llmGemmGetWorkspaceSize(
    handle: fp6llmHandle_t | None,
    transa: int,
    transb: int,
    m: int,
    n: int,
    k: int,
    A: fp6llmWeight_t | None,
    Btype: int,
    Ctype: int,
    computeType: int,
    algo: int,
) -> int:
    """Bytes of workspace that the same call of fp6llmGemmEx() needs with the handle's thread count.
    @param bytes  receives the size
    Errors as for fp6llmGemmEx().
    """
    ...

def fp6llmGemmGetHeuristic(
    handle: fp6llmHandle_t | None,
    transa: int,
    transb: int,
    m: int,
    n: int,
    k: int,
    A: fp6llmWeight_t | None,
    Btype: int,
    Ctype: int,
    computeType: int,
    requested: int,
) -> list[fp6llmHeuristicResult_t]:
    """The kernels that can run a multiplication, the one `algo` -1 takes first.
    @param requested  elements in results; >= 1
    @param results    results[0].structSize set; receives up to `requested` elements
    @param returned   receives how many were written
    @retval FP6LLM_STATUS_INVALID_VALUE  results or returned is NULL, requested < 1
    Other errors as for fp6llmGemmEx().
    """
    ...

def fp6llmLinear(
    handle: fp6llmHandle_t | None,
    tokens: int,
    X: int | None,
    Xtype: int,
    ldx: int,
    W: fp6llmWeight_t | None,
    epilogue: fp6llmEpilogue_t | None,
    Y: int | None,
    Ytype: int,
    ldy: int,
) -> None:
    """A linear layer on row-major data: Y = activation(X W^T + bias) + residual.
    @param tokens  rows of X and Y
    @param X       row-major [tokens, IC], R_16F, R_16BF or R_32F; ldx >= IC
    @param W       the weight, [OC, IC]
    @param epilogue  NULL for none
    @param Y       row-major [tokens, OC], R_32F or X's type; ldy >= OC. Must not overlap X.
    Errors as for fp6llmGemmEx().
    """
    ...

def fp6llmGemmGroupedEx(
    handle: fp6llmHandle_t | None,
    groups: int,
    transa: int,
    transb: int,
    m: int,
    n: int,
    k: int,
    offsets: int | None,
    alpha: float | int | None,
    A: Sequence[fp6llmWeight_t | None],
    B: int | None,
    Btype: int,
    ldb: int,
    beta: float | int | None,
    C: int | None,
    Ctype: int,
    ldc: int,
    computeType: int,
    algo: int,
) -> None:
    """One multiplication per group, as a mixture of experts needs: the tokens sorted by expert lie side
    by side in B and C, and group g multiplies columns offsets[g] .. offsets[g + 1] - 1 by A[g].
    @param groups   number of weights; >= 0; 0 leaves C as it is
    @param n        columns of B and C, an upper bound of offsets[groups]; columns at and beyond
                    offsets[groups] stay as they are
    @param offsets  [groups + 1], ascending from 0; host memory on a CPU handle, device memory on a
                    CUDA handle (so that a router's output needs no copy back)
    @param A        host array of `groups` weights, all of op(A) [m, k]; an entry may be NULL where
                    its group has no columns
    @param transb   N only: token j at B + j * ldb
    Other arguments and errors as for fp6llmGemmEx().
    """
    ...

def fp6llmGetHeaderVersion() -> int:
    """::FP6LLM_VERSION"""
    ...

def fp6llmGetBlobAlignment() -> int:
    """::FP6LLM_BLOB_ALIGNMENT"""
    ...

def fp6llmGetAlgoDefault() -> int:
    """::FP6LLM_ALGO_DEFAULT"""
    ...

def fp6llmGetScaleTypeDefault() -> int:
    """::FP6LLM_SCALE_TYPE_DEFAULT"""
    ...
