/**
 * @file
 * The C ABI of libfp6llm: quantize, prepack and multiply 6-bit float weights.
 *
 * C99 and C++11 clean; needs nothing but <stddef.h> and <stdint.h>, in particular no CUDA header.
 * Calls, argument order and numeric values follow cuBLAS wherever cuBLAS has the thing, so that most
 * of a port is swapping the prefix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FP6LLM_FP6LLM_H_
#define FP6LLM_FP6LLM_H_

#include <stddef.h>
#include <stdint.h>

/** @name Version of this header
 *  @{ */
#define FP6LLM_VERSION_MAJOR 0 /**< Raised by breaks of the ABI, with the SONAME. */
#define FP6LLM_VERSION_MINOR 1 /**< Raised by additions. */
#define FP6LLM_VERSION_PATCH 0 /**< Raised by fixes. */
/** 10000 * major + 100 * minor + patch, the value fp6llmGetVersion() reports. */
#define FP6LLM_VERSION \
    (10000 * FP6LLM_VERSION_MAJOR + 100 * FP6LLM_VERSION_MINOR + FP6LLM_VERSION_PATCH)
/** @} */

#if defined(FP6LLM_STATIC)
#define FP6LLM_API
#elif defined(_WIN32)
#ifdef FP6LLM_BUILDING
#define FP6LLM_API __declspec(dllexport)
#else
#define FP6LLM_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define FP6LLM_API __attribute__((visibility("default")))
#else
#define FP6LLM_API
#endif

/* In C++ the enums get int as their fixed type, so that a value this header does not know (from a
 * newer or a careless caller) is a defined value, which the library answers with INVALID_VALUE. */
#ifdef __cplusplus
#define FP6LLM_ENUM_TYPE : int
extern "C" {
#else
#define FP6LLM_ENUM_TYPE
#endif

/**
 * @mainpage Rules that hold for every function
 *
 * - **Status.** Everything that can fail returns ::fp6llmStatus_t, whose values equal
 *   `cublasStatus_t`. No exception, abort, exit or print crosses this ABI.
 * - **On error nothing is written.** Output arguments keep the values they had; nothing leaks. The
 *   one exception is FP6LLM_STATUS_EXECUTION_FAILED and FP6LLM_STATUS_INTERNAL_ERROR out of work
 *   that had already started: the contents of the output buffers are then unspecified.
 * - **Detail text.** After a failure fp6llmGetLastErrorString() tells, on the same thread, what was
 *   wrong and with which argument ("ldb = 512 < k = 576"); fp6llmGetErrorString() tells it for the
 *   last failure on a handle, from any thread.
 * - **Sizes** are `int64_t` element counts or `size_t` byte counts. A size of zero is legal and
 *   makes the call a no-op that succeeds; pointers to buffers that then hold nothing may be NULL.
 * - **Host and device.** A handle has one backend. On a CPU handle every pointer is a host pointer.
 *   On a CUDA handle matrices, codes and scales are device pointers; config structs, stats and the
 *   arrays of handles are always host pointers; `alpha` and `beta` follow the pointer mode. Device
 *   pointers are memory of the handle's device, managed memory or pinned host memory; a host pointer
 *   on a CUDA handle is FP6LLM_STATUS_INVALID_VALUE, and so is device memory on a CPU handle in a
 *   process that has used CUDA through this library.
 * - **CUDA.** The driver is loaded by the first call that needs it; loading this library does not. A
 *   call works in the thread's current context if that is of the handle's device, else in the
 *   device's primary context (which cudart and frameworks use), and leaves the current context as
 *   it was. Calls enqueue on the handle's stream and return, but for those that make a weight or
 *   report what they found (fp6llmQuantize() with stats, AUTO or NONFINITE_ERROR), which wait for
 *   the stream. Errors of work that was enqueued surface in a later call.
 * - **Alignment.** A pointer to elements, to a struct or to a single output must be aligned as its
 *   type is; anything less is FP6LLM_STATUS_INVALID_VALUE. Blobs need ::FP6LLM_BLOB_ALIGNMENT.
 * - **Threads.** A handle may be used by one thread at a time, and moved between threads freely. A
 *   weight is immutable: any number of threads and of handles of its backend and device may share
 *   it, on CUDA in the context that it was made in. Functions that take neither are thread-safe.
 * - **fork().** In a forked child, handles and weights of the CPU backend keep working; the thread
 *   pool restarts at the next call. CUDA does not survive fork(): in a child of a process that has
 *   used it, calls on the CUDA backend answer FP6LLM_STATUS_NOT_SUPPORTED, and AUTO means CPU.
 * - **Structs** start with `structSize`, are passed by pointer only and grow only at the end. A
 *   smaller `structSize` than this header's means an older caller: the missing fields count as
 *   zero. A larger one is accepted when the bytes beyond are zero, else
 *   FP6LLM_STATUS_INVALID_VALUE. In an output struct only `structSize` bytes are written.
 *   Initialize with the `_INIT` macro or the init function, which do the same.
 */

/* ------------------------------------------------------------------------------------------------
 * Values
 * --------------------------------------------------------------------------------------------- */

/** Result of a call. Values equal `cublasStatus_t`. */
typedef enum fp6llmStatus_t FP6LLM_ENUM_TYPE {
    FP6LLM_STATUS_SUCCESS = 0,         /**< Done. */
    FP6LLM_STATUS_NOT_INITIALIZED = 1, /**< The handle is NULL or was not made by this library. */
    FP6LLM_STATUS_ALLOC_FAILED = 3,   /**< Out of host or device memory; nothing was left behind. */
    FP6LLM_STATUS_INVALID_VALUE = 7,  /**< An argument is wrong; the detail text names it. */
    FP6LLM_STATUS_ARCH_MISMATCH = 8,  /**< This processor or device cannot run what was asked. */
    FP6LLM_STATUS_MAPPING_ERROR = 11, /**< Device memory could not be reached. */
    FP6LLM_STATUS_EXECUTION_FAILED = 13, /**< A launch or a caller's parallel-for failed. */
    FP6LLM_STATUS_INTERNAL_ERROR = 14,   /**< A bug in this library. */
    FP6LLM_STATUS_NOT_SUPPORTED = 15     /**< Valid, but this build or backend cannot do it. */
} fp6llmStatus_t;

/** Element types. Values equal `cudaDataType` where CUDA has the type. */
typedef enum fp6llmDataType_t FP6LLM_ENUM_TYPE {
    FP6LLM_R_32F = 0,          /**< IEEE binary32. */
    FP6LLM_R_16F = 2,          /**< IEEE binary16. */
    FP6LLM_R_8I = 3,           /**< int8. */
    FP6LLM_R_16BF = 14,        /**< bfloat16. */
    FP6LLM_R_8F_E4M3 = 28,     /**< OCP FP8 E4M3. */
    FP6LLM_R_8F_E5M2 = 29,     /**< OCP FP8 E5M2. */
    FP6LLM_R_8F_UE8M0 = 30,    /**< OCP MX scale: 2^(byte - 127); 255 is NaN. */
    FP6LLM_R_6F_E2M3 = 31,     /**< OCP MX FP6 E2M3: bias 1, max 7.5, min subnormal 0.125. */
    FP6LLM_R_6F_E3M2 = 32,     /**< OCP MX FP6 E3M2: bias 3, max 28, min subnormal 0.0625. */
    FP6LLM_R_4F_E2M1 = 33,     /**< OCP MX FP4 E2M1: bias 1, max 6, min subnormal 0.5. */
    FP6LLM_R_5F_E2M2 = 0x1001, /**< 5 bits: bias 1, max 7, min subnormal 0.25. */
    FP6LLM_R_5F_E3M1 = 0x1002, /**< 5 bits: bias 3, max 24, min subnormal 0.125. */
    FP6LLM_R_6F_AUTO = 0x1010  /**< Requested format only: E3M2 or E2M3, whichever errs less. */
} fp6llmDataType_t;

/** Whether a matrix is used as it is stored or transposed. Values equal `cublasOperation_t`. */
typedef enum fp6llmOperation_t FP6LLM_ENUM_TYPE {
    FP6LLM_OP_N = 0, /**< As stored. */
    FP6LLM_OP_T = 1  /**< Transposed. */
} fp6llmOperation_t;

/** Where `alpha` and `beta` live. Values equal `cublasPointerMode_t`. */
typedef enum fp6llmPointerMode_t FP6LLM_ENUM_TYPE {
    FP6LLM_POINTER_MODE_HOST = 0,
    FP6LLM_POINTER_MODE_DEVICE = 1
} fp6llmPointerMode_t;

/** How products are formed and summed. 68, 74, 75 equal `cublasComputeType_t`.
 *
 *  A compute type is a permission that the caller gives. FP6LLM_COMPUTE_32F rounds no activation. The
 *  others let a backend round activations, never weights, and it does so where that is faster, which
 *  depends on the processor, the format and the tokens; elsewhere it is more exact than asked.
 *  fp6llmGemmGetHeuristic() names the kernel. Sums are fp32.
 *
 *  FAST_16I and FAST_8I, where kernels take integers, cut a token's columns into blocks of 128. With
 *  amax the largest magnitude of a block, its activations become the integers nearest to
 *  x * 32767 / amax (FAST_8I: 127 / amax), whose products with weights are summed exactly within the
 *  block and scale group. A NaN or infinity makes all outputs of its token NaN; blocks with
 *  amax < 2^-100 count as zero. int16 goes with every format, int8 with E2M3, E2M2 and E2M1. Other
 *  kernels keep 16 bits of an activation in two bf16 parts (FAST_16I), or round it to bf16 (FAST_8I).
 *
 *  Error of Y, rms relative to the rms of Y: FAST_16I 2.5e-5, FAST_8I 7e-3 with Gaussian activations;
 *  9e-5 and 2.1e-2 where 0.5 % of the channels are 20 times as large, 1.03e-4 and 2.6e-2 where they
 *  are 100 times. That is the largest over formats, row and MX scales at 2048 columns, measured by
 *  tests/unit/gemm/integer_reference_test.cpp. For comparison: bf16 activations 1.7e-3; 6-bit weights
 *  3e-2 (E2M3) and 5e-2 (E3M2). */
typedef enum fp6llmComputeType_t FP6LLM_ENUM_TYPE {
    FP6LLM_COMPUTE_32F = 68,             /**< Exact products, fp32 sums. The default choice. */
    FP6LLM_COMPUTE_32F_FAST_16F = 74,    /**< May round activations to fp16; at least that exact. */
    FP6LLM_COMPUTE_32F_FAST_16BF = 75,   /**< May round activations to bf16 (error 1.7e-3). */
    FP6LLM_COMPUTE_32F_FAST_8F = 0x1001, /**< FP8 activations (W6A8). No backend has it yet. */
    FP6LLM_COMPUTE_32F_FAST_8I = 0x1002, /**< May round activations to int8 (7e-3). CPU only. */
    FP6LLM_COMPUTE_32F_FAST_16I = 0x1003 /**< May round to int16: near exact (2.5e-5). CPU only. */
} fp6llmComputeType_t;

/** Where work is done. */
typedef enum fp6llmBackend_t FP6LLM_ENUM_TYPE {
    FP6LLM_BACKEND_AUTO = 0, /**< CUDA when a usable device is present, else the CPU. */
    FP6LLM_BACKEND_CPU = 1,
    FP6LLM_BACKEND_CUDA = 2
} fp6llmBackend_t;

/** How many weights share one scale. */
typedef enum fp6llmScaleMode_t FP6LLM_ENUM_TYPE {
    FP6LLM_SCALE_ROW = 0,   /**< One scale per row (ZeroQuant(4+2) and FP6-LLM, "CGQ"). */
    FP6LLM_SCALE_GROUP = 1, /**< One per `groupSize` consecutive columns of a row ("FGQ"). */
    FP6LLM_SCALE_MX = 2     /**< OCP MX: one E8M0 power of two per 32 columns of a row. */
} fp6llmScaleMode_t;

/** Rounding of a scaled weight to the nearest code. */
typedef enum fp6llmRounding_t FP6LLM_ENUM_TYPE {
    FP6LLM_ROUND_NEAREST_EVEN = 0, /**< Ties to the even code, as CUDA, torchao and ml_dtypes do. */
    FP6LLM_ROUND_NEAREST_AWAY = 1  /**< Ties away from zero, as the papers' quantizer did. */
} fp6llmRounding_t;

/** How the E8M0 exponent of an MX group follows from its largest magnitude. */
typedef enum fp6llmMxScaleRule_t FP6LLM_ENUM_TYPE {
    FP6LLM_MX_SCALE_FLOOR = 0, /**< OCP MX 1.0 section 6.3: floor(log2 amax) - emax; may clip. */
    FP6LLM_MX_SCALE_EVEN = 1,  /**< AMD Quark's default: amax rounded to the element's mantissa. */
    FP6LLM_MX_SCALE_RCEIL = 2  /**< Smallest power of two that clips nothing. */
} fp6llmMxScaleRule_t;

/** What NaN and infinity among the weights do. */
typedef enum fp6llmNonFinite_t FP6LLM_ENUM_TYPE {
    FP6LLM_NONFINITE_ERROR = 0,   /**< FP6LLM_STATUS_INVALID_VALUE, nothing written. */
    FP6LLM_NONFINITE_SATURATE = 1 /**< Left out of amax; Inf saturates by sign, NaN becomes +max. */
} fp6llmNonFinite_t;

/** Published packed layouts that can be imported and exported. */
typedef enum fp6llmPackedLayout_t FP6LLM_ENUM_TYPE {
    FP6LLM_LAYOUT_TC_FPX = 1,   /**< The original fp6_llm buffer: 2+4 (or 1+4) bit planes, 64x64. */
    FP6LLM_LAYOUT_SPLIT_4_2 = 2 /**< ZeroQuant(4+2): a plane of first 4 bits, a plane of last 2. */
} fp6llmPackedLayout_t;

/** Activation function of an epilogue. */
typedef enum fp6llmActivation_t FP6LLM_ENUM_TYPE {
    FP6LLM_ACTIVATION_NONE = 0,
    FP6LLM_ACTIVATION_RELU = 1,      /**< max(v, 0). */
    FP6LLM_ACTIVATION_GELU = 2,      /**< v * Phi(v), with erf. */
    FP6LLM_ACTIVATION_GELU_TANH = 3, /**< The tanh form of GELU. */
    FP6LLM_ACTIVATION_SILU = 4       /**< v / (1 + exp(-v)). */
} fp6llmActivation_t;

/** Severity of a log message. */
typedef enum fp6llmLogLevel_t FP6LLM_ENUM_TYPE {
    FP6LLM_LOG_ERROR = 0,   /**< A call failed; the same text as the error detail. */
    FP6LLM_LOG_WARNING = 1, /**< Worked, but not as well as it could. */
    FP6LLM_LOG_INFO = 2     /**< Choices made: ISA, kernels, pool size. */
} fp6llmLogLevel_t;

/** Alignment in bytes that fp6llmWeightPackBlob() and fp6llmWeightCreateView() ask of a blob. */
#define FP6LLM_BLOB_ALIGNMENT 64
/** `algo` value that leaves the choice of kernel to the library. */
#define FP6LLM_ALGO_DEFAULT (-1)
/** `scaleType` value: F32 for row and group scales, E8M0 for MX. */
#define FP6LLM_SCALE_TYPE_DEFAULT (-1)

/** One thread of work at a time: backend, stream, workspace, thread pool, last error. */
typedef struct fp6llmContext* fp6llmHandle_t;
/** An immutable quantized and prepacked matrix. */
typedef struct fp6llmWeight* fp6llmWeight_t;
/** `cudaStream_t` and `CUstream`. */
typedef struct CUstream_st* fp6llmStream_t;

/** Receives log messages. May be called from any thread; must neither call back into the library nor
 *  fork.
 *  @param user     the pointer given to fp6llmSetLogger()
 *  @param level    an ::fp6llmLogLevel_t
 *  @param message  NUL-terminated UTF-8, valid during the call only */
typedef void (*fp6llmLogCallback_t)(void* user, int32_t level, const char* message);

/** One unit of parallel work. @param context opaque @param index in [0, count) */
typedef void (*fp6llmTask_t)(void* context, int64_t index);

/** The caller's executor: must call `task(context, i)` exactly once for each i in [0, count), on any
 *  threads, and return when all have returned. */
typedef void (*fp6llmParallelFor_t)(void* user, int64_t count, fp6llmTask_t task, void* context);

/* ------------------------------------------------------------------------------------------------
 * Structs
 * --------------------------------------------------------------------------------------------- */

/** What fp6llmCreateWithConfig() makes. */
typedef struct fp6llmHandleConfig_t {
    size_t structSize;  /**< sizeof(fp6llmHandleConfig_t) */
    int32_t backend;    /**< ::fp6llmBackend_t */
    int32_t device;     /**< Device ordinal; 0 for the CPU. */
    int32_t numThreads; /**< 1..256 CPU threads; 0 = min(OMP_NUM_THREADS if set, CPUs allowed). */
    int32_t reserved;   /**< Must be 0. */
} fp6llmHandleConfig_t;
/** Initializer of ::fp6llmHandleConfig_t. AUTO backend, device 0, default threads. */
#define FP6LLM_HANDLE_CONFIG_INIT \
    { sizeof(fp6llmHandleConfig_t), FP6LLM_BACKEND_AUTO, 0, 0, 0 }

/** A device as fp6llmGetDeviceInfo() describes it. */
typedef struct fp6llmDeviceInfo_t {
    size_t structSize;              /**< sizeof(fp6llmDeviceInfo_t) */
    int32_t backend;                /**< ::fp6llmBackend_t: CPU or CUDA */
    int32_t ordinal;                /**< Device ordinal within the backend. */
    char name[128];                 /**< Processor or GPU model name. */
    char isa[64];                   /**< CPU: kernels in use ("avx2"). CUDA: "sm_90". */
    int32_t computeCapabilityMajor; /**< CUDA only, else 0. */
    int32_t computeCapabilityMinor; /**< CUDA only, else 0. */
    int32_t multiprocessorCount;    /**< SMs; on the CPU the number of CPUs this process may use. */
    int32_t driverVersion;          /**< CUDA driver version, e.g. 13000; 0 on the CPU. */
    uint64_t totalMemory;           /**< Bytes. */
    uint64_t sharedMemoryPerBlock;  /**< Opt-in maximum in bytes; 0 on the CPU. */
    uint64_t l2CacheBytes;          /**< L2 of a GPU, last-level cache of a CPU; 0 if unknown. */
} fp6llmDeviceInfo_t;
/** Initializer of ::fp6llmDeviceInfo_t. An empty description. */
#define FP6LLM_DEVICE_INFO_INIT \
    { sizeof(fp6llmDeviceInfo_t), 0, 0, {0}, {0}, 0, 0, 0, 0, 0, 0, 0 }

/** How to quantize, and what given codes and scales mean. */
typedef struct fp6llmQuantConfig_t {
    size_t structSize;   /**< sizeof(fp6llmQuantConfig_t) */
    int32_t format;      /**< ::fp6llmDataType_t: E3M2, E2M3, E2M2, E3M1, E2M1 or AUTO. */
    int32_t scaleMode;   /**< ::fp6llmScaleMode_t */
    int32_t groupSize;   /**< GROUP: multiple of 8 in 16..4096. MX: 32 or 0. ROW: ignored. */
    int32_t scaleType;   /**< R_32F, R_16F (row, group), R_8F_UE8M0 (MX), or -1 = default. */
    int32_t rounding;    /**< ::fp6llmRounding_t */
    int32_t mxScaleRule; /**< ::fp6llmMxScaleRule_t, for MX. */
    int32_t nonFinite;   /**< ::fp6llmNonFinite_t */
    int32_t scaleSearch; /**< 0 = amax scale; n in 1..64: also n smaller ones (MX: 1 or 2
                                 neighbouring exponents), the least squared error wins. */
    int32_t
        computeHint;  /**< 0, or the ::fp6llmComputeType_t that most products with a weight will ask
                                 for: its memory is laid out for that. Codes and scales stay the same,
                                 every compute type works and keeps its precision. Today it matters for
                                 32F_FAST_8I and the formats E2M3, E2M2 and E2M1 (row scales, MX, groups
                                 of a multiple of 32) on CPUs with AVX2 and no AVX-512: int8 products of
                                 few tokens get faster, others slower (docs/layouts.md, S8). Appended
                                 after ABI 0: see fp6llmQuantConfigInit(). */
    int32_t reserved; /**< Must be 0. */
} fp6llmQuantConfig_t;
/** Initializer of ::fp6llmQuantConfig_t. E3M2, fp32 row scales, nearest even, NaN and Inf are errors. */
#define FP6LLM_QUANT_CONFIG_INIT                                                         \
    {                                                                                    \
        sizeof(fp6llmQuantConfig_t), FP6LLM_R_6F_E3M2, FP6LLM_SCALE_ROW, 0,              \
            FP6LLM_SCALE_TYPE_DEFAULT, FP6LLM_ROUND_NEAREST_EVEN, FP6LLM_MX_SCALE_FLOOR, \
            FP6LLM_NONFINITE_ERROR, 0, 0, 0                                              \
    }

/** What quantization did. Errors are over the finite elements, against the input as fp32. */
typedef struct fp6llmQuantStats_t {
    size_t structSize;  /**< sizeof(fp6llmQuantStats_t) */
    int32_t format;     /**< ::fp6llmDataType_t in use; tells AUTO's choice. */
    int32_t reserved;   /**< 0 */
    double mse;         /**< Mean of (w - dequantized)^2. */
    double signal;      /**< Mean of w^2; SNR in dB is 10 log10(signal / mse). */
    double maxAbsError; /**< Largest |w - dequantized|. */
    int64_t saturated;  /**< Elements with |w| / scale above the largest value of the format by more
                               than fp32 rounding; infinities count, NaN does not. */
    int64_t nonFinite;  /**< NaN and infinite inputs. */
} fp6llmQuantStats_t;
/** Initializer of ::fp6llmQuantStats_t. Empty statistics. */
#define FP6LLM_QUANT_STATS_INIT \
    { sizeof(fp6llmQuantStats_t), 0, 0, 0.0, 0.0, 0.0, 0, 0 }

/** A weight object as fp6llmWeightGetInfo() describes it. */
typedef struct fp6llmWeightInfo_t {
    size_t structSize;   /**< sizeof(fp6llmWeightInfo_t) */
    int64_t rows;        /**< Output channels (OC). */
    int64_t cols;        /**< Input channels (IC). */
    int32_t format;      /**< ::fp6llmDataType_t; never AUTO. */
    int32_t scaleMode;   /**< ::fp6llmScaleMode_t */
    int32_t groupSize;   /**< Columns per scale; 0 for ROW. */
    int32_t scaleType;   /**< Type of the scales that export gives back. */
    int32_t backend;     /**< ::fp6llmBackend_t: CPU or CUDA */
    int32_t device;      /**< Device ordinal. */
    int32_t isView;      /**< 1 when the memory is the caller's blob. */
    int32_t computeHint; /**< ::fp6llmComputeType_t that its memory is laid out for; 0 = for all. */
    size_t bytes;        /**< Bytes held on the device: packed codes, scales, padding, header. */
    size_t codeBytes;    /**< Bytes of the plain codes that export writes. */
    size_t scaleBytes;   /**< Bytes of the scales that export writes. */
    char layout[32];     /**< Name and version of the internal layout, e.g. "cpu-s16/1". */
} fp6llmWeightInfo_t;
/** Initializer of ::fp6llmWeightInfo_t. An empty description. */
#define FP6LLM_WEIGHT_INFO_INIT                                              \
    {                                                                        \
        sizeof(fp6llmWeightInfo_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { \
            0                                                                \
        }                                                                    \
    }

/** What follows the multiplication in fp6llmLinear(): Y = activation(X W^T + bias) + residual. */
typedef struct fp6llmEpilogue_t {
    size_t structSize;    /**< sizeof(fp6llmEpilogue_t) */
    const void* bias;     /**< [OC], or NULL. */
    int32_t biasType;     /**< R_16F, R_16BF or R_32F. */
    int32_t activation;   /**< ::fp6llmActivation_t */
    const void* residual; /**< Row-major [tokens, OC], or NULL. May be Y itself. */
    int32_t residualType; /**< R_16F, R_16BF or R_32F. */
    int32_t computeType;  /**< ::fp6llmComputeType_t; 0 = FP6LLM_COMPUTE_32F. */
    int64_t ldr;          /**< Elements between two rows of residual; >= OC. */
} fp6llmEpilogue_t;
/** Initializer of ::fp6llmEpilogue_t. No bias, activation or residual; FP6LLM_COMPUTE_32F. */
#define FP6LLM_EPILOGUE_INIT \
    { sizeof(fp6llmEpilogue_t), NULL, 0, 0, NULL, 0, 0, 0 }

/** One way to run a multiplication, best first, from fp6llmGemmGetHeuristic(). */
typedef struct fp6llmHeuristicResult_t {
    size_t structSize;    /**< sizeof(fp6llmHeuristicResult_t); only of element 0, for all. */
    int32_t algo;         /**< Value to pass as `algo`. */
    int32_t isReference;  /**< 1 for the slow fp64 oracle. */
    size_t workspaceSize; /**< Bytes that fp6llmSetWorkspace() must provide for it. */
    char name[64];        /**< Kernel name, e.g. "avx2_fp6_gemv_f32". */
} fp6llmHeuristicResult_t;
/** Initializer of ::fp6llmHeuristicResult_t. An empty result. */
#define FP6LLM_HEURISTIC_RESULT_INIT                \
    {                                               \
        sizeof(fp6llmHeuristicResult_t), 0, 0, 0, { \
            0                                       \
        }                                           \
    }

/** @name Struct initializers
 *  The functions behind the `_INIT` macros, for languages without macros. They write the fields that
 *  ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
 *  zero, so a caller built against an older header is never overrun. Who sets such a field makes the
 *  struct zero before the call and sets `structSize` to its size after.
 *  @retval FP6LLM_STATUS_SUCCESS        the struct is initialized
 *  @retval FP6LLM_STATUS_INVALID_VALUE  the pointer is NULL
 *  @{ */
/** ::FP6LLM_HANDLE_CONFIG_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmHandleConfigInit(fp6llmHandleConfig_t* config);
/** ::FP6LLM_DEVICE_INFO_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmDeviceInfoInit(fp6llmDeviceInfo_t* info);
/** ::FP6LLM_QUANT_CONFIG_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmQuantConfigInit(fp6llmQuantConfig_t* config);
/** ::FP6LLM_QUANT_STATS_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmQuantStatsInit(fp6llmQuantStats_t* stats);
/** ::FP6LLM_WEIGHT_INFO_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmWeightInfoInit(fp6llmWeightInfo_t* info);
/** ::FP6LLM_EPILOGUE_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmEpilogueInit(fp6llmEpilogue_t* epilogue);
/** ::FP6LLM_HEURISTIC_RESULT_INIT as a function. */
FP6LLM_API fp6llmStatus_t fp6llmHeuristicResultInit(fp6llmHeuristicResult_t* result);
/** @} */

/* ------------------------------------------------------------------------------------------------
 * Library
 * --------------------------------------------------------------------------------------------- */

/** The library's version.
 *  @param version  receives 10000 * major + 100 * minor + patch
 *  @retval FP6LLM_STATUS_INVALID_VALUE  version is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetVersion(int* version);

/** The library's version as "major.minor.patch". Never NULL; static storage. */
FP6LLM_API const char* fp6llmGetVersionString(void);

/** The enumerator's name, e.g. "FP6LLM_STATUS_INVALID_VALUE". Never NULL; static storage. */
FP6LLM_API const char* fp6llmGetStatusName(fp6llmStatus_t status);

/** One sentence on what a status means. Never NULL; static storage. */
FP6LLM_API const char* fp6llmGetStatusString(fp6llmStatus_t status);

/** @name Text out
 *  These copy NUL-terminated UTF-8 into the caller's buffer.
 *  @param buffer  `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
 *                 NUL-terminated when size > 0.
 *  @param size    bytes in buffer
 *  @param needed  receives the bytes the whole text takes with its NUL; may be NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE  buffer is NULL and size is not 0, or needed is misaligned;
 *                                       recorded for the thread only, so that a handle's text stays
 *                                       readable
 *  @{ */
/** JSON: version, compilers, ISAs and CUDA architectures built in, build options.
 *  @retval FP6LLM_STATUS_ALLOC_FAILED  out of memory */
FP6LLM_API fp6llmStatus_t fp6llmGetBuildInfo(char* buffer, size_t size, size_t* needed);
/** Detail of the last call that failed on this thread; "" if none has. Successful calls leave it. */
FP6LLM_API fp6llmStatus_t fp6llmGetLastErrorString(char* buffer, size_t size, size_t* needed);
/** Detail of the last call that failed with this handle, on whichever thread; "" if none has.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetErrorString(fp6llmHandle_t handle, char* buffer, size_t size,
                                               size_t* needed);
/** @} */

/** The number of devices a backend has: 1 for the CPU; 0 for CUDA without a driver or device.
 *  Devices too old for the kernels count.
 *  @param backend  CPU, CUDA, or AUTO for the sum of both
 *  @param count    receives the number
 *  @retval FP6LLM_STATUS_INVALID_VALUE  count is NULL or backend is unknown */
FP6LLM_API fp6llmStatus_t fp6llmGetDeviceCount(fp6llmBackend_t backend, int* count);

/** Describes a device. `isa` of the CPU is the instruction set whose kernels are in use: the best
 *  that the processor has (but avx512vnni instead of avx512bf16 on Intel's, where that is faster),
 *  or one that the environment variable FP6LLM_CPU_ISA names, up to what the processor has
 *  (portable, avx2, avx512, avx512vnni, avx512bf16; read once per process).
 *  @param backend  CPU or CUDA
 *  @param ordinal  0 <= ordinal < count
 *  @param info     structSize set; receives the description
 *  @retval FP6LLM_STATUS_INVALID_VALUE  info is NULL or its structSize wrong, backend is unknown or
 *                                       AUTO, ordinal is out of range
 *  @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory */
FP6LLM_API fp6llmStatus_t fp6llmGetDeviceInfo(fp6llmBackend_t backend, int ordinal,
                                              fp6llmDeviceInfo_t* info);

/** Installs the process-wide log receiver; without one nothing is logged and nothing is printed.
 *  @param callback  NULL removes the receiver
 *  @param user      passed on to the callback
 *  @retval FP6LLM_STATUS_ALLOC_FAILED  out of memory; the receiver stays */
FP6LLM_API fp6llmStatus_t fp6llmSetLogger(fp6llmLogCallback_t callback, void* user);

/* ------------------------------------------------------------------------------------------------
 * Handle
 * --------------------------------------------------------------------------------------------- */

/** Makes a handle with the AUTO backend and default settings.
 *  @param handle  receives the handle
 *  @retval FP6LLM_STATUS_INVALID_VALUE  handle is NULL
 *  @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory */
FP6LLM_API fp6llmStatus_t fp6llmCreate(fp6llmHandle_t* handle);

/** Makes a handle.
 *  @param handle  receives the handle
 *  @param config  backend, device, threads
 *  @retval FP6LLM_STATUS_INVALID_VALUE  a pointer is NULL, a field out of range, no such device
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED  CUDA was asked for by name and is not there: never a silent
 *                                       fallback. The detail text says why: no driver, one too old,
 *                                       no device, a build without CUDA
 *  @retval FP6LLM_STATUS_ARCH_MISMATCH  CUDA was asked for by name and the device is older than
 *                                       compute capability 8.0
 *  @retval FP6LLM_STATUS_ALLOC_FAILED   out of memory */
FP6LLM_API fp6llmStatus_t fp6llmCreateWithConfig(fp6llmHandle_t* handle,
                                                 const fp6llmHandleConfig_t* config);

/** Frees a handle. NULL is a no-op. Weights made with the handle live on.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  not a live handle, as far as can be told */
FP6LLM_API fp6llmStatus_t fp6llmDestroy(fp6llmHandle_t handle);

/** Sets the stream that later calls enqueue on; NULL is the (legacy) default stream. The CPU backend
 *  works synchronously and only stores it.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL */
FP6LLM_API fp6llmStatus_t fp6llmSetStream(fp6llmHandle_t handle, fp6llmStream_t stream);

/** The stream last set, or NULL.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    stream is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetStream(fp6llmHandle_t handle, fp6llmStream_t* stream);

/** Lends the handle memory for its multiplications, which then allocate nothing (on CUDA: but for
 *  64 KiB of locks, once per stream). Without it the handle keeps scratch of its own that grows to
 *  the largest call seen; on a CUDA handle, one per stream, kept until the handle is destroyed, so
 *  that captured graphs stay valid as long.
 *  @param workspace  host or device memory, as the backend has it, aligned to 64 bytes, the caller's
 *                    until replaced; NULL with size 0 returns to the handle's own scratch
 *  @param size       bytes; fp6llmGemmGetWorkspaceSize() tells how many a call needs
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    NULL with a size, a size of 0 with a pointer, misaligned,
 *                                         host memory on a CUDA handle */
FP6LLM_API fp6llmStatus_t fp6llmSetWorkspace(fp6llmHandle_t handle, void* workspace, size_t size);

/** Where `alpha` and `beta` are read from.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    unknown mode
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED    DEVICE on a CPU handle */
FP6LLM_API fp6llmStatus_t fp6llmSetPointerMode(fp6llmHandle_t handle, fp6llmPointerMode_t mode);

/** The pointer mode in force.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    mode is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetPointerMode(fp6llmHandle_t handle, fp6llmPointerMode_t* mode);

/** The backend the handle got: CPU or CUDA, never AUTO.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    backend is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetBackend(fp6llmHandle_t handle, fp6llmBackend_t* backend);

/** Threads the CPU work of this handle uses, the caller's included. Results do not depend on it.
 *  @param threads  1..256; 0 = min(OMP_NUM_THREADS if set, CPUs in the affinity mask)
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    threads is out of range */
FP6LLM_API fp6llmStatus_t fp6llmSetNumThreads(fp6llmHandle_t handle, int threads);

/** The thread count in force, never 0.
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    threads is NULL */
FP6LLM_API fp6llmStatus_t fp6llmGetNumThreads(fp6llmHandle_t handle, int* threads);

/** Runs CPU work on the caller's executor in place of the library's own pool.
 *  @param parallelFor  NULL returns to the library's pool
 *  @param user         passed on to it
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @note A parallelFor that leaves an index out, or throws a C++ exception, makes the call that used
 *        it answer FP6LLM_STATUS_EXECUTION_FAILED. */
FP6LLM_API fp6llmStatus_t fp6llmSetParallelFor(fp6llmHandle_t handle,
                                               fp6llmParallelFor_t parallelFor, void* user);

/* ------------------------------------------------------------------------------------------------
 * Quantize
 * --------------------------------------------------------------------------------------------- */

/** Bytes of the plain codes and scales of a [rows, cols] matrix.
 *
 *  The **plain format** is the only one to store or exchange. Codes: row-major, each row an LSB-first
 *  bit stream padded to a byte, so `rows * ceil(cols * bits / 8)` bytes. Scales: [rows] for ROW, else
 *  row-major [rows, ceil(cols / groupSize)], of the config's scale type; none where there are no
 *  columns. With MX scales these are the tensors of an AMD Quark MXFP6 checkpoint.
 *  @param config      format and scale mode; AUTO counts as 6 bits
 *  @param codeBytes   receives the bytes of the codes; may be NULL
 *  @param scaleBytes  receives the bytes of the scales; may be NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE  config is NULL or a field of it invalid, rows or cols is
 *                                       negative, or the sizes overflow */
FP6LLM_API fp6llmStatus_t fp6llmQuantGetSizes(const fp6llmQuantConfig_t* config, int64_t rows,
                                              int64_t cols, size_t* codeBytes, size_t* scaleBytes);

/** Quantizes W by rounding to nearest (ZeroQuant(4+2) section 4; OCP MX 1.0 section 6.3).
 *
 *  Row and group scales are amax / largest value of the format in fp32 (1 where amax is 0), then
 *  rounded to the scale type; code = round(float(w) / scale) with an IEEE division, saturating. A
 *  matrix may be quantized in blocks of rows, with the same result unless the format is AUTO.
 *  Bitwise the same for any thread count.
 *  @param rows, cols  output and input channels
 *  @param W       row-major [rows, cols], host or device
 *  @param Wtype   R_16F, R_16BF or R_32F
 *  @param ldw     elements between two rows; >= cols
 *  @param codes   receives the plain codes, fp6llmQuantGetSizes() bytes
 *  @param scales  receives the scales
 *  @param stats   may be NULL, which is faster; else structSize set
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, a size, ldw or config field
 *                                         out of range, or NaN/Inf in W with NONFINITE_ERROR
 *  @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED    CUDA backend of this build */
FP6LLM_API fp6llmStatus_t fp6llmQuantize(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                         int64_t rows, int64_t cols, const void* W,
                                         fp6llmDataType_t Wtype, int64_t ldw, void* codes,
                                         void* scales, fp6llmQuantStats_t* stats);

/** The matrix that codes and scales stand for: W[r, c] = value(code) * scale, rounded once, to
 *  nearest even, to Wtype.
 *  @param config  format, scaleMode, groupSize and scaleType count; AUTO is invalid
 *  @param codes, scales  plain, host or device
 *  @param W       receives row-major [rows, cols]; elements between cols and ldw stay as they are
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED, FP6LLM_STATUS_INVALID_VALUE, FP6LLM_STATUS_NOT_SUPPORTED
 *          as for fp6llmQuantize() */
FP6LLM_API fp6llmStatus_t fp6llmDequantize(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                           int64_t rows, int64_t cols, const void* codes,
                                           const void* scales, void* W, fp6llmDataType_t Wtype,
                                           int64_t ldw);

/* ------------------------------------------------------------------------------------------------
 * Weight objects
 * --------------------------------------------------------------------------------------------- */

/** Quantizes W and prepacks it for the handle's backend.
 *  Arguments and errors as for fp6llmQuantize().
 *  @param weight  receives the weight; free with fp6llmWeightDestroy()
 *  @retval FP6LLM_STATUS_INVALID_VALUE  also: weight is NULL */
FP6LLM_API fp6llmStatus_t fp6llmWeightCreate(fp6llmHandle_t handle,
                                             const fp6llmQuantConfig_t* config, int64_t rows,
                                             int64_t cols, const void* W, fp6llmDataType_t Wtype,
                                             int64_t ldw, fp6llmWeight_t* weight);

/** Prepacks plain codes and scales. They are copied; export gives them back bit for bit.
 *  @param config  as for fp6llmDequantize()
 *  @param rows, cols  output and input channels
 *  @param codes, scales  plain, fp6llmQuantGetSizes() bytes, host or device
 *  @param weight  receives the weight
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, a size or field out of range
 *  @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED    CUDA backend of this build */
FP6LLM_API fp6llmStatus_t fp6llmWeightCreateFromCodes(fp6llmHandle_t handle,
                                                      const fp6llmQuantConfig_t* config,
                                                      int64_t rows, int64_t cols, const void* codes,
                                                      const void* scales, fp6llmWeight_t* weight);

/** Prepacks a buffer in a published layout: the original fp6_llm's, as its released packer writes it
 *  (FP6-LLM, arXiv 2401.14112), or the two planes of ZeroQuant(4+2) (arXiv 2312.08583).
 *  @param layout  TC_FPX: E3M2, E2M3 (2+4 planes) and E2M2, E3M1 (1+4), rows and cols multiples of
 *                 64. SPLIT_4_2: E3M2 and E2M3, any shape.
 *  @param packed  the buffer, fp6llmPackedGetSizes() bytes, host or device
 *  @param scales  as config says; the original fp6_llm has R_16F row scales
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold
 *  Other errors as for fp6llmWeightCreateFromCodes(). */
FP6LLM_API fp6llmStatus_t fp6llmWeightCreateFromPacked(
    fp6llmHandle_t handle, fp6llmPackedLayout_t layout, const fp6llmQuantConfig_t* config,
    int64_t rows, int64_t cols, const void* packed, const void* scales, fp6llmWeight_t* weight);

/** Gives back the plain codes and scales the weight was made from, bit for bit (padding bits of a
 *  row's last byte as zero).
 *  @param codes, scales  receive fp6llmWeightInfo_t's codeBytes and scaleBytes, host or device; either
 *                        may be NULL
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    weight is NULL, or of another backend, device or CUDA
 *                                         context; scales misaligned
 *  @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory */
FP6LLM_API fp6llmStatus_t fp6llmWeightExportCodes(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                                  void* codes, void* scales);

/** Gives the weight in a published layout.
 *  @param packed, scales  receive fp6llmPackedGetSizes() bytes, host or device; either may be NULL
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold
 *  Other errors as for fp6llmWeightExportCodes(). */
FP6LLM_API fp6llmStatus_t fp6llmWeightExportPacked(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                                   fp6llmPackedLayout_t layout, void* packed,
                                                   void* scales);

/** Bytes of a published layout.
 *  @param packedBytes, scaleBytes  receive the bytes; either may be NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE  as for fp6llmQuantGetSizes(), or an unknown layout
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED  a format or shape the layout cannot hold */
FP6LLM_API fp6llmStatus_t fp6llmPackedGetSizes(fp6llmPackedLayout_t layout,
                                               const fp6llmQuantConfig_t* config, int64_t rows,
                                               int64_t cols, size_t* packedBytes,
                                               size_t* scaleBytes);

/** Describes a weight.
 *  @param info  structSize set; receives the description
 *  @retval FP6LLM_STATUS_INVALID_VALUE  a pointer is NULL or structSize wrong */
FP6LLM_API fp6llmStatus_t fp6llmWeightGetInfo(fp6llmWeight_t weight, fp6llmWeightInfo_t* info);

/** Frees a weight. NULL is a no-op. A view's blob stays the caller's.
 *  @retval FP6LLM_STATUS_INVALID_VALUE  not a live weight, as far as can be told */
FP6LLM_API fp6llmStatus_t fp6llmWeightDestroy(fp6llmWeight_t weight);

/** Bytes of a prepacked blob, for weights in memory the caller owns (a framework's tensor, a shared
 *  mapping). A blob belongs to one layout version and kind of processor: keep it in memory or a
 *  cache, and store plain codes.
 *  @param bytes  receives the size
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    bytes is NULL, or as for fp6llmQuantGetSizes(); AUTO is
 *                                         invalid */
FP6LLM_API fp6llmStatus_t fp6llmWeightGetBlobSize(fp6llmHandle_t handle,
                                                  const fp6llmQuantConfig_t* config, int64_t rows,
                                                  int64_t cols, size_t* bytes);

/** Prepacks plain codes and scales into a blob.
 *  @param blob   receives the blob; aligned to ::FP6LLM_BLOB_ALIGNMENT
 *  @param bytes  bytes available; >= fp6llmWeightGetBlobSize(), else FP6LLM_STATUS_INVALID_VALUE
 *  Errors as for fp6llmWeightCreateFromCodes(). */
FP6LLM_API fp6llmStatus_t fp6llmWeightPackBlob(fp6llmHandle_t handle,
                                               const fp6llmQuantConfig_t* config, int64_t rows,
                                               int64_t cols, const void* codes, const void* scales,
                                               void* blob, size_t bytes);

/** A weight over a blob, without a copy; cheap enough to make per call. The blob must outlive it and
 *  not change meanwhile.
 *  @param blob    aligned to ::FP6LLM_BLOB_ALIGNMENT
 *  @param bytes   bytes readable
 *  @param weight  receives the weight
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    NULL, misaligned, too short, or not a sound blob: the header
 *                                         is checked against its checksum and against `bytes`
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED    a blob of another layout version
 *  @retval FP6LLM_STATUS_ARCH_MISMATCH    a blob of another backend
 *  @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory */
FP6LLM_API fp6llmStatus_t fp6llmWeightCreateView(fp6llmHandle_t handle, const void* blob,
                                                 size_t bytes, fp6llmWeight_t* weight);

/* ------------------------------------------------------------------------------------------------
 * Multiply
 * --------------------------------------------------------------------------------------------- */

/** C[m, n] = alpha * op(A)[m, k] * op(B)[k, n] + beta * C[m, n], all column-major as in cuBLAS.
 *
 *  A weight made from a row-major [OC, IC] matrix *is* a column-major [IC, OC] matrix, so a linear
 *  layer Y = X W^T on row-major X [tokens, IC] and Y [tokens, OC] is
 *  @code
 *  fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, tokens, IC, &alpha, W, X, FP6LLM_R_16F, IC,
 *               &beta, Y, FP6LLM_R_16F, OC, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
 *  @endcode
 *  which is what a serving engine already passes to cublasGemmEx, less A's type and lda.
 *  @param transa  T: op(A) is [rows, cols] of the weight (m = rows, k = cols), the fast way. N: its
 *                 transpose (m = cols, k = rows), which decodes the weight anew for every 64 tokens.
 *  @param transb  N: B is column-major [k, n], token j at B + j * ldb. T: B is column-major [n, k].
 *  @param m, n, k  >= 0; m and k must be those of op(A). k == 0 gives beta * C.
 *  @param alpha, beta  fp32, by pointer mode. beta == 0 never reads C; alpha == 0 never reads B.
 *  @param B, Btype, ldb  R_16F, R_16BF or R_32F; ldb >= max(1, transb == N ? k : n)
 *  @param C, Ctype, ldc  R_32F, or B's own type; ldc >= max(1, m)
 *  @param computeType  how exact products must be; see ::fp6llmComputeType_t
 *  @param algo    FP6LLM_ALGO_DEFAULT, or from fp6llmGemmGetHeuristic()
 *  @retval FP6LLM_STATUS_NOT_INITIALIZED  handle is NULL
 *  @retval FP6LLM_STATUS_INVALID_VALUE    a NULL or misaligned pointer, an unknown enum, m or k not
 *                                         the weight's, a leading dimension too small, sizes that
 *                                         overflow, a weight of another backend, device or CUDA
 *                                         context, a lent workspace that is too small
 *  @retval FP6LLM_STATUS_NOT_SUPPORTED    a combination of types or a compute type this backend lacks
 *  @retval FP6LLM_STATUS_ALLOC_FAILED     out of memory; C is untouched
 *  @retval FP6LLM_STATUS_EXECUTION_FAILED the caller's parallel-for threw or left a task out; a launch
 *                                         or earlier work on the GPU failed, or its context is gone */
FP6LLM_API fp6llmStatus_t fp6llmGemmEx(fp6llmHandle_t handle, fp6llmOperation_t transa,
                                       fp6llmOperation_t transb, int64_t m, int64_t n, int64_t k,
                                       const void* alpha, fp6llmWeight_t A, const void* B,
                                       fp6llmDataType_t Btype, int64_t ldb, const void* beta,
                                       void* C, fp6llmDataType_t Ctype, int64_t ldc,
                                       fp6llmComputeType_t computeType, int32_t algo);

/** Bytes of workspace that the same call of fp6llmGemmEx() needs with the handle's thread count.
 *  @param bytes  receives the size
 *  Errors as for fp6llmGemmEx(). */
FP6LLM_API fp6llmStatus_t fp6llmGemmGetWorkspaceSize(
    fp6llmHandle_t handle, fp6llmOperation_t transa, fp6llmOperation_t transb, int64_t m, int64_t n,
    int64_t k, fp6llmWeight_t A, fp6llmDataType_t Btype, fp6llmDataType_t Ctype,
    fp6llmComputeType_t computeType, int32_t algo, size_t* bytes);

/** The kernels that can run a multiplication, the one `algo` -1 takes first.
 *  @param requested  elements in results; >= 1
 *  @param results    results[0].structSize set; receives up to `requested` elements
 *  @param returned   receives how many were written
 *  @retval FP6LLM_STATUS_INVALID_VALUE  results or returned is NULL, requested < 1
 *  Other errors as for fp6llmGemmEx(). */
FP6LLM_API fp6llmStatus_t fp6llmGemmGetHeuristic(fp6llmHandle_t handle, fp6llmOperation_t transa,
                                                 fp6llmOperation_t transb, int64_t m, int64_t n,
                                                 int64_t k, fp6llmWeight_t A,
                                                 fp6llmDataType_t Btype, fp6llmDataType_t Ctype,
                                                 fp6llmComputeType_t computeType, int requested,
                                                 fp6llmHeuristicResult_t* results, int* returned);

/** A linear layer on row-major data: Y = activation(X W^T + bias) + residual.
 *  @param tokens  rows of X and Y
 *  @param X       row-major [tokens, IC], R_16F, R_16BF or R_32F; ldx >= IC
 *  @param W       the weight, [OC, IC]
 *  @param epilogue  NULL for none
 *  @param Y       row-major [tokens, OC], R_32F or X's type; ldy >= OC. Must not overlap X.
 *  Errors as for fp6llmGemmEx(). */
FP6LLM_API fp6llmStatus_t fp6llmLinear(fp6llmHandle_t handle, int64_t tokens, const void* X,
                                       fp6llmDataType_t Xtype, int64_t ldx, fp6llmWeight_t W,
                                       const fp6llmEpilogue_t* epilogue, void* Y,
                                       fp6llmDataType_t Ytype, int64_t ldy);

/** One multiplication per group, as a mixture of experts needs: the tokens sorted by expert lie side
 *  by side in B and C, and group g multiplies columns offsets[g] .. offsets[g + 1] - 1 by A[g].
 *  @param groups   number of weights; >= 0; 0 leaves C as it is
 *  @param n        columns of B and C, an upper bound of offsets[groups]; columns at and beyond
 *                  offsets[groups] stay as they are
 *  @param offsets  [groups + 1], ascending from 0; host memory on a CPU handle, device memory on a
 *                  CUDA handle (so that a router's output needs no copy back)
 *  @param A        host array of `groups` weights, all of op(A) [m, k]; an entry may be NULL where
 *                  its group has no columns
 *  @param transb   N only: token j at B + j * ldb
 *  Other arguments and errors as for fp6llmGemmEx(). */
FP6LLM_API fp6llmStatus_t fp6llmGemmGroupedEx(
    fp6llmHandle_t handle, int64_t groups, fp6llmOperation_t transa, fp6llmOperation_t transb,
    int64_t m, int64_t n, int64_t k, const int64_t* offsets, const void* alpha,
    const fp6llmWeight_t A[], const void* B, fp6llmDataType_t Btype, int64_t ldb, const void* beta,
    void* C, fp6llmDataType_t Ctype, int64_t ldc, fp6llmComputeType_t computeType, int32_t algo);

/** @name Constants as functions
 *  The macro constants, for callers that cannot see macros.
 *  @{ */
FP6LLM_API int fp6llmGetHeaderVersion(void);        /**< ::FP6LLM_VERSION */
FP6LLM_API size_t fp6llmGetBlobAlignment(void);     /**< ::FP6LLM_BLOB_ALIGNMENT */
FP6LLM_API int32_t fp6llmGetAlgoDefault(void);      /**< ::FP6LLM_ALGO_DEFAULT */
FP6LLM_API int32_t fp6llmGetScaleTypeDefault(void); /**< ::FP6LLM_SCALE_TYPE_DEFAULT */
/** @} */

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* FP6LLM_FP6LLM_H_ */
