// The enumerations of the C ABI under names of Go's kind. Zero is the default of each, so that a config
// struct left empty means what the C initializer does.

package fp6llm

import (
	"fmt"

	"fp6llm/internal/capi"
)

// Backend is where work is done.
type Backend int32

const (
	AutoBackend = Backend(capi.BACKEND_AUTO) // CUDA when a usable device is present, else the CPU.
	CPU         = Backend(capi.BACKEND_CPU)
	CUDA        = Backend(capi.BACKEND_CUDA)
)

// String is "CPU", "CUDA" or "auto".
func (b Backend) String() string {
	switch b {
	case AutoBackend:
		return "auto"
	case CPU:
		return "CPU"
	case CUDA:
		return "CUDA"
	}
	return fmt.Sprintf("Backend(%d)", int32(b))
}

// Format is the number format of quantized weights. Values equal C's, but for zero, which is E3M2.
type Format int32

const (
	DefaultFormat = Format(0)              // E3M2.
	E3M2          = Format(capi.R_6F_E3M2) // 6 bits: largest 28, smallest subnormal 0.0625.
	E2M3          = Format(capi.R_6F_E2M3) // 6 bits: largest 7.5, smallest subnormal 0.125.
	E2M2          = Format(capi.R_5F_E2M2) // 5 bits: largest 7, smallest subnormal 0.25.
	E3M1          = Format(capi.R_5F_E3M1) // 5 bits: largest 24, smallest subnormal 0.125.
	E2M1          = Format(capi.R_4F_E2M1) // 4 bits: largest 6, smallest subnormal 0.5.
	AutoFormat    = Format(capi.R_6F_AUTO) // When quantizing: E3M2 or E2M3, whichever errs less.
)

// String is the format's name, "E3M2".
func (f Format) String() string {
	switch f {
	case DefaultFormat, E3M2:
		return "E3M2"
	case E2M3:
		return "E2M3"
	case E2M2:
		return "E2M2"
	case E3M1:
		return "E3M1"
	case E2M1:
		return "E2M1"
	case AutoFormat:
		return "auto"
	}
	return fmt.Sprintf("Format(%d)", int32(f))
}

// ScaleMode is how many weights share one scale.
type ScaleMode int32

const (
	RowScale   = ScaleMode(capi.SCALE_ROW)   // One scale per row.
	GroupScale = ScaleMode(capi.SCALE_GROUP) // One per GroupSize consecutive columns of a row.
	MXScale    = ScaleMode(capi.SCALE_MX)    // OCP MX: one power of two per 32 columns of a row.
)

// Rounding of a scaled weight to the nearest code.
type Rounding int32

const (
	NearestEven = Rounding(capi.ROUND_NEAREST_EVEN) // Ties to the even code.
	NearestAway = Rounding(capi.ROUND_NEAREST_AWAY) // Ties away from zero.
)

// MXScaleRule is how an MX group's exponent follows from its largest magnitude.
type MXScaleRule int32

const (
	MXFloor = MXScaleRule(capi.MX_SCALE_FLOOR) // floor(log2 amax) - emax, as OCP MX 1.0 has it; may clip.
	MXEven  = MXScaleRule(capi.MX_SCALE_EVEN)  // amax rounded to the element's mantissa, as AMD Quark does.
	MXRCeil = MXScaleRule(capi.MX_SCALE_RCEIL) // The smallest power of two that clips nothing.
)

// NonFinite is what NaN and infinity among the weights do.
type NonFinite int32

const (
	RefuseNonFinite   = NonFinite(capi.NONFINITE_ERROR)    // ErrInvalidValue, nothing written.
	SaturateNonFinite = NonFinite(capi.NONFINITE_SATURATE) // Inf becomes the largest value, NaN +largest.
)

// Layout is how codes lie in memory. The plain one is the one to store and to exchange.
type Layout int32

const (
	Plain   = Layout(0)                     // Each row an LSB-first bit stream, padded to a byte.
	TCFPX   = Layout(capi.LAYOUT_TC_FPX)    // The original fp6_llm buffer: bit planes of 64x64 tiles.
	Split42 = Layout(capi.LAYOUT_SPLIT_4_2) // ZeroQuant(4+2): a plane of first 4 bits, one of last 2.
)

// Activation is the function that Linear applies to each element.
type Activation int32

const (
	NoActivation = Activation(capi.ACTIVATION_NONE)
	ReLU         = Activation(capi.ACTIVATION_RELU)      // max(v, 0)
	GELU         = Activation(capi.ACTIVATION_GELU)      // v * Phi(v), with erf
	GELUTanh     = Activation(capi.ACTIVATION_GELU_TANH) // The tanh form of GELU.
	SiLU         = Activation(capi.ACTIVATION_SILU)      // v / (1 + exp(-v))
)

// Transpose says whether a factor of Gemm is used as it is stored.
type Transpose int32

const (
	NoTrans = Transpose(capi.OP_N) // As stored.
	Trans   = Transpose(capi.OP_T) // Transposed.
)

// ComputeType is how products are formed and summed. Zero is Compute32F. The others permit rounding
// activations, never weights, where that is faster; Algorithms names the kernel. Figures are of the
// error of y with Gaussian activations, relative, rms (fp6llm.h has those with outliers). Integers
// are per 128 columns, and a NaN or infinity then makes all of its token's outputs NaN.
type ComputeType int32

const (
	Compute32F         = ComputeType(capi.COMPUTE_32F)           // Exact products, fp32 sums.
	Compute32FFast16F  = ComputeType(capi.COMPUTE_32F_FAST_16F)  // May round activations to fp16.
	Compute32FFast16BF = ComputeType(capi.COMPUTE_32F_FAST_16BF) // May round activations to bf16 (1.7e-3).
	Compute32FFast8F   = ComputeType(capi.COMPUTE_32F_FAST_8F)   // FP8 activations: no backend has it yet.
	Compute32FFast8I   = ComputeType(capi.COMPUTE_32F_FAST_8I)   // May round activations to int8 (7e-3); CPU only.
	Compute32FFast16I  = ComputeType(capi.COMPUTE_32F_FAST_16I)  // May round activations to int16 (2.5e-5); CPU only.
)

func (c ComputeType) orDefault() capi.ComputeType {
	if c == 0 {
		return capi.COMPUTE_32F
	}
	return capi.ComputeType(c)
}

// LogLevel is the severity of a log message.
type LogLevel int32

const (
	LogError   = LogLevel(capi.LOG_ERROR)   // A call failed; the same text as its error's.
	LogWarning = LogLevel(capi.LOG_WARNING) // Worked, but not as well as it could.
	LogInfo    = LogLevel(capi.LOG_INFO)    // Choices made: ISA, kernels, pool size.
)

// String is "ERROR", "WARNING" or "INFO".
func (l LogLevel) String() string {
	switch l {
	case LogError:
		return "ERROR"
	case LogWarning:
		return "WARNING"
	case LogInfo:
		return "INFO"
	}
	return fmt.Sprintf("LogLevel(%d)", int32(l))
}
