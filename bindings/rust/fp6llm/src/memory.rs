//! Views of memory that calls read and write: host slices, or memory of a device. Lengths and strides are
//! checked where a view is made, so that a call cannot reach beyond.

use std::marker::PhantomData;

use crate::{Error, Result};

/// Where memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host,
    Device,
}

/// What has to happen when a view is done with: with cudarc, an event on the stream.
#[derive(Debug, Default)]
pub(crate) struct Guard<'a> {
    #[cfg(feature = "cudarc")]
    _sync: Option<cudarc::driver::SyncOnDrop<'a>>,
    #[cfg(feature = "cudarc")]
    pub(crate) stream: Option<usize>,
    lifetime: PhantomData<&'a ()>,
}

#[cfg(feature = "cudarc")]
impl<'a> Guard<'a> {
    pub(crate) fn of_stream(sync: cudarc::driver::SyncOnDrop<'a>, stream: usize) -> Self {
        Guard {
            _sync: Some(sync),
            stream: Some(stream),
            lifetime: PhantomData,
        }
    }
}

/// Elements to read, on the host (`&[T]` and `&Vec<T>` convert) or on a device.
#[derive(Debug)]
pub struct Slice<'a, T> {
    pub(crate) pointer: *const T,
    pub(crate) len: usize,
    pub(crate) place: Place,
    pub(crate) guard: Guard<'a>,
    memory: PhantomData<&'a [T]>,
}

impl<'a, T> Slice<'a, T> {
    /// Memory that the device of the handle can read: device, managed or pinned host memory.
    ///
    /// # Safety
    /// `address` is aligned and has `len` elements that stay allocated, initialized and unwritten until
    /// the work that reads them is done, which with CUDA is when the handle's stream has got there.
    pub unsafe fn from_device(address: *const T, len: usize) -> Self {
        Self::at(address, len, Place::Device, Guard::default())
    }

    pub(crate) fn at(pointer: *const T, len: usize, place: Place, guard: Guard<'a>) -> Self {
        Slice {
            pointer,
            len,
            place,
            guard,
            memory: PhantomData,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same memory as elements of no particular type.
    pub(crate) fn erased(self) -> Slice<'a, u8> {
        Slice::at(self.pointer.cast(), self.len, self.place, self.guard)
    }
}

impl<'a, T> From<&'a [T]> for Slice<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Slice::at(slice.as_ptr(), slice.len(), Place::Host, Guard::default())
    }
}

impl<'a, T> From<&'a Vec<T>> for Slice<'a, T> {
    fn from(slice: &'a Vec<T>) -> Self {
        slice.as_slice().into()
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Slice<'a, T> {
    fn from(slice: &'a [T; N]) -> Self {
        slice.as_slice().into()
    }
}

/// Elements to write, on the host (`&mut [T]` and `&mut Vec<T>` convert) or on a device.
#[derive(Debug)]
pub struct SliceMut<'a, T> {
    pub(crate) pointer: *mut T,
    pub(crate) len: usize,
    pub(crate) place: Place,
    pub(crate) guard: Guard<'a>,
    memory: PhantomData<&'a mut [T]>,
}

impl<'a, T> SliceMut<'a, T> {
    /// Memory that the device of the handle can write.
    ///
    /// # Safety
    /// As for [`Slice::from_device`], and nothing else reads or writes it meanwhile.
    pub unsafe fn from_device(address: *mut T, len: usize) -> Self {
        Self::at(address, len, Place::Device, Guard::default())
    }

    pub(crate) fn at(pointer: *mut T, len: usize, place: Place, guard: Guard<'a>) -> Self {
        SliceMut {
            pointer,
            len,
            place,
            guard,
            memory: PhantomData,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The same memory as elements of no particular type.
    pub(crate) fn erased(self) -> SliceMut<'a, u8> {
        SliceMut::at(self.pointer.cast(), self.len, self.place, self.guard)
    }
}

impl<'a, T> From<&'a mut [T]> for SliceMut<'a, T> {
    fn from(slice: &'a mut [T]) -> Self {
        SliceMut::at(
            slice.as_mut_ptr(),
            slice.len(),
            Place::Host,
            Guard::default(),
        )
    }
}

impl<'a, T> From<&'a mut Vec<T>> for SliceMut<'a, T> {
    fn from(slice: &'a mut Vec<T>) -> Self {
        slice.as_mut_slice().into()
    }
}

impl<'a, T, const N: usize> From<&'a mut [T; N]> for SliceMut<'a, T> {
    fn from(slice: &'a mut [T; N]) -> Self {
        slice.as_mut_slice().into()
    }
}

/// `rows`, `cols` and `stride` against a slice's length.
fn check_shape(rows: usize, cols: usize, stride: Option<usize>, len: usize) -> Result<()> {
    // What the C ABI can be told.
    const LARGEST: usize = i64::MAX as usize;
    let step = stride.unwrap_or(cols);
    if rows > LARGEST || cols > LARGEST || step > LARGEST {
        return Err(Error::invalid(format!(
            "a matrix of {rows} x {cols} is too large"
        )));
    }
    if step < cols {
        return Err(Error::invalid(format!("stride = {step} < cols = {cols}")));
    }
    let needed = if rows == 0 || cols == 0 {
        Some(0)
    } else {
        (rows - 1)
            .checked_mul(step)
            .and_then(|start| start.checked_add(cols))
    };
    match needed {
        Some(needed) if needed == len || (needed < len && stride.is_some()) => Ok(()),
        Some(needed) => Err(Error::invalid(format!(
            "a matrix of {rows} x {cols} takes {needed} elements, the slice has {len}"
        ))),
        None => Err(Error::invalid(format!(
            "a matrix of {rows} x {cols} is too large"
        ))),
    }
}

macro_rules! matrix {
    ($(#[$doc:meta])* $name:ident, $slice:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<'a, T> {
            pub(crate) slice: $slice<'a, T>,
            pub(crate) rows: usize,
            pub(crate) cols: usize,
            stride: usize,
        }

        impl<'a, T> $name<'a, T> {
            /// A matrix without gaps between its rows.
            ///
            /// # Errors
            /// [`Status::InvalidValue`](crate::Status::InvalidValue) unless the slice has exactly
            /// `rows * cols` elements.
            pub fn new(data: impl Into<$slice<'a, T>>, rows: usize, cols: usize) -> Result<Self> {
                let slice = data.into();
                check_shape(rows, cols, None, slice.len)?;
                Ok($name { slice, rows, cols, stride: cols })
            }

            /// A matrix whose rows begin `stride` elements apart.
            ///
            /// # Errors
            /// [`Status::InvalidValue`](crate::Status::InvalidValue): `stride < cols`, or the slice ends
            /// before the last row does.
            pub fn with_stride(
                data: impl Into<$slice<'a, T>>,
                rows: usize,
                cols: usize,
                stride: usize,
            ) -> Result<Self> {
                let slice = data.into();
                check_shape(rows, cols, Some(stride), slice.len)?;
                Ok($name { slice, rows, cols, stride })
            }

            /// The number of rows.
            pub fn rows(&self) -> usize {
                self.rows
            }

            /// The number of columns.
            pub fn cols(&self) -> usize {
                self.cols
            }

            /// Elements between the starts of two rows.
            pub fn stride(&self) -> usize {
                self.stride
            }

            /// The leading dimension as the C ABI takes it: at least 1.
            pub(crate) fn ld(&self) -> i64 {
                self.stride.max(1) as i64
            }
        }
    };
}

matrix! {
    /// A row-major matrix to read.
    Matrix, Slice
}
matrix! {
    /// A row-major matrix to write.
    MatrixMut, SliceMut
}
