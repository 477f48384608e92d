#![doc = include_str!("../README.md")]
//! # Rules that hold everywhere
//!
//! - Shapes are `[rows, cols]`, row-major, in elements; a weight is `[OC, IC]` = `[outputs, inputs]`.
//! - A CPU handle takes slices of the host. A CUDA handle takes device memory: [`Slice::from_device`], or
//!   slices of cudarc with the feature `cudarc`.
//! - A failed call returns an [`Error`] with a [`Status`] and a sentence on what was wrong; outputs are then
//!   as they were, unless work had already started.
//! - Nothing here panics, and no panic of a closure given to it crosses into the library.

mod aligned;
mod config;
mod error;
mod gemm;
mod handle;
mod library;
mod linear;
mod memory;
mod quantize;
mod scales;
mod types;
mod weight;

#[cfg(feature = "candle")]
pub mod candle;
#[cfg(feature = "cudarc")]
mod cuda;

pub use config::{QuantConfig, Sizes};
#[cfg(feature = "cudarc")]
pub use cuda::DeviceElement;
pub use error::{Error, Result, Status};
pub use gemm::{Algorithm, Gemm, GroupedGemm, WeightGroup};
pub use handle::{Handle, HandleBuilder, Work};
pub use library::{
    build_info, clear_logger, device_count, device_info, set_logger, version, DeviceInfo,
};
pub use linear::Linear;
pub use memory::{Matrix, MatrixMut, Slice, SliceMut};
pub use quantize::{QuantStats, Quantized, QuantizedRef};
pub use scales::{Scales, ScalesMut, ScalesRef};
pub use types::*;
pub use weight::{Blob, Weight, WeightInfo};

/// Loads the library from a file, or, with `None`, from the one that the environment variable
/// `FP6LLM_LIBRARY` names, else `libfp6llm.so.0` where the system looks for libraries. The first call that
/// needs the library does this too; only the first time counts.
///
/// # Errors
/// [`Status::NotInitialized`]: it could not be loaded, or is not libfp6llm.
#[cfg(feature = "dlopen")]
pub fn load(file: Option<&str>) -> Result<()> {
    fp6llm_sys::load(file).map_err(|error| Error::new(Status::NotInitialized, error.to_string()))
}
