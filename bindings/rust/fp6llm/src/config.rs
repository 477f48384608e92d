//! How to quantize, and what given codes and scales mean.

use fp6llm_sys::*;

use crate::error::call;
use crate::{ComputeType, Error, Format, MxScaleRule, Result, Rounding, Scale, ScaleType};

/// How to quantize, and what given codes and scales mean. The default: E3M2, one fp32 scale per row, ties
/// to even, NaN and infinity are errors.
///
/// ```
/// use fp6llm::{Format, QuantConfig, Scale};
/// # fn main() -> fp6llm::Result<()> {
/// let config = QuantConfig::new(Format::E2M3).scale(Scale::Group(128));
/// let sizes = config.sizes(96, 160)?; // 160 columns: 120 bytes of codes, 2 scales of 4 bytes
/// assert_eq!((sizes.code_bytes, sizes.scale_bytes), (96 * 120, 96 * 2 * 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantConfig {
    pub(crate) format: Format,
    pub(crate) scale: Scale,
    pub(crate) scale_type: Option<ScaleType>,
    rounding: Rounding,
    mx_scale_rule: MxScaleRule,
    saturate_non_finite: bool,
    scale_search: u32,
    compute_hint: Option<ComputeType>,
}

/// Bytes of the plain codes and scales of a matrix, from [`QuantConfig::sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `rows * ceil(cols * bits / 8)`.
    pub code_bytes: usize,
    /// All scales.
    pub scale_bytes: usize,
}

impl Default for QuantConfig {
    fn default() -> Self {
        QuantConfig {
            format: Format::E3M2,
            scale: Scale::Row,
            scale_type: None,
            rounding: Rounding::NearestEven,
            mx_scale_rule: MxScaleRule::Floor,
            saturate_non_finite: false,
            scale_search: 0,
            compute_hint: None,
        }
    }
}

impl QuantConfig {
    /// A format, and the default for the rest.
    pub fn new(format: Format) -> Self {
        Self::default().format(format)
    }

    /// The number format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// How many weights share a scale.
    #[must_use]
    pub fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// The type of the scales: F32 or F16; always E8M0 for MX.
    #[must_use]
    pub fn scale_type(mut self, scale_type: ScaleType) -> Self {
        self.scale_type = Some(scale_type);
        self
    }

    /// What happens to ties.
    #[must_use]
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.rounding = rounding;
        self
    }

    /// How MX scales are chosen.
    #[must_use]
    pub fn mx_scale_rule(mut self, rule: MxScaleRule) -> Self {
        self.mx_scale_rule = rule;
        self
    }

    /// Takes NaN and infinity for the largest values of the format instead of answering with an error.
    #[must_use]
    pub fn saturate_non_finite(mut self, saturate: bool) -> Self {
        self.saturate_non_finite = saturate;
        self
    }

    /// Tries that many smaller scales, 0..=64, too; the least squared error wins.
    #[must_use]
    pub fn scale_search(mut self, candidates: u32) -> Self {
        self.scale_search = candidates;
        self
    }

    /// What most products with a weight will ask for: its memory is laid out for that. Codes and scales stay
    /// the same, and every compute type works. [`Weight::export`](crate::Weight::export) gives back what the
    /// memory is laid out for.
    ///
    /// Today it matters for [`ComputeType::F32Fast8I`] and E2M3, E2M2 and E2M1 (row scales, MX, groups of a
    /// multiple of 32) on CPUs with AVX2 and no AVX-512: int8 products of few tokens get faster, others slower.
    #[must_use]
    pub fn compute_hint(mut self, compute: ComputeType) -> Self {
        self.compute_hint = Some(compute);
        self
    }

    /// Bytes of the plain codes and scales of a `[rows, cols]` matrix.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): a field out of range, sizes that overflow.
    pub fn sizes(&self, rows: usize, cols: usize) -> Result<Sizes> {
        let raw = self.raw()?;
        let (mut code_bytes, mut scale_bytes) = (0, 0);
        let (rows, cols) = (size(rows)?, size(cols)?);
        // SAFETY: pointers to locals.
        call(|| unsafe {
            fp6llmQuantGetSizes(&raw, rows, cols, &mut code_bytes, &mut scale_bytes)
        })?;
        Ok(Sizes {
            code_bytes,
            scale_bytes,
        })
    }

    /// The scales' type, the default's included.
    pub(crate) fn resolved_scale_type(&self) -> ScaleType {
        let default = match self.scale {
            Scale::Mx => ScaleType::E8M0,
            _ => ScaleType::F32,
        };
        self.scale_type.unwrap_or(default)
    }

    pub(crate) fn raw(&self) -> Result<fp6llmQuantConfig_t> {
        let (mode, group) = match self.scale {
            Scale::Row => (FP6LLM_SCALE_ROW, 0),
            Scale::Group(columns) => (FP6LLM_SCALE_GROUP, columns),
            Scale::Mx => (FP6LLM_SCALE_MX, 0),
        };
        let narrow = |name: &str, value: u32| {
            i32::try_from(value)
                .map_err(|_| Error::invalid(format!("{name} = {value} is too large")))
        };
        Ok(fp6llmQuantConfig_t {
            structSize: size_of::<fp6llmQuantConfig_t>(),
            format: self.format.raw(),
            scaleMode: mode,
            groupSize: narrow("group", group)?,
            scaleType: self
                .scale_type
                .map_or(FP6LLM_SCALE_TYPE_DEFAULT, ScaleType::raw),
            rounding: self.rounding.raw(),
            mxScaleRule: self.mx_scale_rule.raw(),
            nonFinite: if self.saturate_non_finite {
                FP6LLM_NONFINITE_SATURATE
            } else {
                FP6LLM_NONFINITE_ERROR
            },
            scaleSearch: narrow("scale_search", self.scale_search)?,
            computeHint: self.compute_hint.map_or(0, ComputeType::raw),
            reserved: 0,
        })
    }
}

/// A size as the C ABI takes it.
pub(crate) fn size(value: usize) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::invalid(format!("a size of {value} is too large")))
}
