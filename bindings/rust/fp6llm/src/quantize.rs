//! From floats to plain codes and scales, and back.

use fp6llm_sys::*;

use crate::config::size;
use crate::error::{call, enter};
use crate::memory::{Guard, Place, Slice, SliceMut};
use crate::scales::{zeros, Scales, ScalesMut, ScalesRef};
use crate::{Element, Error, Format, Handle, Matrix, MatrixMut, QuantConfig, Result};

/// A quantized matrix in host memory, in the plain format: the one to store and exchange.
///
/// Codes are row-major; each row is a bit stream, least significant bit first, padded to a byte.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    config: QuantConfig,
    rows: usize,
    cols: usize,
    codes: Vec<u8>,
    scales: Scales,
}

impl Quantized {
    /// A matrix of given codes and scales, from a checkpoint for instance.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): the format is Auto, or a length or the scales'
    /// type is not what the config and the shape say.
    pub fn from_parts(
        config: &QuantConfig,
        rows: usize,
        cols: usize,
        codes: Vec<u8>,
        scales: Scales,
    ) -> Result<Self> {
        QuantizedRef::new(config, rows, cols, &codes, scales.view())?;
        Ok(Quantized {
            config: *config,
            rows,
            cols,
            codes,
            scales,
        })
    }

    /// Zeros of the right lengths.
    pub(crate) fn zeros(config: &QuantConfig, rows: usize, cols: usize) -> Result<Self> {
        let sizes = config.sizes(rows, cols)?;
        Ok(Quantized {
            config: *config,
            rows,
            cols,
            codes: zeros(sizes.code_bytes)?,
            scales: Scales::zeros(config.resolved_scale_type(), sizes.scale_bytes)?,
        })
    }

    pub(crate) fn parts_mut(&mut self) -> (&mut [u8], ScalesMut<'_>) {
        (&mut self.codes, self.scales.view_mut())
    }

    /// What the codes and scales mean. The format is never Auto: it is the one that was chosen.
    pub fn config(&self) -> &QuantConfig {
        &self.config
    }

    /// Output channels.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input channels.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The plain codes: `rows * ceil(cols * bits / 8)` bytes.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The scales.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// Codes and scales.
    pub fn into_parts(self) -> (Vec<u8>, Scales) {
        (self.codes, self.scales)
    }
}

/// Plain codes and scales in the caller's memory; `&Quantized` converts.
#[derive(Debug)]
pub struct QuantizedRef<'a> {
    pub(crate) config: QuantConfig,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) codes: Slice<'a, u8>,
    pub(crate) scales: Slice<'a, u8>,
}

impl<'a> QuantizedRef<'a> {
    /// A view of codes and scales.
    ///
    /// # Errors
    /// As for [`Quantized::from_parts`].
    pub fn new(
        config: &QuantConfig,
        rows: usize,
        cols: usize,
        codes: impl Into<Slice<'a, u8>>,
        scales: impl Into<ScalesRef<'a>>,
    ) -> Result<Self> {
        if config.format == Format::Auto {
            return Err(Error::invalid(
                "format = Auto: codes have a format of their own",
            ));
        }
        let codes = codes.into();
        let sizes = config.sizes(rows, cols)?;
        check_codes(codes.len, sizes.code_bytes)?;
        let scales = scales
            .into()
            .checked(config.resolved_scale_type(), sizes.scale_bytes)?;
        Ok(QuantizedRef {
            config: *config,
            rows,
            cols,
            codes,
            scales,
        })
    }

    /// The sizes as the C ABI takes them.
    pub(crate) fn shape(&self) -> Result<(i64, i64)> {
        Ok((size(self.rows)?, size(self.cols)?))
    }
}

impl<'a> From<&'a Quantized> for QuantizedRef<'a> {
    fn from(quantized: &'a Quantized) -> Self {
        let (pointer, len) = match &quantized.scales {
            Scales::F32(s) => (s.as_ptr().cast(), s.len()),
            Scales::F16(s) => (s.as_ptr().cast(), s.len()),
            Scales::E8M0(s) => (s.as_ptr(), s.len()),
        };
        QuantizedRef {
            config: quantized.config,
            rows: quantized.rows,
            cols: quantized.cols,
            codes: quantized.codes.as_slice().into(),
            scales: Slice::at(pointer, len, Place::Host, Guard::default()),
        }
    }
}

pub(crate) fn check_codes(len: usize, needed: usize) -> Result<()> {
    if len == needed {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "codes has {len} bytes, the shape and format take {needed}"
    )))
}

/// What quantization did. Errors are over the finite elements, against the input as fp32.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantStats {
    /// The format in use; tells Auto's choice.
    pub format: Format,
    /// Mean of (w - dequantized)^2.
    pub mse: f64,
    /// Mean of w^2.
    pub signal: f64,
    /// Largest |w - dequantized|.
    pub max_abs_error: f64,
    /// Elements beyond the largest value of the format.
    pub saturated: u64,
    /// NaN and infinite inputs.
    pub non_finite: u64,
}

impl QuantStats {
    /// Signal to noise in dB.
    pub fn snr_db(&self) -> f64 {
        10.0 * (self.signal / self.mse).log10()
    }

    fn from_raw(raw: &fp6llmQuantStats_t) -> Self {
        QuantStats {
            format: Format::from_raw(raw.format).unwrap_or(Format::Auto),
            mse: raw.mse,
            signal: raw.signal,
            max_abs_error: raw.maxAbsError,
            saturated: raw.saturated.unsigned_abs(),
            non_finite: raw.nonFinite.unsigned_abs(),
        }
    }
}

impl Handle {
    /// Quantizes `w`, `[rows, cols]` in host memory, to plain codes and scales. CPU handles only; on a GPU
    /// see [`Handle::quantize_into`].
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): a field of the config out of range, NaN or
    /// infinity in `w` unless the config saturates them.
    ///
    /// ```
    /// use fp6llm::{Handle, Matrix, QuantConfig, Scales};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// let w = [28.0, -14.0, 0.5, 0.0]; // the largest magnitude becomes 28, so the scale is 1
    /// let quantized = handle.quantize(&QuantConfig::default(), Matrix::new(&w, 1, 4)?)?;
    /// assert_eq!(quantized.codes().len(), 3); // four codes of 6 bits
    /// assert_eq!(quantized.scales(), &Scales::F32(vec![1.0]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn quantize<T: Element>(
        &self,
        config: &QuantConfig,
        w: Matrix<'_, T>,
    ) -> Result<Quantized> {
        let mut quantized = Quantized::zeros(config, w.rows, w.cols)?;
        let (codes, scales) = quantized.parts_mut();
        if config.format == Format::Auto {
            let stats = self.quantize_with_stats_into(config, w, codes, scales)?;
            quantized.config.format = stats.format;
        } else {
            self.quantize_into(config, w, codes, scales)?;
        }
        Ok(quantized)
    }

    /// As [`Handle::quantize`], and tells how exact the codes are.
    ///
    /// # Errors
    /// As for [`Handle::quantize`].
    pub fn quantize_with_stats<T: Element>(
        &self,
        config: &QuantConfig,
        w: Matrix<'_, T>,
    ) -> Result<(Quantized, QuantStats)> {
        let mut quantized = Quantized::zeros(config, w.rows, w.cols)?;
        let (codes, scales) = quantized.parts_mut();
        let stats = self.quantize_with_stats_into(config, w, codes, scales)?;
        quantized.config.format = stats.format;
        Ok((quantized, stats))
    }

    /// Quantizes into given memory, of the host or of the handle's device; with the format Auto use
    /// [`Handle::quantize_with_stats_into`], which tells the choice.
    ///
    /// # Errors
    /// As for [`Handle::quantize`], and where `codes` or `scales` has another length than
    /// [`QuantConfig::sizes`] says.
    pub fn quantize_into<'m, T: Element>(
        &self,
        config: &QuantConfig,
        w: Matrix<'_, T>,
        codes: impl Into<SliceMut<'m, u8>>,
        scales: impl Into<ScalesMut<'m>>,
    ) -> Result<()> {
        self.quantize_raw(config, w, codes.into(), scales.into(), std::ptr::null_mut())
    }

    /// As [`Handle::quantize_into`], and tells how exact the codes are; on a GPU it waits for the stream.
    ///
    /// # Errors
    /// As for [`Handle::quantize_into`].
    pub fn quantize_with_stats_into<'m, T: Element>(
        &self,
        config: &QuantConfig,
        w: Matrix<'_, T>,
        codes: impl Into<SliceMut<'m, u8>>,
        scales: impl Into<ScalesMut<'m>>,
    ) -> Result<QuantStats> {
        enter()?;
        let mut stats = fp6llmQuantStats_t::default();
        self.quantize_raw(config, w, codes.into(), scales.into(), &mut stats)?;
        Ok(QuantStats::from_raw(&stats))
    }

    fn quantize_raw<T: Element>(
        &self,
        config: &QuantConfig,
        w: Matrix<'_, T>,
        codes: SliceMut<'_, u8>,
        scales: ScalesMut<'_>,
        stats: *mut fp6llmQuantStats_t,
    ) -> Result<()> {
        let sizes = config.sizes(w.rows, w.cols)?;
        check_codes(codes.len, sizes.code_bytes)?;
        let scales = scales.checked(config.resolved_scale_type(), sizes.scale_bytes)?;
        self.accepts("W", w.slice.len, w.slice.place, &w.slice.guard)?;
        self.accepts("codes", codes.len, codes.place, &codes.guard)?;
        self.accepts("scales", scales.len, scales.place, &scales.guard)?;
        let raw = config.raw()?;
        // SAFETY: the shape, the stride and the lengths were checked; `stats` is NULL or a struct.
        call(|| unsafe {
            fp6llmQuantize(
                self.raw(),
                &raw,
                w.rows as i64,
                w.cols as i64,
                w.slice.pointer.cast(),
                T::RAW,
                w.ld(),
                codes.pointer.cast(),
                scales.pointer.cast(),
                stats,
            )
        })
    }

    /// Writes the matrix that codes and scales stand for, rounded once to `T`.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): `w` has another shape.
    ///
    /// ```
    /// use fp6llm::{Handle, Matrix, MatrixMut, QuantConfig};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// let w = [28.0, -14.0, 0.5, 0.0];
    /// let quantized = handle.quantize(&QuantConfig::default(), Matrix::new(&w, 1, 4)?)?;
    /// let mut back = [0f32; 4];
    /// handle.dequantize(&quantized, MatrixMut::new(&mut back, 1, 4)?)?;
    /// assert_eq!(back, w); // E3M2 holds all four
    /// # Ok(())
    /// # }
    /// ```
    pub fn dequantize<'m, T: Element>(
        &self,
        quantized: impl Into<QuantizedRef<'m>>,
        w: MatrixMut<'_, T>,
    ) -> Result<()> {
        let from = quantized.into();
        if (w.rows, w.cols) != (from.rows, from.cols) {
            return Err(Error::invalid(format!(
                "W is {} x {}, the codes {} x {}",
                w.rows, w.cols, from.rows, from.cols
            )));
        }
        self.accepts("W", w.slice.len, w.slice.place, &w.slice.guard)?;
        self.accepts_quantized(&from)?;
        let (raw, (rows, cols)) = (from.config.raw()?, from.shape()?);
        // SAFETY: the shapes, the stride and the lengths were checked.
        call(|| unsafe {
            fp6llmDequantize(
                self.raw(),
                &raw,
                rows,
                cols,
                from.codes.pointer.cast(),
                from.scales.pointer.cast(),
                w.slice.pointer.cast(),
                T::RAW,
                w.ld(),
            )
        })
    }

    pub(crate) fn accepts_quantized(&self, quantized: &QuantizedRef<'_>) -> Result<()> {
        let (codes, scales) = (&quantized.codes, &quantized.scales);
        self.accepts("codes", codes.len, codes.place, &codes.guard)?;
        self.accepts("scales", scales.len, scales.place, &scales.guard)
    }
}
