//! The enums of the ABI, and the element types of matrices.

use fp6llm_sys::*;

/// Makes an enum of values of the ABI, with `raw()` and `from_raw()`.
macro_rules! abi_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        #[allow(dead_code)]
        impl $name {
            pub(crate) const fn raw(self) -> i32 {
                match self { $($name::$variant => $value,)* }
            }

            pub(crate) fn from_raw(raw: i32) -> Option<Self> {
                match raw { $($value => Some($name::$variant),)* _ => None }
            }
        }
    };
}

abi_enum! {
    /// Where work is done.
    Backend {
        /// CUDA when a usable device is present, else the CPU.
        Auto = FP6LLM_BACKEND_AUTO,
        /// The processor.
        Cpu = FP6LLM_BACKEND_CPU,
        /// An NVIDIA GPU.
        Cuda = FP6LLM_BACKEND_CUDA,
    }
}

abi_enum! {
    /// The number format of codes.
    Format {
        /// 6 bits: bias 3, largest 28, smallest 0.0625. The papers' format.
        E3M2 = FP6LLM_R_6F_E3M2,
        /// 6 bits: bias 1, largest 7.5, smallest 0.125.
        E2M3 = FP6LLM_R_6F_E2M3,
        /// 5 bits: bias 1, largest 7, smallest 0.25.
        E2M2 = FP6LLM_R_5F_E2M2,
        /// 5 bits: bias 3, largest 24, smallest 0.125.
        E3M1 = FP6LLM_R_5F_E3M1,
        /// 4 bits: bias 1, largest 6, smallest 0.5.
        E2M1 = FP6LLM_R_4F_E2M1,
        /// To quantize to: E3M2 or E2M3, whichever errs less.
        Auto = FP6LLM_R_6F_AUTO,
    }
}

abi_enum! {
    /// The type of scales.
    ScaleType {
        /// IEEE binary32; row and group scales.
        F32 = FP6LLM_R_32F,
        /// IEEE binary16; row and group scales.
        F16 = FP6LLM_R_16F,
        /// A power of two, 2^(byte - 127); MX scales.
        E8M0 = FP6LLM_R_8F_UE8M0,
    }
}

abi_enum! {
    /// Rounding of a scaled weight to the nearest code.
    Rounding {
        /// Ties to the even code.
        NearestEven = FP6LLM_ROUND_NEAREST_EVEN,
        /// Ties away from zero, as the papers' quantizer did.
        NearestAway = FP6LLM_ROUND_NEAREST_AWAY,
    }
}

abi_enum! {
    /// How the exponent of an MX scale follows from the largest magnitude of its 32 columns.
    MxScaleRule {
        /// OCP MX 1.0 section 6.3; may clip.
        Floor = FP6LLM_MX_SCALE_FLOOR,
        /// AMD Quark's default.
        Even = FP6LLM_MX_SCALE_EVEN,
        /// The smallest power of two that clips nothing.
        RoundUp = FP6LLM_MX_SCALE_RCEIL,
    }
}

abi_enum! {
    /// A published packed layout, to import and export.
    PackedLayout {
        /// The original fp6_llm buffer; rows and columns are multiples of 64.
        TcFpx = FP6LLM_LAYOUT_TC_FPX,
        /// ZeroQuant(4+2): a plane of first 4 bits, a plane of last 2.
        Split42 = FP6LLM_LAYOUT_SPLIT_4_2,
    }
}

abi_enum! {
    /// The activation function of a linear layer.
    Activation {
        /// None.
        None = FP6LLM_ACTIVATION_NONE,
        /// max(v, 0).
        Relu = FP6LLM_ACTIVATION_RELU,
        /// v * Phi(v), with erf.
        Gelu = FP6LLM_ACTIVATION_GELU,
        /// The tanh form of GELU.
        GeluTanh = FP6LLM_ACTIVATION_GELU_TANH,
        /// v / (1 + exp(-v)).
        Silu = FP6LLM_ACTIVATION_SILU,
    }
}

abi_enum! {
    /// How products are formed and summed.
    ///
    /// All but `F32` permit rounding activations, never weights, where that is faster. Figures are of
    /// the error of y with Gaussian activations, relative, rms ([`fp6llm_sys::fp6llmComputeType_t`]
    /// has those with outliers). Integers are per 128 columns, and a NaN or infinity then makes all
    /// of its token's outputs NaN.
    ComputeType {
        /// Exact products, fp32 sums.
        F32 = FP6LLM_COMPUTE_32F,
        /// May round activations to fp16.
        F32Fast16F = FP6LLM_COMPUTE_32F_FAST_16F,
        /// May round activations to bf16 (1.7e-3).
        F32Fast16BF = FP6LLM_COMPUTE_32F_FAST_16BF,
        /// FP8 activations: no backend has it yet.
        F32Fast8F = FP6LLM_COMPUTE_32F_FAST_8F,
        /// May round activations to int8 (7e-3); CPU only.
        F32Fast8I = FP6LLM_COMPUTE_32F_FAST_8I,
        /// May round activations to int16: near exact (2.5e-5); CPU only.
        F32Fast16I = FP6LLM_COMPUTE_32F_FAST_16I,
    }
}

abi_enum! {
    /// Whether a matrix is used as it is or transposed, in cuBLAS's sense.
    Operation {
        /// As stored.
        N = FP6LLM_OP_N,
        /// Transposed.
        T = FP6LLM_OP_T,
    }
}

abi_enum! {
    /// Severity of a log message.
    LogLevel {
        /// A call failed.
        Error = FP6LLM_LOG_ERROR,
        /// Worked, but not as well as it could.
        Warning = FP6LLM_LOG_WARNING,
        /// Choices made: instruction set, kernels, pool size.
        Info = FP6LLM_LOG_INFO,
    }
}

/// How many weights share one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// One scale per row.
    Row,
    /// One per that many consecutive columns of a row: a multiple of 8 in 16..=4096.
    Group(u32),
    /// OCP MX: one power of two per 32 columns of a row.
    Mx,
}

mod sealed {
    pub trait Sealed {}
}

/// An element type of activations, outputs and unquantized weights: `f32`, with the feature `half` also
/// `half::f16` and `half::bf16`.
pub trait Element: sealed::Sealed + Copy + 'static {
    #[doc(hidden)]
    const RAW: fp6llmDataType_t;
}

macro_rules! element {
    ($type:ty, $raw:ident) => {
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const RAW: fp6llmDataType_t = $raw;
        }
    };
}
element!(f32, FP6LLM_R_32F);
#[cfg(feature = "half")]
element!(half::f16, FP6LLM_R_16F);
#[cfg(feature = "half")]
element!(half::bf16, FP6LLM_R_16BF);
