// Code generated from fp6llm.h by script/generate-bindings. DO NOT EDIT.

package capi

import "unsafe"

// Status: Result of a call. Values equal `cublasStatus_t`.
type Status int32

const (
	// Done.
	STATUS_SUCCESS Status = 0
	// The handle is NULL or was not made by this library.
	STATUS_NOT_INITIALIZED Status = 1
	// Out of host or device memory; nothing was left behind.
	STATUS_ALLOC_FAILED Status = 3
	// An argument is wrong; the detail text names it.
	STATUS_INVALID_VALUE Status = 7
	// This processor or device cannot run what was asked.
	STATUS_ARCH_MISMATCH Status = 8
	// Device memory could not be reached.
	STATUS_MAPPING_ERROR Status = 11
	// A launch or a caller's parallel-for failed.
	STATUS_EXECUTION_FAILED Status = 13
	// A bug in this library.
	STATUS_INTERNAL_ERROR Status = 14
	// Valid, but this build or backend cannot do it.
	STATUS_NOT_SUPPORTED Status = 15
)

// DataType: Element types. Values equal `cudaDataType` where CUDA has the type.
type DataType int32

const (
	// IEEE binary32.
	R_32F DataType = 0
	// IEEE binary16.
	R_16F DataType = 2
	// int8.
	R_8I DataType = 3
	// bfloat16.
	R_16BF DataType = 14
	// OCP FP8 E4M3.
	R_8F_E4M3 DataType = 28
	// OCP FP8 E5M2.
	R_8F_E5M2 DataType = 29
	// OCP MX scale: 2^(byte - 127); 255 is NaN.
	R_8F_UE8M0 DataType = 30
	// OCP MX FP6 E2M3: bias 1, max 7.5, min subnormal 0.125.
	R_6F_E2M3 DataType = 31
	// OCP MX FP6 E3M2: bias 3, max 28, min subnormal 0.0625.
	R_6F_E3M2 DataType = 32
	// OCP MX FP4 E2M1: bias 1, max 6, min subnormal 0.5.
	R_4F_E2M1 DataType = 33
	// 5 bits: bias 1, max 7, min subnormal 0.25.
	R_5F_E2M2 DataType = 4097
	// 5 bits: bias 3, max 24, min subnormal 0.125.
	R_5F_E3M1 DataType = 4098
	// Requested format only: E3M2 or E2M3, whichever errs less.
	R_6F_AUTO DataType = 4112
)

// Operation: Whether a matrix is used as it is stored or transposed. Values equal `cublasOperation_t`.
type Operation int32

const (
	// As stored.
	OP_N Operation = 0
	// Transposed.
	OP_T Operation = 1
)

// PointerMode: Where `alpha` and `beta` live. Values equal `cublasPointerMode_t`.
type PointerMode int32

const (
	POINTER_MODE_HOST   PointerMode = 0
	POINTER_MODE_DEVICE PointerMode = 1
)

// ComputeType: How products are formed and summed. 68, 74, 75 equal `cublasComputeType_t`.
//
// A compute type is a permission that the caller gives. FP6LLM_COMPUTE_32F rounds no activation. The
// others let a backend round activations, never weights, and it does so where that is faster, which
// depends on the processor, the format and the tokens; elsewhere it is more exact than asked.
// fp6llmGemmGetHeuristic() names the kernel. Sums are fp32.
//
// FAST_16I and FAST_8I, where kernels take integers, cut a token's columns into blocks of 128. With
// amax the largest magnitude of a block, its activations become the integers nearest to
// x * 32767 / amax (FAST_8I: 127 / amax), whose products with weights are summed exactly within the
// block and scale group. A NaN or infinity makes all outputs of its token NaN; blocks with
// amax < 2^-100 count as zero. int16 goes with every format, int8 with E2M3, E2M2 and E2M1. Other
// kernels keep 16 bits of an activation in two bf16 parts (FAST_16I), or round it to bf16 (FAST_8I).
//
// Error of Y, rms relative to the rms of Y: FAST_16I 2.5e-5, FAST_8I 7e-3 with Gaussian activations;
// 9e-5 and 2.1e-2 where 0.5 % of the channels are 20 times as large, 1.03e-4 and 2.6e-2 where they
// are 100 times. That is the largest over formats, row and MX scales at 2048 columns, measured by
// tests/unit/gemm/integer_reference_test.cpp. For comparison: bf16 activations 1.7e-3; 6-bit weights
// 3e-2 (E2M3) and 5e-2 (E3M2).
type ComputeType int32

const (
	// Exact products, fp32 sums. The default choice.
	COMPUTE_32F ComputeType = 68
	// May round activations to fp16; at least that exact.
	COMPUTE_32F_FAST_16F ComputeType = 74
	// May round activations to bf16 (error 1.7e-3).
	COMPUTE_32F_FAST_16BF ComputeType = 75
	// FP8 activations (W6A8). No backend has it yet.
	COMPUTE_32F_FAST_8F ComputeType = 4097
	// May round activations to int8 (7e-3). CPU only.
	COMPUTE_32F_FAST_8I ComputeType = 4098
	// May round to int16: near exact (2.5e-5). CPU only.
	COMPUTE_32F_FAST_16I ComputeType = 4099
)

// Backend: Where work is done.
type Backend int32

const (
	// CUDA when a usable device is present, else the CPU.
	BACKEND_AUTO Backend = 0
	BACKEND_CPU  Backend = 1
	BACKEND_CUDA Backend = 2
)

// ScaleMode: How many weights share one scale.
type ScaleMode int32

const (
	// One scale per row (ZeroQuant(4+2) and FP6-LLM, "CGQ").
	SCALE_ROW ScaleMode = 0
	// One per `groupSize` consecutive columns of a row ("FGQ").
	SCALE_GROUP ScaleMode = 1
	// OCP MX: one E8M0 power of two per 32 columns of a row.
	SCALE_MX ScaleMode = 2
)

// Rounding: Rounding of a scaled weight to the nearest code.
type Rounding int32

const (
	// Ties to the even code, as CUDA, torchao and ml_dtypes do.
	ROUND_NEAREST_EVEN Rounding = 0
	// Ties away from zero, as the papers' quantizer did.
	ROUND_NEAREST_AWAY Rounding = 1
)

// MxScaleRule: How the E8M0 exponent of an MX group follows from its largest magnitude.
type MxScaleRule int32

const (
	// OCP MX 1.0 section 6.3: floor(log2 amax) - emax; may clip.
	MX_SCALE_FLOOR MxScaleRule = 0
	// AMD Quark's default: amax rounded to the element's mantissa.
	MX_SCALE_EVEN MxScaleRule = 1
	// Smallest power of two that clips nothing.
	MX_SCALE_RCEIL MxScaleRule = 2
)

// NonFinite: What NaN and infinity among the weights do.
type NonFinite int32

const (
	// FP6LLM_STATUS_INVALID_VALUE, nothing written.
	NONFINITE_ERROR NonFinite = 0
	// Left out of amax; Inf saturates by sign, NaN becomes +max.
	NONFINITE_SATURATE NonFinite = 1
)

// PackedLayout: Published packed layouts that can be imported and exported.
type PackedLayout int32

const (
	// The original fp6_llm buffer: 2+4 (or 1+4) bit planes, 64x64.
	LAYOUT_TC_FPX PackedLayout = 1
	// ZeroQuant(4+2): a plane of first 4 bits, a plane of last 2.
	LAYOUT_SPLIT_4_2 PackedLayout = 2
)

// Activation: Activation function of an epilogue.
type Activation int32

const (
	ACTIVATION_NONE Activation = 0
	// max(v, 0).
	ACTIVATION_RELU Activation = 1
	// v * Phi(v), with erf.
	ACTIVATION_GELU Activation = 2
	// The tanh form of GELU.
	ACTIVATION_GELU_TANH Activation = 3
	// v / (1 + exp(-v)).
	ACTIVATION_SILU Activation = 4
)

// LogLevel: Severity of a log message.
type LogLevel int32

const (
	// A call failed; the same text as the error detail.
	LOG_ERROR LogLevel = 0
	// Worked, but not as well as it could.
	LOG_WARNING LogLevel = 1
	// Choices made: ISA, kernels, pool size.
	LOG_INFO LogLevel = 2
)

// The macro constants of the header.
const (
	// Raised by breaks of the ABI, with the SONAME.
	VERSION_MAJOR = 0
	// Raised by additions.
	VERSION_MINOR = 1
	// Raised by fixes.
	VERSION_PATCH = 0
	// 10000 * major + 100 * minor + patch, the value fp6llmGetVersion() reports.
	VERSION = 100
	// Alignment in bytes that fp6llmWeightPackBlob() and fp6llmWeightCreateView() ask of a blob.
	BLOB_ALIGNMENT = 64
	// `algo` value that leaves the choice of kernel to the library.
	ALGO_DEFAULT = -1
	// `scaleType` value: F32 for row and group scales, E8M0 for MX.
	SCALE_TYPE_DEFAULT = -1
)

// Handle: One thread of work at a time: backend, stream, workspace, thread pool, last error. It is C's, not Go's.
type Handle unsafe.Pointer

// Weight: An immutable quantized and prepacked matrix. It is C's, not Go's.
type Weight unsafe.Pointer

// Stream: `cudaStream_t` and `CUstream`. It is C's, not Go's.
type Stream unsafe.Pointer

// HandleConfig: What fp6llmCreateWithConfig() makes.
type HandleConfig struct {
	// sizeof(fp6llmHandleConfig_t)
	StructSize uint
	// ::fp6llmBackend_t
	Backend int32
	// Device ordinal; 0 for the CPU.
	Device int32
	// 1..256 CPU threads; 0 = min(OMP_NUM_THREADS if set, CPUs allowed).
	NumThreads int32
	// Must be 0.
	Reserved int32
}

// NewHandleConfig is what the header's initializer of the struct gives.
func NewHandleConfig() HandleConfig {
	var made HandleConfig
	if err := HandleConfigInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// DeviceInfo: A device as fp6llmGetDeviceInfo() describes it.
type DeviceInfo struct {
	// sizeof(fp6llmDeviceInfo_t)
	StructSize uint
	// ::fp6llmBackend_t: CPU or CUDA
	Backend int32
	// Device ordinal within the backend.
	Ordinal int32
	// Processor or GPU model name.
	Name [128]byte
	// CPU: kernels in use ("avx2"). CUDA: "sm_90".
	Isa [64]byte
	// CUDA only, else 0.
	ComputeCapabilityMajor int32
	// CUDA only, else 0.
	ComputeCapabilityMinor int32
	// SMs; on the CPU the number of CPUs this process may use.
	MultiprocessorCount int32
	// CUDA driver version, e.g. 13000; 0 on the CPU.
	DriverVersion int32
	// Bytes.
	TotalMemory uint64
	// Opt-in maximum in bytes; 0 on the CPU.
	SharedMemoryPerBlock uint64
	// L2 of a GPU, last-level cache of a CPU; 0 if unknown.
	L2CacheBytes uint64
}

// NewDeviceInfo is what the header's initializer of the struct gives.
func NewDeviceInfo() DeviceInfo {
	var made DeviceInfo
	if err := DeviceInfoInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// QuantConfig: How to quantize, and what given codes and scales mean.
type QuantConfig struct {
	// sizeof(fp6llmQuantConfig_t)
	StructSize uint
	// ::fp6llmDataType_t: E3M2, E2M3, E2M2, E3M1, E2M1 or AUTO.
	Format int32
	// ::fp6llmScaleMode_t
	ScaleMode int32
	// GROUP: multiple of 8 in 16..4096. MX: 32 or 0. ROW: ignored.
	GroupSize int32
	// R_32F, R_16F (row, group), R_8F_UE8M0 (MX), or -1 = default.
	ScaleType int32
	// ::fp6llmRounding_t
	Rounding int32
	// ::fp6llmMxScaleRule_t, for MX.
	MxScaleRule int32
	// ::fp6llmNonFinite_t
	NonFinite int32
	// 0 = amax scale; n in 1..64: also n smaller ones (MX: 1 or 2
	//                                  neighbouring exponents), the least squared error wins.
	ScaleSearch int32
	// 0, or the ::fp6llmComputeType_t that most products with a weight will ask
	//                                  for: its memory is laid out for that. Codes and scales stay the same,
	//                                  every compute type works and keeps its precision. Today it matters for
	//                                  32F_FAST_8I and the formats E2M3, E2M2 and E2M1 (row scales, MX, groups
	//                                  of a multiple of 32) on CPUs with AVX2 and no AVX-512: int8 products of
	//                                  few tokens get faster, others slower (docs/layouts.md, S8). Appended
	//                                  after ABI 0: see fp6llmQuantConfigInit().
	ComputeHint int32
	// Must be 0.
	Reserved int32
}

// NewQuantConfig is what the header's initializer of the struct gives.
func NewQuantConfig() QuantConfig {
	var made QuantConfig
	if err := QuantConfigInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// QuantStats: What quantization did. Errors are over the finite elements, against the input as fp32.
type QuantStats struct {
	// sizeof(fp6llmQuantStats_t)
	StructSize uint
	// ::fp6llmDataType_t in use; tells AUTO's choice.
	Format int32
	// 0
	Reserved int32
	// Mean of (w - dequantized)^2.
	Mse float64
	// Mean of w^2; SNR in dB is 10 log10(signal / mse).
	Signal float64
	// Largest |w - dequantized|.
	MaxAbsError float64
	// Elements with |w| / scale above the largest value of the format by more
	//                                than fp32 rounding; infinities count, NaN does not.
	Saturated int64
	// NaN and infinite inputs.
	NonFinite int64
}

// NewQuantStats is what the header's initializer of the struct gives.
func NewQuantStats() QuantStats {
	var made QuantStats
	if err := QuantStatsInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// WeightInfo: A weight object as fp6llmWeightGetInfo() describes it.
type WeightInfo struct {
	// sizeof(fp6llmWeightInfo_t)
	StructSize uint
	// Output channels (OC).
	Rows int64
	// Input channels (IC).
	Cols int64
	// ::fp6llmDataType_t; never AUTO.
	Format int32
	// ::fp6llmScaleMode_t
	ScaleMode int32
	// Columns per scale; 0 for ROW.
	GroupSize int32
	// Type of the scales that export gives back.
	ScaleType int32
	// ::fp6llmBackend_t: CPU or CUDA
	Backend int32
	// Device ordinal.
	Device int32
	// 1 when the memory is the caller's blob.
	IsView int32
	// ::fp6llmComputeType_t that its memory is laid out for; 0 = for all.
	ComputeHint int32
	// Bytes held on the device: packed codes, scales, padding, header.
	Bytes uint
	// Bytes of the plain codes that export writes.
	CodeBytes uint
	// Bytes of the scales that export writes.
	ScaleBytes uint
	// Name and version of the internal layout, e.g. "cpu-s16/1".
	Layout [32]byte
}

// NewWeightInfo is what the header's initializer of the struct gives.
func NewWeightInfo() WeightInfo {
	var made WeightInfo
	if err := WeightInfoInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// Epilogue: What follows the multiplication in fp6llmLinear(): Y = activation(X W^T + bias) + residual.
type Epilogue struct {
	// sizeof(fp6llmEpilogue_t)
	StructSize uint
	// [OC], or NULL.
	Bias unsafe.Pointer
	// R_16F, R_16BF or R_32F.
	BiasType int32
	// ::fp6llmActivation_t
	Activation int32
	// Row-major [tokens, OC], or NULL. May be Y itself.
	Residual unsafe.Pointer
	// R_16F, R_16BF or R_32F.
	ResidualType int32
	// ::fp6llmComputeType_t; 0 = FP6LLM_COMPUTE_32F.
	ComputeType int32
	// Elements between two rows of residual; >= OC.
	Ldr int64
}

// NewEpilogue is what the header's initializer of the struct gives.
func NewEpilogue() Epilogue {
	var made Epilogue
	if err := EpilogueInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}

// HeuristicResult: One way to run a multiplication, best first, from fp6llmGemmGetHeuristic().
type HeuristicResult struct {
	// sizeof(fp6llmHeuristicResult_t); only of element 0, for all.
	StructSize uint
	// Value to pass as `algo`.
	Algo int32
	// 1 for the slow fp64 oracle.
	IsReference int32
	// Bytes that fp6llmSetWorkspace() must provide for it.
	WorkspaceSize uint
	// Kernel name, e.g. "avx2_fp6_gemv_f32".
	Name [64]byte
}

// NewHeuristicResult is what the header's initializer of the struct gives.
func NewHeuristicResult() HeuristicResult {
	var made HeuristicResult
	if err := HeuristicResultInit(&made); err != nil {
		panic(err)
	}
	made.StructSize = uint(unsafe.Sizeof(made)) // Fields of later versions count, too.
	return made
}
