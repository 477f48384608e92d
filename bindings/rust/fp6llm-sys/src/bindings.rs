// Generated from fp6llm.h by script/generate-bindings; do not edit.

#[cfg(feature = "dlopen")]
use crate::table::*;
#[cfg(not(feature = "dlopen"))]
use core::ffi::c_int;
use core::ffi::{c_char, c_void};
use core::marker::{PhantomData, PhantomPinned};

/// Result of a call. Values equal `cublasStatus_t`.
pub type fp6llmStatus_t = i32;
/// Done.
pub const FP6LLM_STATUS_SUCCESS: fp6llmStatus_t = 0;
/// The handle is NULL or was not made by this library.
pub const FP6LLM_STATUS_NOT_INITIALIZED: fp6llmStatus_t = 1;
/// Out of host or device memory; nothing was left behind.
pub const FP6LLM_STATUS_ALLOC_FAILED: fp6llmStatus_t = 3;
/// An argument is wrong; the detail text names it.
pub const FP6LLM_STATUS_INVALID_VALUE: fp6llmStatus_t = 7;
/// This processor or device cannot run what was asked.
pub const FP6LLM_STATUS_ARCH_MISMATCH: fp6llmStatus_t = 8;
/// Device memory could not be reached.
pub const FP6LLM_STATUS_MAPPING_ERROR: fp6llmStatus_t = 11;
/// A launch or a caller's parallel-for failed.
pub const FP6LLM_STATUS_EXECUTION_FAILED: fp6llmStatus_t = 13;
/// A bug in this library.
pub const FP6LLM_STATUS_INTERNAL_ERROR: fp6llmStatus_t = 14;
/// Valid, but this build or backend cannot do it.
pub const FP6LLM_STATUS_NOT_SUPPORTED: fp6llmStatus_t = 15;

/// Element types. Values equal `cudaDataType` where CUDA has the type.
pub type fp6llmDataType_t = i32;
/// IEEE binary32.
pub const FP6LLM_R_32F: fp6llmDataType_t = 0;
/// IEEE binary16.
pub const FP6LLM_R_16F: fp6llmDataType_t = 2;
/// int8.
pub const FP6LLM_R_8I: fp6llmDataType_t = 3;
/// bfloat16.
pub const FP6LLM_R_16BF: fp6llmDataType_t = 14;
/// OCP FP8 E4M3.
pub const FP6LLM_R_8F_E4M3: fp6llmDataType_t = 28;
/// OCP FP8 E5M2.
pub const FP6LLM_R_8F_E5M2: fp6llmDataType_t = 29;
/// OCP MX scale: 2^(byte - 127); 255 is NaN.
pub const FP6LLM_R_8F_UE8M0: fp6llmDataType_t = 30;
/// OCP MX FP6 E2M3: bias 1, max 7.5, min subnormal 0.125.
pub const FP6LLM_R_6F_E2M3: fp6llmDataType_t = 31;
/// OCP MX FP6 E3M2: bias 3, max 28, min subnormal 0.0625.
pub const FP6LLM_R_6F_E3M2: fp6llmDataType_t = 32;
/// OCP MX FP4 E2M1: bias 1, max 6, min subnormal 0.5.
pub const FP6LLM_R_4F_E2M1: fp6llmDataType_t = 33;
/// 5 bits: bias 1, max 7, min subnormal 0.25.
pub const FP6LLM_R_5F_E2M2: fp6llmDataType_t = 0x1001;
/// 5 bits: bias 3, max 24, min subnormal 0.125.
pub const FP6LLM_R_5F_E3M1: fp6llmDataType_t = 0x1002;
/// Requested format only: E3M2 or E2M3, whichever errs less.
pub const FP6LLM_R_6F_AUTO: fp6llmDataType_t = 0x1010;

/// Whether a matrix is used as it is stored or transposed. Values equal `cublasOperation_t`.
pub type fp6llmOperation_t = i32;
/// As stored.
pub const FP6LLM_OP_N: fp6llmOperation_t = 0;
/// Transposed.
pub const FP6LLM_OP_T: fp6llmOperation_t = 1;

/// Where `alpha` and `beta` live. Values equal `cublasPointerMode_t`.
pub type fp6llmPointerMode_t = i32;
pub const FP6LLM_POINTER_MODE_HOST: fp6llmPointerMode_t = 0;
pub const FP6LLM_POINTER_MODE_DEVICE: fp6llmPointerMode_t = 1;

/// How products are formed and summed. 68, 74, 75 equal `cublasComputeType_t`.
///
/// A compute type is a permission that the caller gives. [`FP6LLM_COMPUTE_32F`] rounds no activation. The
/// others let a backend round activations, never weights, and it does so where that is faster, which
/// depends on the processor, the format and the tokens; elsewhere it is more exact than asked.
/// [`fp6llmGemmGetHeuristic()`] names the kernel. Sums are fp32.
///
/// FAST_16I and FAST_8I, where kernels take integers, cut a token's columns into blocks of 128. With
/// amax the largest magnitude of a block, its activations become the integers nearest to
/// x \* 32767 / amax (FAST_8I: 127 / amax), whose products with weights are summed exactly within the
/// block and scale group. A NaN or infinity makes all outputs of its token NaN; blocks with
/// amax \< 2^-100 count as zero. int16 goes with every format, int8 with E2M3, E2M2 and E2M1. Other
/// kernels keep 16 bits of an activation in two bf16 parts (FAST_16I), or round it to bf16 (FAST_8I).
///
/// Error of Y, rms relative to the rms of Y: FAST_16I 2.5e-5, FAST_8I 7e-3 with Gaussian activations;
/// 9e-5 and 2.1e-2 where 0.5 % of the channels are 20 times as large, 1.03e-4 and 2.6e-2 where they
/// are 100 times. That is the largest over formats, row and MX scales at 2048 columns, measured by
/// tests/unit/gemm/integer_reference_test.cpp. For comparison: bf16 activations 1.7e-3; 6-bit weights
/// 3e-2 (E2M3) and 5e-2 (E3M2).
pub type fp6llmComputeType_t = i32;
/// Exact products, fp32 sums. The default choice.
pub const FP6LLM_COMPUTE_32F: fp6llmComputeType_t = 68;
/// May round activations to fp16; at least that exact.
pub const FP6LLM_COMPUTE_32F_FAST_16F: fp6llmComputeType_t = 74;
/// May round activations to bf16 (error 1.7e-3).
pub const FP6LLM_COMPUTE_32F_FAST_16BF: fp6llmComputeType_t = 75;
/// FP8 activations (W6A8). No backend has it yet.
pub const FP6LLM_COMPUTE_32F_FAST_8F: fp6llmComputeType_t = 0x1001;
/// May round activations to int8 (7e-3). CPU only.
pub const FP6LLM_COMPUTE_32F_FAST_8I: fp6llmComputeType_t = 0x1002;
/// May round to int16: near exact (2.5e-5). CPU only.
pub const FP6LLM_COMPUTE_32F_FAST_16I: fp6llmComputeType_t = 0x1003;

/// Where work is done.
pub type fp6llmBackend_t = i32;
/// CUDA when a usable device is present, else the CPU.
pub const FP6LLM_BACKEND_AUTO: fp6llmBackend_t = 0;
pub const FP6LLM_BACKEND_CPU: fp6llmBackend_t = 1;
pub const FP6LLM_BACKEND_CUDA: fp6llmBackend_t = 2;

/// How many weights share one scale.
pub type fp6llmScaleMode_t = i32;
/// One scale per row (ZeroQuant(4+2) and FP6-LLM, "CGQ").
pub const FP6LLM_SCALE_ROW: fp6llmScaleMode_t = 0;
/// One per `groupSize` consecutive columns of a row ("FGQ").
pub const FP6LLM_SCALE_GROUP: fp6llmScaleMode_t = 1;
/// OCP MX: one E8M0 power of two per 32 columns of a row.
pub const FP6LLM_SCALE_MX: fp6llmScaleMode_t = 2;

/// Rounding of a scaled weight to the nearest code.
pub type fp6llmRounding_t = i32;
/// Ties to the even code, as CUDA, torchao and ml_dtypes do.
pub const FP6LLM_ROUND_NEAREST_EVEN: fp6llmRounding_t = 0;
/// Ties away from zero, as the papers' quantizer did.
pub const FP6LLM_ROUND_NEAREST_AWAY: fp6llmRounding_t = 1;

/// How the E8M0 exponent of an MX group follows from its largest magnitude.
pub type fp6llmMxScaleRule_t = i32;
/// OCP MX 1.0 section 6.3: floor(log2 amax) - emax; may clip.
pub const FP6LLM_MX_SCALE_FLOOR: fp6llmMxScaleRule_t = 0;
/// AMD Quark's default: amax rounded to the element's mantissa.
pub const FP6LLM_MX_SCALE_EVEN: fp6llmMxScaleRule_t = 1;
/// Smallest power of two that clips nothing.
pub const FP6LLM_MX_SCALE_RCEIL: fp6llmMxScaleRule_t = 2;

/// What NaN and infinity among the weights do.
pub type fp6llmNonFinite_t = i32;
/// [`FP6LLM_STATUS_INVALID_VALUE`], nothing written.
pub const FP6LLM_NONFINITE_ERROR: fp6llmNonFinite_t = 0;
/// Left out of amax; Inf saturates by sign, NaN becomes +max.
pub const FP6LLM_NONFINITE_SATURATE: fp6llmNonFinite_t = 1;

/// Published packed layouts that can be imported and exported.
pub type fp6llmPackedLayout_t = i32;
/// The original fp6_llm buffer: 2+4 (or 1+4) bit planes, 64x64.
pub const FP6LLM_LAYOUT_TC_FPX: fp6llmPackedLayout_t = 1;
/// ZeroQuant(4+2): a plane of first 4 bits, a plane of last 2.
pub const FP6LLM_LAYOUT_SPLIT_4_2: fp6llmPackedLayout_t = 2;

/// Activation function of an epilogue.
pub type fp6llmActivation_t = i32;
pub const FP6LLM_ACTIVATION_NONE: fp6llmActivation_t = 0;
/// max(v, 0).
pub const FP6LLM_ACTIVATION_RELU: fp6llmActivation_t = 1;
/// v \* Phi(v), with erf.
pub const FP6LLM_ACTIVATION_GELU: fp6llmActivation_t = 2;
/// The tanh form of GELU.
pub const FP6LLM_ACTIVATION_GELU_TANH: fp6llmActivation_t = 3;
/// v / (1 + exp(-v)).
pub const FP6LLM_ACTIVATION_SILU: fp6llmActivation_t = 4;

/// Severity of a log message.
pub type fp6llmLogLevel_t = i32;
/// A call failed; the same text as the error detail.
pub const FP6LLM_LOG_ERROR: fp6llmLogLevel_t = 0;
/// Worked, but not as well as it could.
pub const FP6LLM_LOG_WARNING: fp6llmLogLevel_t = 1;
/// Choices made: ISA, kernels, pool size.
pub const FP6LLM_LOG_INFO: fp6llmLogLevel_t = 2;

/// Raised by breaks of the ABI, with the SONAME.
pub const FP6LLM_VERSION_MAJOR: i32 = 0;

/// Raised by additions.
pub const FP6LLM_VERSION_MINOR: i32 = 1;

/// Raised by fixes.
pub const FP6LLM_VERSION_PATCH: i32 = 0;

/// 10000 \* major + 100 \* minor + patch, the value [`fp6llmGetVersion()`] reports.
pub const FP6LLM_VERSION: i32 = 100;

/// Alignment in bytes that [`fp6llmWeightPackBlob()`] and [`fp6llmWeightCreateView()`] ask of a blob.
pub const FP6LLM_BLOB_ALIGNMENT: usize = 64;

/// `algo` value that leaves the choice of kernel to the library.
pub const FP6LLM_ALGO_DEFAULT: i32 = -1;

/// `scaleType` value: F32 for row and group scales, E8M0 for MX.
pub const FP6LLM_SCALE_TYPE_DEFAULT: i32 = -1;

/// What a [`fp6llmHandle_t`] points to; only the library knows.
#[repr(C)]
pub struct fp6llmContext {
    _data: [u8; 0],
    _neither_send_nor_sync_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,
}
/// One thread of work at a time: backend, stream, workspace, thread pool, last error.
pub type fp6llmHandle_t = *mut fp6llmContext;

/// What a [`fp6llmWeight_t`] points to; only the library knows.
#[repr(C)]
pub struct fp6llmWeight {
    _data: [u8; 0],
    _neither_send_nor_sync_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,
}
/// An immutable quantized and prepacked matrix.
pub type fp6llmWeight_t = *mut fp6llmWeight;

/// What a [`fp6llmStream_t`] points to; only the library knows.
#[repr(C)]
pub struct CUstream_st {
    _data: [u8; 0],
    _neither_send_nor_sync_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,
}
/// `cudaStream_t` and `CUstream`.
pub type fp6llmStream_t = *mut CUstream_st;

/// Receives log messages. May be called from any thread; must neither call back into the library nor
/// fork.
///
/// * `user`: the pointer given to [`fp6llmSetLogger()`]
/// * `level`: an [`fp6llmLogLevel_t`]
/// * `message`: NUL-terminated UTF-8, valid during the call only
pub type fp6llmLogCallback_t =
    Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char)>;

/// One unit of parallel work. @param context opaque @param index in \[0, count)
pub type fp6llmTask_t = Option<unsafe extern "C" fn(context: *mut c_void, index: i64)>;

/// The caller's executor: must call `task(context, i)` exactly once for each i in \[0, count), on any
/// threads, and return when all have returned.
pub type fp6llmParallelFor_t = Option<
    unsafe extern "C" fn(user: *mut c_void, count: i64, task: fp6llmTask_t, context: *mut c_void),
>;

/// What [`fp6llmCreateWithConfig()`] makes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmHandleConfig_t {
    /// sizeof([`fp6llmHandleConfig_t`])
    pub structSize: usize,
    /// [`fp6llmBackend_t`]
    pub backend: i32,
    /// Device ordinal; 0 for the CPU.
    pub device: i32,
    /// 1..256 CPU threads; 0 = min(OMP_NUM_THREADS if set, CPUs allowed).
    pub numThreads: i32,
    /// Must be 0.
    pub reserved: i32,
}

impl Default for fp6llmHandleConfig_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmHandleConfigInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// A device as [`fp6llmGetDeviceInfo()`] describes it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmDeviceInfo_t {
    /// sizeof([`fp6llmDeviceInfo_t`])
    pub structSize: usize,
    /// [`fp6llmBackend_t`]: CPU or CUDA
    pub backend: i32,
    /// Device ordinal within the backend.
    pub ordinal: i32,
    /// Processor or GPU model name.
    pub name: [c_char; 128],
    /// CPU: kernels in use ("avx2"). CUDA: "sm_90".
    pub isa: [c_char; 64],
    /// CUDA only, else 0.
    pub computeCapabilityMajor: i32,
    /// CUDA only, else 0.
    pub computeCapabilityMinor: i32,
    /// SMs; on the CPU the number of CPUs this process may use.
    pub multiprocessorCount: i32,
    /// CUDA driver version, e.g. 13000; 0 on the CPU.
    pub driverVersion: i32,
    /// Bytes.
    pub totalMemory: u64,
    /// Opt-in maximum in bytes; 0 on the CPU.
    pub sharedMemoryPerBlock: u64,
    /// L2 of a GPU, last-level cache of a CPU; 0 if unknown.
    pub l2CacheBytes: u64,
}

impl Default for fp6llmDeviceInfo_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmDeviceInfoInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// How to quantize, and what given codes and scales mean.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmQuantConfig_t {
    /// sizeof([`fp6llmQuantConfig_t`])
    pub structSize: usize,
    /// [`fp6llmDataType_t`]: E3M2, E2M3, E2M2, E3M1, E2M1 or AUTO.
    pub format: i32,
    /// [`fp6llmScaleMode_t`]
    pub scaleMode: i32,
    /// GROUP: multiple of 8 in 16..4096. MX: 32 or 0. ROW: ignored.
    pub groupSize: i32,
    /// R_32F, R_16F (row, group), R_8F_UE8M0 (MX), or -1 = default.
    pub scaleType: i32,
    /// [`fp6llmRounding_t`]
    pub rounding: i32,
    /// [`fp6llmMxScaleRule_t`], for MX.
    pub mxScaleRule: i32,
    /// [`fp6llmNonFinite_t`]
    pub nonFinite: i32,
    /// 0 = amax scale; n in 1..64: also n smaller ones (MX: 1 or 2
    ///                                  neighbouring exponents), the least squared error wins.
    pub scaleSearch: i32,
    /// 0, or the [`fp6llmComputeType_t`] that most products with a weight will ask
    ///                                  for: its memory is laid out for that. Codes and scales stay the same,
    ///                                  every compute type works and keeps its precision. Today it matters for
    ///                                  32F_FAST_8I and the formats E2M3, E2M2 and E2M1 (row scales, MX, groups
    ///                                  of a multiple of 32) on CPUs with AVX2 and no AVX-512: int8 products of
    ///                                  few tokens get faster, others slower (docs/layouts.md, S8). Appended
    ///                                  after ABI 0: see [`fp6llmQuantConfigInit()`].
    pub computeHint: i32,
    /// Must be 0.
    pub reserved: i32,
}

impl Default for fp6llmQuantConfig_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmQuantConfigInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// What quantization did. Errors are over the finite elements, against the input as fp32.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmQuantStats_t {
    /// sizeof([`fp6llmQuantStats_t`])
    pub structSize: usize,
    /// [`fp6llmDataType_t`] in use; tells AUTO's choice.
    pub format: i32,
    /// 0
    pub reserved: i32,
    /// Mean of (w - dequantized)^2.
    pub mse: f64,
    /// Mean of w^2; SNR in dB is 10 log10(signal / mse).
    pub signal: f64,
    /// Largest |w - dequantized|.
    pub maxAbsError: f64,
    /// Elements with |w| / scale above the largest value of the format by more
    ///                                than fp32 rounding; infinities count, NaN does not.
    pub saturated: i64,
    /// NaN and infinite inputs.
    pub nonFinite: i64,
}

impl Default for fp6llmQuantStats_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmQuantStatsInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// A weight object as [`fp6llmWeightGetInfo()`] describes it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmWeightInfo_t {
    /// sizeof([`fp6llmWeightInfo_t`])
    pub structSize: usize,
    /// Output channels (OC).
    pub rows: i64,
    /// Input channels (IC).
    pub cols: i64,
    /// [`fp6llmDataType_t`]; never AUTO.
    pub format: i32,
    /// [`fp6llmScaleMode_t`]
    pub scaleMode: i32,
    /// Columns per scale; 0 for ROW.
    pub groupSize: i32,
    /// Type of the scales that export gives back.
    pub scaleType: i32,
    /// [`fp6llmBackend_t`]: CPU or CUDA
    pub backend: i32,
    /// Device ordinal.
    pub device: i32,
    /// 1 when the memory is the caller's blob.
    pub isView: i32,
    /// [`fp6llmComputeType_t`] that its memory is laid out for; 0 = for all.
    pub computeHint: i32,
    /// Bytes held on the device: packed codes, scales, padding, header.
    pub bytes: usize,
    /// Bytes of the plain codes that export writes.
    pub codeBytes: usize,
    /// Bytes of the scales that export writes.
    pub scaleBytes: usize,
    /// Name and version of the internal layout, e.g. "cpu-s16/1".
    pub layout: [c_char; 32],
}

impl Default for fp6llmWeightInfo_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmWeightInfoInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// What follows the multiplication in [`fp6llmLinear()`]: Y = activation(X W^T + bias) + residual.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmEpilogue_t {
    /// sizeof([`fp6llmEpilogue_t`])
    pub structSize: usize,
    /// \[OC\], or NULL.
    pub bias: *const c_void,
    /// R_16F, R_16BF or R_32F.
    pub biasType: i32,
    /// [`fp6llmActivation_t`]
    pub activation: i32,
    /// Row-major \[tokens, OC\], or NULL. May be Y itself.
    pub residual: *const c_void,
    /// R_16F, R_16BF or R_32F.
    pub residualType: i32,
    /// [`fp6llmComputeType_t`]; 0 = [`FP6LLM_COMPUTE_32F`].
    pub computeType: i32,
    /// Elements between two rows of residual; \>= OC.
    pub ldr: i64,
}

impl Default for fp6llmEpilogue_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmEpilogueInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

/// One way to run a multiplication, best first, from [`fp6llmGemmGetHeuristic()`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fp6llmHeuristicResult_t {
    /// sizeof([`fp6llmHeuristicResult_t`]); only of element 0, for all.
    pub structSize: usize,
    /// Value to pass as `algo`.
    pub algo: i32,
    /// 1 for the slow fp64 oracle.
    pub isReference: i32,
    /// Bytes that [`fp6llmSetWorkspace()`] must provide for it.
    pub workspaceSize: usize,
    /// Kernel name, e.g. "avx2_fp6_gemv_f32".
    pub name: [c_char; 64],
}

impl Default for fp6llmHeuristicResult_t {
    /// What the header's initializer of the struct gives.
    fn default() -> Self {
        // SAFETY: zeros are a value of every field, and the function fills the struct in.
        unsafe {
            let mut made: Self = core::mem::zeroed();
            fp6llmHeuristicResultInit(&mut made);
            // Fields of later versions than the first count, too.
            made.structSize = core::mem::size_of::<Self>();
            made
        }
    }
}

#[cfg(not(feature = "dlopen"))]
unsafe extern "C" {
    /// `FP6LLM_HANDLE_CONFIG_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmHandleConfigInit(config: *mut fp6llmHandleConfig_t) -> fp6llmStatus_t;
    /// `FP6LLM_DEVICE_INFO_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmDeviceInfoInit(info: *mut fp6llmDeviceInfo_t) -> fp6llmStatus_t;
    /// `FP6LLM_QUANT_CONFIG_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmQuantConfigInit(config: *mut fp6llmQuantConfig_t) -> fp6llmStatus_t;
    /// `FP6LLM_QUANT_STATS_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmQuantStatsInit(stats: *mut fp6llmQuantStats_t) -> fp6llmStatus_t;
    /// `FP6LLM_WEIGHT_INFO_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmWeightInfoInit(info: *mut fp6llmWeightInfo_t) -> fp6llmStatus_t;
    /// `FP6LLM_EPILOGUE_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmEpilogueInit(epilogue: *mut fp6llmEpilogue_t) -> fp6llmStatus_t;
    /// `FP6LLM_HEURISTIC_RESULT_INIT` as a function.
    /// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
    /// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
    /// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
    /// struct zero before the call and sets `structSize` to its size after.
    ///
    /// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
    pub fn fp6llmHeuristicResultInit(result: *mut fp6llmHeuristicResult_t) -> fp6llmStatus_t;
    /// The library's version.
    ///
    /// * `version`: receives 10000 \* major + 100 \* minor + patch
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: version is NULL
    pub fn fp6llmGetVersion(version: *mut c_int) -> fp6llmStatus_t;
    /// The library's version as "major.minor.patch". Never NULL; static storage.
    pub fn fp6llmGetVersionString() -> *const c_char;
    /// The enumerator's name, e.g. "[`FP6LLM_STATUS_INVALID_VALUE`]". Never NULL; static storage.
    pub fn fp6llmGetStatusName(status: fp6llmStatus_t) -> *const c_char;
    /// One sentence on what a status means. Never NULL; static storage.
    pub fn fp6llmGetStatusString(status: fp6llmStatus_t) -> *const c_char;
    /// JSON: version, compilers, ISAs and CUDA architectures built in, build options.
    ///
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    ///
    /// These copy NUL-terminated UTF-8 into the caller's buffer.
    ///
    /// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
    ///   NUL-terminated when size \> 0.
    /// * `size`: bytes in buffer
    /// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
    ///   recorded for the thread only, so that a handle's text stays
    ///   readable
    pub fn fp6llmGetBuildInfo(
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t;
    /// Detail of the last call that failed on this thread; "" if none has. Successful calls leave it.
    /// These copy NUL-terminated UTF-8 into the caller's buffer.
    ///
    /// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
    ///   NUL-terminated when size \> 0.
    /// * `size`: bytes in buffer
    /// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
    ///   recorded for the thread only, so that a handle's text stays
    ///   readable
    pub fn fp6llmGetLastErrorString(
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t;
    /// Detail of the last call that failed with this handle, on whichever thread; "" if none has.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    ///
    /// These copy NUL-terminated UTF-8 into the caller's buffer.
    ///
    /// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
    ///   NUL-terminated when size \> 0.
    /// * `size`: bytes in buffer
    /// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
    ///   recorded for the thread only, so that a handle's text stays
    ///   readable
    pub fn fp6llmGetErrorString(
        handle: fp6llmHandle_t,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t;
    /// The number of devices a backend has: 1 for the CPU; 0 for CUDA without a driver or device.
    /// Devices too old for the kernels count.
    ///
    /// * `backend`: CPU, CUDA, or AUTO for the sum of both
    /// * `count`: receives the number
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: count is NULL or backend is unknown
    pub fn fp6llmGetDeviceCount(backend: fp6llmBackend_t, count: *mut c_int) -> fp6llmStatus_t;
    /// Describes a device. `isa` of the CPU is the instruction set whose kernels are in use: the best
    /// that the processor has (but avx512vnni instead of avx512bf16 on Intel's, where that is faster),
    /// or one that the environment variable `FP6LLM_CPU_ISA` names, up to what the processor has
    /// (portable, avx2, avx512, avx512vnni, avx512bf16; read once per process).
    ///
    /// * `backend`: CPU or CUDA
    /// * `ordinal`: 0 \<= ordinal \< count
    /// * `info`: structSize set; receives the description
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: info is NULL or its structSize wrong, backend is unknown or
    ///   AUTO, ordinal is out of range
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    pub fn fp6llmGetDeviceInfo(
        backend: fp6llmBackend_t,
        ordinal: c_int,
        info: *mut fp6llmDeviceInfo_t,
    ) -> fp6llmStatus_t;
    /// Installs the process-wide log receiver; without one nothing is logged and nothing is printed.
    ///
    /// * `callback`: NULL removes the receiver
    /// * `user`: passed on to the callback
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory; the receiver stays
    pub fn fp6llmSetLogger(callback: fp6llmLogCallback_t, user: *mut c_void) -> fp6llmStatus_t;
    /// Makes a handle with the AUTO backend and default settings.
    ///
    /// * `handle`: receives the handle
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: handle is NULL
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    pub fn fp6llmCreate(handle: *mut fp6llmHandle_t) -> fp6llmStatus_t;
    /// Makes a handle.
    ///
    /// * `handle`: receives the handle
    /// * `config`: backend, device, threads
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: a pointer is NULL, a field out of range, no such device
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA was asked for by name and is not there: never a silent
    ///   fallback. The detail text says why: no driver, one too old,
    ///   no device, a build without CUDA
    /// * [`FP6LLM_STATUS_ARCH_MISMATCH`]: CUDA was asked for by name and the device is older than
    ///   compute capability 8.0
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    pub fn fp6llmCreateWithConfig(
        handle: *mut fp6llmHandle_t,
        config: *const fp6llmHandleConfig_t,
    ) -> fp6llmStatus_t;
    /// Frees a handle. NULL is a no-op. Weights made with the handle live on.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: not a live handle, as far as can be told
    pub fn fp6llmDestroy(handle: fp6llmHandle_t) -> fp6llmStatus_t;
    /// Sets the stream that later calls enqueue on; NULL is the (legacy) default stream. The CPU backend
    /// works synchronously and only stores it.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    pub fn fp6llmSetStream(handle: fp6llmHandle_t, stream: fp6llmStream_t) -> fp6llmStatus_t;
    /// The stream last set, or NULL.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: stream is NULL
    pub fn fp6llmGetStream(handle: fp6llmHandle_t, stream: *mut fp6llmStream_t) -> fp6llmStatus_t;
    /// Lends the handle memory for its multiplications, which then allocate nothing (on CUDA: but for
    /// 64 KiB of locks, once per stream). Without it the handle keeps scratch of its own that grows to
    /// the largest call seen; on a CUDA handle, one per stream, kept until the handle is destroyed, so
    /// that captured graphs stay valid as long.
    ///
    /// * `workspace`: host or device memory, as the backend has it, aligned to 64 bytes, the caller's
    ///   until replaced; NULL with size 0 returns to the handle's own scratch
    /// * `size`: bytes; [`fp6llmGemmGetWorkspaceSize()`] tells how many a call needs
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: NULL with a size, a size of 0 with a pointer, misaligned,
    ///   host memory on a CUDA handle
    pub fn fp6llmSetWorkspace(
        handle: fp6llmHandle_t,
        workspace: *mut c_void,
        size: usize,
    ) -> fp6llmStatus_t;
    /// Where `alpha` and `beta` are read from.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: unknown mode
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: DEVICE on a CPU handle
    pub fn fp6llmSetPointerMode(
        handle: fp6llmHandle_t,
        mode: fp6llmPointerMode_t,
    ) -> fp6llmStatus_t;
    /// The pointer mode in force.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: mode is NULL
    pub fn fp6llmGetPointerMode(
        handle: fp6llmHandle_t,
        mode: *mut fp6llmPointerMode_t,
    ) -> fp6llmStatus_t;
    /// The backend the handle got: CPU or CUDA, never AUTO.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: backend is NULL
    pub fn fp6llmGetBackend(
        handle: fp6llmHandle_t,
        backend: *mut fp6llmBackend_t,
    ) -> fp6llmStatus_t;
    /// Threads the CPU work of this handle uses, the caller's included. Results do not depend on it.
    ///
    /// * `threads`: 1..256; 0 = min(OMP_NUM_THREADS if set, CPUs in the affinity mask)
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: threads is out of range
    pub fn fp6llmSetNumThreads(handle: fp6llmHandle_t, threads: c_int) -> fp6llmStatus_t;
    /// The thread count in force, never 0.
    ///
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: threads is NULL
    pub fn fp6llmGetNumThreads(handle: fp6llmHandle_t, threads: *mut c_int) -> fp6llmStatus_t;
    /// Runs CPU work on the caller's executor in place of the library's own pool.
    ///
    /// * `parallelFor`: NULL returns to the library's pool
    /// * `user`: passed on to it
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    ///
    /// Note: A parallelFor that leaves an index out, or throws a C++ exception, makes the call that used
    ///       it answer [`FP6LLM_STATUS_EXECUTION_FAILED`].
    pub fn fp6llmSetParallelFor(
        handle: fp6llmHandle_t,
        parallelFor: fp6llmParallelFor_t,
        user: *mut c_void,
    ) -> fp6llmStatus_t;
    /// Bytes of the plain codes and scales of a \[rows, cols\] matrix.
    ///
    /// The **plain format** is the only one to store or exchange. Codes: row-major, each row an LSB-first
    /// bit stream padded to a byte, so `rows * ceil(cols * bits / 8)` bytes. Scales: \[rows\] for ROW, else
    /// row-major \[rows, ceil(cols / groupSize)\], of the config's scale type; none where there are no
    /// columns. With MX scales these are the tensors of an AMD Quark MXFP6 checkpoint.
    ///
    /// * `config`: format and scale mode; AUTO counts as 6 bits
    /// * `codeBytes`: receives the bytes of the codes; may be NULL
    /// * `scaleBytes`: receives the bytes of the scales; may be NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: config is NULL or a field of it invalid, rows or cols is
    ///   negative, or the sizes overflow
    pub fn fp6llmQuantGetSizes(
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codeBytes: *mut usize,
        scaleBytes: *mut usize,
    ) -> fp6llmStatus_t;
    /// Quantizes W by rounding to nearest (ZeroQuant(4+2) section 4; OCP MX 1.0 section 6.3).
    ///
    /// Row and group scales are amax / largest value of the format in fp32 (1 where amax is 0), then
    /// rounded to the scale type; code = round(float(w) / scale) with an IEEE division, saturating. A
    /// matrix may be quantized in blocks of rows, with the same result unless the format is AUTO.
    /// Bitwise the same for any thread count.
    ///
    /// * `rows`, `cols`: output and input channels
    /// * `W`: row-major \[rows, cols\], host or device
    /// * `Wtype`: R_16F, R_16BF or R_32F
    /// * `ldw`: elements between two rows; \>= cols
    /// * `codes`: receives the plain codes, [`fp6llmQuantGetSizes()`] bytes
    /// * `scales`: receives the scales
    /// * `stats`: may be NULL, which is faster; else structSize set
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, a size, ldw or config field
    ///   out of range, or NaN/Inf in W with NONFINITE_ERROR
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA backend of this build
    pub fn fp6llmQuantize(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        W: *const c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
        codes: *mut c_void,
        scales: *mut c_void,
        stats: *mut fp6llmQuantStats_t,
    ) -> fp6llmStatus_t;
    /// The matrix that codes and scales stand for: W\[r, c\] = value(code) \* scale, rounded once, to
    /// nearest even, to Wtype.
    ///
    /// * `config`: format, scaleMode, groupSize and scaleType count; AUTO is invalid
    /// * `codes`, `scales`: plain, host or device
    /// * `W`: receives row-major \[rows, cols\]; elements between cols and ldw stay as they are
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`], [`FP6LLM_STATUS_INVALID_VALUE`], [`FP6LLM_STATUS_NOT_SUPPORTED`]:
    ///   as for [`fp6llmQuantize()`]
    pub fn fp6llmDequantize(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        W: *mut c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
    ) -> fp6llmStatus_t;
    /// Quantizes W and prepacks it for the handle's backend.
    /// Arguments and errors as for [`fp6llmQuantize()`].
    ///
    /// * `weight`: receives the weight; free with [`fp6llmWeightDestroy()`]
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: also: weight is NULL
    pub fn fp6llmWeightCreate(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        W: *const c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t;
    /// Prepacks plain codes and scales. They are copied; export gives them back bit for bit.
    ///
    /// * `config`: as for [`fp6llmDequantize()`]
    /// * `rows`, `cols`: output and input channels
    /// * `codes`, `scales`: plain, [`fp6llmQuantGetSizes()`] bytes, host or device
    /// * `weight`: receives the weight
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, a size or field out of range
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA backend of this build
    pub fn fp6llmWeightCreateFromCodes(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t;
    /// Prepacks a buffer in a published layout: the original fp6_llm's, as its released packer writes it
    /// (FP6-LLM, arXiv 2401.14112), or the two planes of ZeroQuant(4+2) (arXiv 2312.08583).
    ///
    /// * `layout`: TC_FPX: E3M2, E2M3 (2+4 planes) and E2M2, E3M1 (1+4), rows and cols multiples of
    ///   64. SPLIT_4_2: E3M2 and E2M3, any shape.
    /// * `packed`: the buffer, [`fp6llmPackedGetSizes()`] bytes, host or device
    /// * `scales`: as config says; the original fp6_llm has R_16F row scales
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
    ///
    /// Other errors as for [`fp6llmWeightCreateFromCodes()`].
    pub fn fp6llmWeightCreateFromPacked(
        handle: fp6llmHandle_t,
        layout: fp6llmPackedLayout_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        packed: *const c_void,
        scales: *const c_void,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t;
    /// Gives back the plain codes and scales the weight was made from, bit for bit (padding bits of a
    /// row's last byte as zero).
    ///
    /// * `codes`, `scales`: receive [`fp6llmWeightInfo_t`]'s codeBytes and scaleBytes, host or device; either
    ///   may be NULL
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: weight is NULL, or of another backend, device or CUDA
    ///   context; scales misaligned
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    pub fn fp6llmWeightExportCodes(
        handle: fp6llmHandle_t,
        weight: fp6llmWeight_t,
        codes: *mut c_void,
        scales: *mut c_void,
    ) -> fp6llmStatus_t;
    /// Gives the weight in a published layout.
    ///
    /// * `packed`, `scales`: receive [`fp6llmPackedGetSizes()`] bytes, host or device; either may be NULL
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
    ///
    /// Other errors as for [`fp6llmWeightExportCodes()`].
    pub fn fp6llmWeightExportPacked(
        handle: fp6llmHandle_t,
        weight: fp6llmWeight_t,
        layout: fp6llmPackedLayout_t,
        packed: *mut c_void,
        scales: *mut c_void,
    ) -> fp6llmStatus_t;
    /// Bytes of a published layout.
    ///
    /// * `packedBytes`, `scaleBytes`: receive the bytes; either may be NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: as for [`fp6llmQuantGetSizes()`], or an unknown layout
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
    pub fn fp6llmPackedGetSizes(
        layout: fp6llmPackedLayout_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        packedBytes: *mut usize,
        scaleBytes: *mut usize,
    ) -> fp6llmStatus_t;
    /// Describes a weight.
    ///
    /// * `info`: structSize set; receives the description
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: a pointer is NULL or structSize wrong
    pub fn fp6llmWeightGetInfo(
        weight: fp6llmWeight_t,
        info: *mut fp6llmWeightInfo_t,
    ) -> fp6llmStatus_t;
    /// Frees a weight. NULL is a no-op. A view's blob stays the caller's.
    ///
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: not a live weight, as far as can be told
    pub fn fp6llmWeightDestroy(weight: fp6llmWeight_t) -> fp6llmStatus_t;
    /// Bytes of a prepacked blob, for weights in memory the caller owns (a framework's tensor, a shared
    /// mapping). A blob belongs to one layout version and kind of processor: keep it in memory or a
    /// cache, and store plain codes.
    ///
    /// * `bytes`: receives the size
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: bytes is NULL, or as for [`fp6llmQuantGetSizes()`]; AUTO is
    ///   invalid
    pub fn fp6llmWeightGetBlobSize(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        bytes: *mut usize,
    ) -> fp6llmStatus_t;
    /// Prepacks plain codes and scales into a blob.
    ///
    /// * `blob`: receives the blob; aligned to [`FP6LLM_BLOB_ALIGNMENT`]
    /// * `bytes`: bytes available; \>= [`fp6llmWeightGetBlobSize()`], else [`FP6LLM_STATUS_INVALID_VALUE`]
    ///
    /// Errors as for [`fp6llmWeightCreateFromCodes()`].
    pub fn fp6llmWeightPackBlob(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        blob: *mut c_void,
        bytes: usize,
    ) -> fp6llmStatus_t;
    /// A weight over a blob, without a copy; cheap enough to make per call. The blob must outlive it and
    /// not change meanwhile.
    ///
    /// * `blob`: aligned to [`FP6LLM_BLOB_ALIGNMENT`]
    /// * `bytes`: bytes readable
    /// * `weight`: receives the weight
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: NULL, misaligned, too short, or not a sound blob: the header
    ///   is checked against its checksum and against `bytes`
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a blob of another layout version
    /// * [`FP6LLM_STATUS_ARCH_MISMATCH`]: a blob of another backend
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
    pub fn fp6llmWeightCreateView(
        handle: fp6llmHandle_t,
        blob: *const c_void,
        bytes: usize,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t;
    /// C\[m, n\] = alpha \* op(A)\[m, k\] \* op(B)\[k, n\] + beta \* C\[m, n\], all column-major as in cuBLAS.
    ///
    /// A weight made from a row-major \[OC, IC\] matrix \*is\* a column-major \[IC, OC\] matrix, so a linear
    /// layer Y = X W^T on row-major X \[tokens, IC\] and Y \[tokens, OC\] is
    /// ```c
    /// fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, tokens, IC, &alpha, W, X, FP6LLM_R_16F, IC,
    ///              &beta, Y, FP6LLM_R_16F, OC, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
    /// ```
    /// which is what a serving engine already passes to cublasGemmEx, less A's type and lda.
    ///
    /// * `transa`: T: op(A) is \[rows, cols\] of the weight (m = rows, k = cols), the fast way. N: its
    ///   transpose (m = cols, k = rows), which decodes the weight anew for every 64 tokens.
    /// * `transb`: N: B is column-major \[k, n\], token j at B + j \* ldb. T: B is column-major \[n, k\].
    /// * `m`, `n`, `k`: \>= 0; m and k must be those of op(A). k == 0 gives beta \* C.
    /// * `alpha`, `beta`: fp32, by pointer mode. beta == 0 never reads C; alpha == 0 never reads B.
    /// * `B`, `Btype`, `ldb`: R_16F, R_16BF or R_32F; ldb \>= max(1, transb == N ? k : n)
    /// * `C`, `Ctype`, `ldc`: R_32F, or B's own type; ldc \>= max(1, m)
    /// * `computeType`: how exact products must be; see [`fp6llmComputeType_t`]
    /// * `algo`: [`FP6LLM_ALGO_DEFAULT`], or from [`fp6llmGemmGetHeuristic()`]
    /// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, an unknown enum, m or k not
    ///   the weight's, a leading dimension too small, sizes that
    ///   overflow, a weight of another backend, device or CUDA
    ///   context, a lent workspace that is too small
    /// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a combination of types or a compute type this backend lacks
    /// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory; C is untouched
    /// * [`FP6LLM_STATUS_EXECUTION_FAILED`]: the caller's parallel-for threw or left a task out; a launch
    ///   or earlier work on the GPU failed, or its context is gone
    pub fn fp6llmGemmEx(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        alpha: *const c_void,
        A: fp6llmWeight_t,
        B: *const c_void,
        Btype: fp6llmDataType_t,
        ldb: i64,
        beta: *const c_void,
        C: *mut c_void,
        Ctype: fp6llmDataType_t,
        ldc: i64,
        computeType: fp6llmComputeType_t,
        algo: i32,
    ) -> fp6llmStatus_t;
    /// Bytes of workspace that the same call of [`fp6llmGemmEx()`] needs with the handle's thread count.
    ///
    /// * `bytes`: receives the size
    ///
    /// Errors as for [`fp6llmGemmEx()`].
    pub fn fp6llmGemmGetWorkspaceSize(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        A: fp6llmWeight_t,
        Btype: fp6llmDataType_t,
        Ctype: fp6llmDataType_t,
        computeType: fp6llmComputeType_t,
        algo: i32,
        bytes: *mut usize,
    ) -> fp6llmStatus_t;
    /// The kernels that can run a multiplication, the one `algo` -1 takes first.
    ///
    /// * `requested`: elements in results; \>= 1
    /// * `results`: results\[0\].structSize set; receives up to `requested` elements
    /// * `returned`: receives how many were written
    /// * [`FP6LLM_STATUS_INVALID_VALUE`]: results or returned is NULL, requested \< 1
    ///
    /// Other errors as for [`fp6llmGemmEx()`].
    pub fn fp6llmGemmGetHeuristic(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        A: fp6llmWeight_t,
        Btype: fp6llmDataType_t,
        Ctype: fp6llmDataType_t,
        computeType: fp6llmComputeType_t,
        requested: c_int,
        results: *mut fp6llmHeuristicResult_t,
        returned: *mut c_int,
    ) -> fp6llmStatus_t;
    /// A linear layer on row-major data: Y = activation(X W^T + bias) + residual.
    ///
    /// * `tokens`: rows of X and Y
    /// * `X`: row-major \[tokens, IC\], R_16F, R_16BF or R_32F; ldx \>= IC
    /// * `W`: the weight, \[OC, IC\]
    /// * `epilogue`: NULL for none
    /// * `Y`: row-major \[tokens, OC\], R_32F or X's type; ldy \>= OC. Must not overlap X.
    ///
    /// Errors as for [`fp6llmGemmEx()`].
    pub fn fp6llmLinear(
        handle: fp6llmHandle_t,
        tokens: i64,
        X: *const c_void,
        Xtype: fp6llmDataType_t,
        ldx: i64,
        W: fp6llmWeight_t,
        epilogue: *const fp6llmEpilogue_t,
        Y: *mut c_void,
        Ytype: fp6llmDataType_t,
        ldy: i64,
    ) -> fp6llmStatus_t;
    /// One multiplication per group, as a mixture of experts needs: the tokens sorted by expert lie side
    /// by side in B and C, and group g multiplies columns offsets\[g\] .. offsets\[g + 1\] - 1 by A\[g\].
    ///
    /// * `groups`: number of weights; \>= 0; 0 leaves C as it is
    /// * `n`: columns of B and C, an upper bound of offsets\[groups\]; columns at and beyond
    ///   offsets\[groups\] stay as they are
    /// * `offsets`: \[groups + 1\], ascending from 0; host memory on a CPU handle, device memory on a
    ///   CUDA handle (so that a router's output needs no copy back)
    /// * `A`: host array of `groups` weights, all of op(A) \[m, k\]; an entry may be NULL where
    ///   its group has no columns
    /// * `transb`: N only: token j at B + j \* ldb
    ///
    /// Other arguments and errors as for [`fp6llmGemmEx()`].
    pub fn fp6llmGemmGroupedEx(
        handle: fp6llmHandle_t,
        groups: i64,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        offsets: *const i64,
        alpha: *const c_void,
        A: *const fp6llmWeight_t,
        B: *const c_void,
        Btype: fp6llmDataType_t,
        ldb: i64,
        beta: *const c_void,
        C: *mut c_void,
        Ctype: fp6llmDataType_t,
        ldc: i64,
        computeType: fp6llmComputeType_t,
        algo: i32,
    ) -> fp6llmStatus_t;
    /// [`FP6LLM_VERSION`]
    pub fn fp6llmGetHeaderVersion() -> c_int;
    /// [`FP6LLM_BLOB_ALIGNMENT`]
    pub fn fp6llmGetBlobAlignment() -> usize;
    /// [`FP6LLM_ALGO_DEFAULT`]
    pub fn fp6llmGetAlgoDefault() -> i32;
    /// [`FP6LLM_SCALE_TYPE_DEFAULT`]
    pub fn fp6llmGetScaleTypeDefault() -> i32;
}
