//! Loads libfp6llm at run time, once per process, and keeps it.

use core::ffi::{c_char, c_int, c_void, CStr};
use std::ffi::CString;
use std::fmt;
use std::sync::OnceLock;

use crate::table::Table;

#[cfg_attr(target_os = "linux", link(name = "dl"))]
unsafe extern "C" {
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *mut c_char;
}
const RTLD_NOW: c_int = 2;
const DEFAULT: &str = "libfp6llm.so.0";

/// Why the library could not be loaded.
#[derive(Clone, Debug)]
pub struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

static TABLE: OnceLock<Result<Table, LoadError>> = OnceLock::new();

/// Loads the library from a file, or, with `None`, from the one that the environment variable
/// `FP6LLM_LIBRARY` names, else `libfp6llm.so.0` where the system looks for libraries. Only the first
/// call loads; later ones repeat its result.
pub fn load(file: Option<&str>) -> Result<(), LoadError> {
    TABLE
        .get_or_init(|| open(file))
        .as_ref()
        .map(|_| ())
        .map_err(Clone::clone)
}

/// The functions of the loaded library; loads it if nobody has.
///
/// # Panics
/// If it cannot be loaded: call [`load()`] first to be told instead.
pub fn table() -> &'static Table {
    match TABLE.get_or_init(|| open(None)) {
        Ok(table) => table,
        Err(error) => panic!("{error}"),
    }
}

fn open(file: Option<&str>) -> Result<Table, LoadError> {
    let named = std::env::var("FP6LLM_LIBRARY").ok();
    let file = file.or(named.as_deref()).unwrap_or(DEFAULT);
    let path = CString::new(file).map_err(|_| LoadError(format!("{file:?} holds a NUL")))?;
    // SAFETY: a NUL-terminated path; dlerror's text is this thread's until its next call.
    let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
    if library.is_null() {
        let reason = unsafe { CStr::from_ptr(dlerror()) };
        return Err(LoadError(reason.to_string_lossy().into_owned()));
    }
    // SAFETY: the names are libfp6llm's, and the library is never unloaded.
    unsafe { Table::new(|name| dlsym(library, name.as_ptr())) }
        .map_err(|name| LoadError(format!("{file} has no {}", name.to_string_lossy())))
}
