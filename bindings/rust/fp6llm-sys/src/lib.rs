//! The C ABI of libfp6llm as it is in `fp6llm.h`: names, types, documentation. Generated but for this
//! file and `loader.rs`; the crate `fp6llm` is the safe layer over it.
//!
//! With the feature `dlopen` nothing is linked: `load()` finds the library at run time, and the same
//! functions then go through the addresses it found.
#![allow(non_camel_case_types, non_snake_case, clippy::too_many_arguments)]

mod bindings;
pub use bindings::*;

#[cfg(feature = "dlopen")]
mod loader;
#[cfg(feature = "dlopen")]
mod table;
#[cfg(feature = "dlopen")]
pub use loader::{load, table, LoadError};
#[cfg(feature = "dlopen")]
pub use table::*;
