//! cudarc's streams and slices: a handle that works on a `CudaStream`, views of `CudaSlice` and its like
//! that order work on other streams with events, as cudarc does.

use std::sync::Arc;

use cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut};

use crate::memory::{Guard, Place};
use crate::{Backend, Element, Error, Handle, HandleBuilder, Result, Slice, SliceMut};

/// What a device slice may hold: elements, codes and scales.
pub trait DeviceElement: Copy + 'static {}
impl<T: Element> DeviceElement for T {}
impl DeviceElement for u8 {}
impl DeviceElement for u16 {}

impl HandleBuilder {
    /// A CUDA handle on the stream's device that enqueues on the stream and keeps it alive.
    pub fn stream(self, stream: &Arc<CudaStream>) -> Self {
        let ordinal = stream.context().ordinal();
        let mut builder = self
            .backend(Backend::Cuda)
            .device(u32::try_from(ordinal).unwrap_or(u32::MAX));
        builder.stream = Some(stream.clone());
        builder
    }
}

fn id(stream: &CudaStream) -> usize {
    stream.cu_stream() as usize
}

impl Handle {
    pub(crate) fn use_own_stream(&self) -> Result<()> {
        let Some(stream) = &self.stream else {
            return Ok(());
        };
        // SAFETY: a stream of the handle's device, which the handle keeps.
        unsafe { self.set_stream(stream.cu_stream().cast()) }
    }

    fn own_stream(&self) -> Result<&CudaStream> {
        self.stream.as_deref().ok_or_else(|| {
            Error::invalid(
                "the handle was not made with HandleBuilder::stream(), which device slices need",
            )
        })
    }

    /// A `CudaSlice` or `CudaView` to read. The handle's stream waits for earlier writes, and later ones wait
    /// for what reads it.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): the handle was made without a stream of
    /// cudarc, or the slice is of another device.
    pub fn device_slice<'a, T: DeviceElement>(
        &'a self,
        source: &'a impl DevicePtr<T>,
    ) -> Result<Slice<'a, T>> {
        let stream = self.own_stream()?;
        same_device(stream, source.stream())?;
        let len = source.len();
        let (address, sync) = source.device_ptr(stream);
        let guard = Guard::of_stream(sync, id(stream));
        Ok(Slice::at(address as *const T, len, Place::Device, guard))
    }

    /// A `CudaSlice` or `CudaViewMut` to write.
    ///
    /// # Errors
    /// As for [`Handle::device_slice`].
    pub fn device_slice_mut<'a, T: DeviceElement>(
        &'a self,
        target: &'a mut impl DevicePtrMut<T>,
    ) -> Result<SliceMut<'a, T>> {
        let stream = self.own_stream()?;
        same_device(stream, target.stream())?;
        let len = target.len();
        let (address, sync) = target.device_ptr_mut(stream);
        let guard = Guard::of_stream(sync, id(stream));
        Ok(SliceMut::at(address as *mut T, len, Place::Device, guard))
    }

    /// Refuses a slice whose events are of another stream than the handle's.
    pub(crate) fn accepts_stream(&self, name: &str, guard: &Guard<'_>) -> Result<()> {
        match (guard.stream, self.stream.as_deref().map(id)) {
            (None, _) => Ok(()),
            (Some(of_slice), Some(own)) if of_slice == own => Ok(()),
            _ => Err(Error::invalid(format!(
                "{name} is a device slice of another handle's stream"
            ))),
        }
    }

    /// Waits until the handle's stream of cudarc is done.
    ///
    /// # Errors
    /// [`Status::ExecutionFailed`](crate::Status::ExecutionFailed): work on the device failed;
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): the handle has no such stream.
    pub fn synchronize(&self) -> Result<()> {
        self.own_stream()?
            .synchronize()
            .map_err(|error| Error::new(crate::Status::ExecutionFailed, error.to_string()))
    }
}

fn same_device(own: &CudaStream, other: &CudaStream) -> Result<()> {
    let (own, other) = (own.context().ordinal(), other.context().ordinal());
    if own == other {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the slice is on device {other}, the handle on {own}"
    )))
}
