//! Quantized, prepacked matrices.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::{null_mut, NonNull};
use std::sync::Arc;

use fp6llm_sys::*;

use crate::aligned::AlignedBytes;
use crate::config::size;
use crate::error::{call, enter, field_text};
use crate::memory::{Slice, SliceMut};
use crate::quantize::check_codes;
use crate::scales::{zeros, Scales, ScalesMut, ScalesRef};
use crate::{
    Backend, ComputeType, Element, Error, Format, Handle, Matrix, PackedLayout, QuantConfig,
    Quantized, QuantizedRef, Result, Scale, ScaleType,
};

/// A matrix `[rows, cols]` = `[OC, IC]`, quantized and prepacked for one backend and device.
///
/// Immutable: any number of threads and of handles of its backend and device may share it. It needs no
/// handle to live on.
///
/// ```
/// use fp6llm::{Backend, Handle, Matrix, MatrixMut, QuantConfig, Weight};
/// # fn main() -> fp6llm::Result<()> {
/// let handle = Handle::builder().backend(Backend::Cpu).build()?;
/// let w = [1.0, 2.0, 4.0, -4.0f32]; // [2, 2]
/// let weight = Weight::from_float(&handle, &QuantConfig::default(), Matrix::new(&w, 2, 2)?)?;
/// let mut y = [0f32; 2];
/// handle.linear(&weight, Matrix::new(&[3.0f32, 1.0], 1, 2)?).run(MatrixMut::new(&mut y, 1, 2)?)?;
/// assert!((y[0] - 5.0).abs() < 0.5 && (y[1] - 8.0).abs() < 0.5);
/// # Ok(())
/// # }
/// ```
pub struct Weight {
    raw: NonNull<fp6llmWeight>,
    rows: usize,
    cols: usize,
    // A view's blob: freed after the weight.
    _memory: Option<Arc<dyn Any + Send + Sync>>,
}

// SAFETY: the library's weights are immutable, shared between threads freely and freed from any.
unsafe impl Send for Weight {}
// SAFETY: as above.
unsafe impl Sync for Weight {}

/// What [`Weight::info`] tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeightInfo {
    /// Output channels.
    pub rows: usize,
    /// Input channels.
    pub cols: usize,
    /// The number format; never Auto.
    pub format: Format,
    /// How many weights share a scale.
    pub scale: Scale,
    /// The type of the scales that export gives back.
    pub scale_type: ScaleType,
    /// Where it can be multiplied with.
    pub backend: Backend,
    /// The ordinal of the device.
    pub device: u32,
    /// Whether the memory is a blob of the caller's.
    pub is_view: bool,
    /// What the memory is laid out for; None: for all, whatever hint the weight was made with.
    pub compute_hint: Option<ComputeType>,
    /// Bytes held on the device: packed codes, scales, padding, header.
    pub bytes: usize,
    /// Bytes of the plain codes.
    pub code_bytes: usize,
    /// Bytes of the scales.
    pub scale_bytes: usize,
    /// Name and version of the packed layout.
    pub layout: String,
}

impl Weight {
    /// Quantizes `w`, `[OC, IC]` in memory of the handle's backend, and prepacks it.
    ///
    /// # Errors
    /// As for [`Handle::quantize`].
    pub fn from_float<T: Element>(
        handle: &Handle,
        config: &QuantConfig,
        w: Matrix<'_, T>,
    ) -> Result<Self> {
        handle.accepts("W", w.slice.len, w.slice.place, &w.slice.guard)?;
        let config = config.raw()?;
        // SAFETY: the shape and the stride were checked against the slice.
        Self::make(None, |out| unsafe {
            fp6llmWeightCreate(
                handle.raw(),
                &config,
                w.rows as i64,
                w.cols as i64,
                w.slice.pointer.cast(),
                T::RAW,
                w.ld(),
                out,
            )
        })
    }

    /// Prepacks plain codes and scales; they are copied.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): codes or scales in memory that the backend
    /// cannot reach.
    ///
    /// ```
    /// use fp6llm::{Handle, QuantConfig, QuantizedRef, Weight};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// let (codes, scales) = ([0u8; 96 * 120], vec![1f32; 96]); // a checkpoint's tensors
    /// let checkpoint = QuantizedRef::new(&QuantConfig::default(), 96, 160, &codes, &scales)?;
    /// let weight = Weight::from_codes(&handle, checkpoint)?;
    /// assert_eq!(weight.export(&handle)?.codes(), codes);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_codes<'m>(handle: &Handle, quantized: impl Into<QuantizedRef<'m>>) -> Result<Self> {
        let from = quantized.into();
        handle.accepts_quantized(&from)?;
        let (config, (rows, cols)) = (from.config.raw()?, from.shape()?);
        // SAFETY: the lengths were checked where the view was made.
        Self::make(None, |out| unsafe {
            fp6llmWeightCreateFromCodes(
                handle.raw(),
                &config,
                rows,
                cols,
                from.codes.pointer.cast(),
                from.scales.pointer.cast(),
                out,
            )
        })
    }

    /// Prepacks a buffer in a published layout.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): a length is not what layout and shape take;
    /// [`Status::NotSupported`](crate::Status::NotSupported): a format or shape that the layout cannot hold.
    pub fn from_packed<'m>(
        handle: &Handle,
        layout: PackedLayout,
        config: &QuantConfig,
        (rows, cols): (usize, usize),
        packed: impl Into<Slice<'m, u8>>,
        scales: impl Into<ScalesRef<'m>>,
    ) -> Result<Self> {
        let packed = packed.into();
        let sizes = packed_sizes(layout, config, rows, cols)?;
        if packed.len != sizes.0 {
            return Err(Error::invalid(format!(
                "packed has {} bytes, {layout:?} takes {} for {rows} x {cols}",
                packed.len, sizes.0
            )));
        }
        let scales = scales
            .into()
            .checked(config.resolved_scale_type(), sizes.1)?;
        handle.accepts("packed", packed.len, packed.place, &packed.guard)?;
        handle.accepts("scales", scales.len, scales.place, &scales.guard)?;
        let (config, rows, cols) = (config.raw()?, size(rows)?, size(cols)?);
        // SAFETY: the lengths were checked.
        Self::make(None, |out| unsafe {
            fp6llmWeightCreateFromPacked(
                handle.raw(),
                layout.raw(),
                &config,
                rows,
                cols,
                packed.pointer.cast(),
                scales.pointer.cast(),
                out,
            )
        })
    }

    /// A weight over a blob, without a copy: cheap enough to make per call. CPU handles; on a GPU see
    /// [`Weight::from_blob_at`].
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): not a sound blob;
    /// [`Status::NotSupported`](crate::Status::NotSupported): one of another layout version;
    /// [`Status::ArchMismatch`](crate::Status::ArchMismatch): one of another backend.
    ///
    /// ```
    /// use fp6llm::{Blob, Handle, Matrix, QuantConfig, Weight};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// let w = [1f32; 16 * 32];
    /// let quantized = handle.quantize(&QuantConfig::default(), Matrix::new(&w, 16, 32)?)?;
    /// let blob = std::sync::Arc::new(Blob::pack(&handle, &quantized)?);
    /// let weight = Weight::from_blob(&handle, blob.clone())?;
    /// assert!(weight.info()?.is_view);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_blob(handle: &Handle, blob: Arc<Blob>) -> Result<Self> {
        let (address, bytes) = (blob.as_ptr(), blob.len());
        if handle.backend() != Backend::Cpu {
            return Err(Error::invalid(
                "blob is host memory, the handle's backend is CUDA",
            ));
        }
        // SAFETY: the blob is that long and aligned, does not change, and lives as long as the weight.
        unsafe { Self::from_blob_at(handle, address, bytes, Some(blob)) }
    }

    /// A weight over a blob at an address: a mapping, a framework's tensor, device memory. `owner` is kept
    /// as long as the weight.
    ///
    /// # Safety
    /// `bytes` bytes at `address`, in memory of the handle's backend, stay readable and unchanged as long
    /// as the weight lives.
    ///
    /// # Errors
    /// As for [`Weight::from_blob`]; also a misaligned address.
    pub unsafe fn from_blob_at(
        handle: &Handle,
        address: *const u8,
        bytes: usize,
        owner: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<Self> {
        // SAFETY: the caller's word.
        Self::make(owner, |out| unsafe {
            fp6llmWeightCreateView(handle.raw(), address.cast(), bytes, out)
        })
    }

    fn make(
        memory: Option<Arc<dyn Any + Send + Sync>>,
        create: impl FnOnce(*mut fp6llmWeight_t) -> fp6llmStatus_t,
    ) -> Result<Self> {
        let mut raw = null_mut();
        call(|| create(&mut raw))?;
        let mut weight = Weight {
            raw: NonNull::new(raw).ok_or_else(|| Error::invalid("the library made no weight"))?,
            rows: 0,
            cols: 0,
            _memory: memory,
        };
        let info = weight.raw_info()?;
        (weight.rows, weight.cols) = (info.rows as usize, info.cols as usize);
        Ok(weight)
    }

    /// The weight of the C ABI, for functions of `fp6llm_sys`; it stays this object's.
    #[inline]
    pub fn raw(&self) -> fp6llmWeight_t {
        self.raw.as_ptr()
    }

    /// Output channels.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input channels.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Describes the weight.
    ///
    /// # Errors
    /// [`Status::NotSupported`](crate::Status::NotSupported): something that only a newer version of this
    /// crate knows.
    pub fn info(&self) -> Result<WeightInfo> {
        let info = self.raw_info()?;
        let newer = || {
            Error::new(
                crate::Status::NotSupported,
                "a kind of weight newer than this crate",
            )
        };
        Ok(WeightInfo {
            rows: self.rows,
            cols: self.cols,
            format: Format::from_raw(info.format).ok_or_else(newer)?,
            scale: match info.scaleMode {
                FP6LLM_SCALE_ROW => Scale::Row,
                FP6LLM_SCALE_GROUP => Scale::Group(info.groupSize.unsigned_abs()),
                FP6LLM_SCALE_MX => Scale::Mx,
                _ => return Err(newer()),
            },
            scale_type: ScaleType::from_raw(info.scaleType).ok_or_else(newer)?,
            backend: Backend::from_raw(info.backend).ok_or_else(newer)?,
            device: info.device.unsigned_abs(),
            is_view: info.isView != 0,
            compute_hint: match info.computeHint {
                0 => None,
                hint => Some(ComputeType::from_raw(hint).ok_or_else(newer)?),
            },
            bytes: info.bytes,
            code_bytes: info.codeBytes,
            scale_bytes: info.scaleBytes,
            layout: field_text(&info.layout),
        })
    }

    fn raw_info(&self) -> Result<fp6llmWeightInfo_t> {
        enter()?;
        let mut info = fp6llmWeightInfo_t::default();
        // SAFETY: a live weight, a struct with its size set.
        call(|| unsafe { fp6llmWeightGetInfo(self.raw(), &mut info) })?;
        Ok(info)
    }

    /// The config that the weight's codes and scales have, and the hint that its memory is laid out for.
    ///
    /// # Errors
    /// As for [`Weight::info`].
    pub fn config(&self) -> Result<QuantConfig> {
        let info = self.info()?;
        let config = QuantConfig::new(info.format)
            .scale(info.scale)
            .scale_type(info.scale_type);
        Ok(info
            .compute_hint
            .map_or(config, |hint| config.compute_hint(hint)))
    }

    /// Gives back the plain codes and scales, bit for bit, to host memory. CPU handles; on a GPU see
    /// [`Weight::export_into`].
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): the handle has another backend or device.
    pub fn export(&self, handle: &Handle) -> Result<Quantized> {
        let mut quantized = Quantized::zeros(&self.config()?, self.rows, self.cols)?;
        let (codes, scales) = quantized.parts_mut();
        self.export_into(handle, codes, scales)?;
        Ok(quantized)
    }

    /// As [`Weight::export`], into given memory of the host or of the handle's device.
    ///
    /// # Errors
    /// As for [`Weight::export`], and a wrong length.
    pub fn export_into<'m>(
        &self,
        handle: &Handle,
        codes: impl Into<SliceMut<'m, u8>>,
        scales: impl Into<ScalesMut<'m>>,
    ) -> Result<()> {
        let (config, codes) = (self.config()?, codes.into());
        let sizes = config.sizes(self.rows, self.cols)?;
        check_codes(codes.len, sizes.code_bytes)?;
        let scales = scales
            .into()
            .checked(config.resolved_scale_type(), sizes.scale_bytes)?;
        handle.accepts("codes", codes.len, codes.place, &codes.guard)?;
        handle.accepts("scales", scales.len, scales.place, &scales.guard)?;
        // SAFETY: the lengths were checked.
        call(|| unsafe {
            fp6llmWeightExportCodes(
                handle.raw(),
                self.raw(),
                codes.pointer.cast(),
                scales.pointer.cast(),
            )
        })
    }

    /// The weight in a published layout: the packed bytes and the scales. CPU handles.
    ///
    /// # Errors
    /// [`Status::NotSupported`](crate::Status::NotSupported): a format or shape that the layout cannot hold;
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): a handle of another backend.
    pub fn export_packed(
        &self,
        handle: &Handle,
        layout: PackedLayout,
    ) -> Result<(Vec<u8>, Scales)> {
        let config = self.config()?;
        let (bytes, scale_bytes) = packed_sizes(layout, &config, self.rows, self.cols)?;
        let mut packed: Vec<u8> = zeros(bytes)?;
        let mut scales = Scales::zeros(config.resolved_scale_type(), scale_bytes)?;
        {
            let target = scales
                .view_mut()
                .checked(config.resolved_scale_type(), scale_bytes)?;
            let out = SliceMut::from(&mut packed);
            handle.accepts("packed", out.len, out.place, &out.guard)?;
            // SAFETY: buffers of the sizes that the library asked for.
            call(|| unsafe {
                fp6llmWeightExportPacked(
                    handle.raw(),
                    self.raw(),
                    layout.raw(),
                    out.pointer.cast(),
                    target.pointer.cast(),
                )
            })?;
        }
        Ok((packed, scales))
    }
}

/// Bytes of the packed codes and of the scales.
fn packed_sizes(
    layout: PackedLayout,
    config: &QuantConfig,
    rows: usize,
    cols: usize,
) -> Result<(usize, usize)> {
    let (config, rows, cols) = (config.raw()?, size(rows)?, size(cols)?);
    let (mut packed, mut scales) = (0, 0);
    // SAFETY: pointers to locals.
    call(|| unsafe {
        fp6llmPackedGetSizes(layout.raw(), &config, rows, cols, &mut packed, &mut scales)
    })?;
    Ok((packed, scales))
}

impl Drop for Weight {
    fn drop(&mut self) {
        // SAFETY: the weight is not used again. It is the library's own, so this cannot fail.
        unsafe { fp6llmWeightDestroy(self.raw()) };
    }
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weight")
            .field("rows", &self.rows)
            .field("cols", &self.cols)
            .finish_non_exhaustive()
    }
}

/// A prepacked weight as bytes in host memory, to keep in a cache or share between processes. It belongs to
/// one layout version and kind of processor: store plain codes instead.
#[derive(Debug)]
pub struct Blob(AlignedBytes);

impl Blob {
    /// Prepacks plain codes and scales.
    ///
    /// # Errors
    /// As for [`Weight::from_codes`].
    pub fn pack<'m>(handle: &Handle, quantized: impl Into<QuantizedRef<'m>>) -> Result<Self> {
        let from = quantized.into();
        handle.accepts_quantized(&from)?;
        let (config, (rows, cols)) = (from.config.raw()?, from.shape()?);
        let mut bytes = 0;
        // SAFETY: pointers to locals.
        call(|| unsafe { fp6llmWeightGetBlobSize(handle.raw(), &config, rows, cols, &mut bytes) })?;
        let mut blob = AlignedBytes::zeros(bytes)?;
        {
            let target = SliceMut::from(&mut *blob);
            handle.accepts("blob", target.len, target.place, &target.guard)?;
            // SAFETY: a buffer of the size that the library asked for, checked codes and scales.
            call(|| unsafe {
                fp6llmWeightPackBlob(
                    handle.raw(),
                    &config,
                    rows,
                    cols,
                    from.codes.pointer.cast(),
                    from.scales.pointer.cast(),
                    target.pointer.cast(),
                    bytes,
                )
            })?;
        }
        Ok(Blob(blob))
    }

    /// A copy of a blob's bytes. They are checked when a weight is made of them.
    ///
    /// # Errors
    /// [`Status::AllocFailed`](crate::Status::AllocFailed): no memory.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut blob = AlignedBytes::zeros(bytes.len())?;
        blob.copy_from_slice(bytes);
        Ok(Blob(blob))
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
