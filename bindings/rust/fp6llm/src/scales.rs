//! Scales: one type of three, owned or borrowed.

use crate::memory::{Slice, SliceMut};
use crate::{Error, Result, ScaleType};

/// The scales of a quantized matrix: `[rows]`, or row-major `[rows, ceil(cols / group)]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Scales {
    /// fp32.
    F32(Vec<f32>),
    /// The bits of fp16.
    F16(Vec<u16>),
    /// Exponents: 2^(byte - 127).
    E8M0(Vec<u8>),
}

impl Scales {
    /// `bytes` of zeros.
    pub(crate) fn zeros(scale_type: ScaleType, bytes: usize) -> Result<Self> {
        Ok(match scale_type {
            ScaleType::F32 => Scales::F32(zeros(bytes / 4)?),
            ScaleType::F16 => Scales::F16(zeros(bytes / 2)?),
            ScaleType::E8M0 => Scales::E8M0(zeros(bytes)?),
        })
    }

    /// A view to pass on.
    pub fn view(&self) -> ScalesRef<'_> {
        match self {
            Scales::F32(scales) => scales.into(),
            Scales::F16(scales) => scales.into(),
            Scales::E8M0(scales) => scales.into(),
        }
    }

    pub(crate) fn view_mut(&mut self) -> ScalesMut<'_> {
        match self {
            Scales::F32(scales) => scales.into(),
            Scales::F16(scales) => scales.into(),
            Scales::E8M0(scales) => scales.into(),
        }
    }

    /// The scales as they lie in memory.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: plain numbers are bytes too.
        unsafe {
            match self {
                Scales::F32(scales) => scales.align_to::<u8>().1,
                Scales::F16(scales) => scales.align_to::<u8>().1,
                Scales::E8M0(scales) => scales,
            }
        }
    }
}

/// A vector of zeros, or an error where there is no memory for it.
pub(crate) fn zeros<T: Clone + Default>(len: usize) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector
        .try_reserve_exact(len)
        .map_err(|_| Error::out_of_memory(len.saturating_mul(size_of::<T>())))?;
    vector.resize(len, T::default());
    Ok(vector)
}

macro_rules! scales_view {
    ($(#[$doc:meta])* $name:ident, $slice:ident, $($reference:tt)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(missing_docs)]
        pub enum $name<'a> {
            F32($slice<'a, f32>),
            F16($slice<'a, u16>),
            E8M0($slice<'a, u8>),
        }

        impl<'a> $name<'a> {
            /// The scales' bytes, once their type and number are what a config says.
            pub(crate) fn checked(self, scale_type: ScaleType, bytes: usize) -> Result<$slice<'a, u8>> {
                let (is, slice, width) = match self {
                    $name::F32(scales) => (ScaleType::F32, scales.erased(), 4),
                    $name::F16(scales) => (ScaleType::F16, scales.erased(), 2),
                    $name::E8M0(scales) => (ScaleType::E8M0, scales, 1),
                };
                if is != scale_type {
                    return Err(Error::invalid(format!("scales are {is:?}, the config says {scale_type:?}")));
                }
                if Some(bytes) != slice.len.checked_mul(width) {
                    return Err(Error::invalid(format!(
                        "scales has {} elements, the config takes {}",
                        slice.len,
                        bytes / width
                    )));
                }
                Ok(slice)
            }
        }

        scales_view!(@from $name, F32, f32, $slice, $($reference)*);
        scales_view!(@from $name, F16, u16, $slice, $($reference)*);
        scales_view!(@from $name, E8M0, u8, $slice, $($reference)*);
    };
    (@from $name:ident, $variant:ident, $type:ty, $slice:ident, $($reference:tt)*) => {
        impl<'a> From<$($reference)* [$type]> for $name<'a> {
            fn from(scales: $($reference)* [$type]) -> Self {
                $name::$variant(scales.into())
            }
        }
        impl<'a> From<$($reference)* Vec<$type>> for $name<'a> {
            fn from(scales: $($reference)* Vec<$type>) -> Self {
                $name::$variant(scales.into())
            }
        }
        impl<'a> From<$slice<'a, $type>> for $name<'a> {
            fn from(scales: $slice<'a, $type>) -> Self {
                $name::$variant(scales)
            }
        }
    };
}

scales_view! {
    /// Scales to read; `&[f32]`, `&[u16]` (the bits of fp16) and `&[u8]` (E8M0) convert.
    ScalesRef, Slice, &'a
}
scales_view! {
    /// Scales to write; `&mut [f32]`, `&mut [u16]` (the bits of fp16) and `&mut [u8]` (E8M0) convert.
    ScalesMut, SliceMut, &'a mut
}
