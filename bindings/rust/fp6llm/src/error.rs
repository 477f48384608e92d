//! What a failed call says, and the one way every call into the library goes.

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};

use fp6llm_sys::*;

/// What kind of failure it was; the C ABI's status, `cublasStatus_t`'s values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// A handle that the library did not make, or a library that could not be loaded.
    NotInitialized,
    /// Out of host or device memory; nothing was left behind.
    AllocFailed,
    /// An argument is wrong; the detail names it.
    InvalidValue,
    /// This processor or device cannot run what was asked.
    ArchMismatch,
    /// Device memory could not be reached.
    MappingError,
    /// A launch or the caller's executor failed.
    ExecutionFailed,
    /// A bug in the library.
    InternalError,
    /// Valid, but this build or backend cannot do it.
    NotSupported,
    /// A status of a newer library.
    Other(i32),
}

impl Status {
    fn from_raw(status: fp6llmStatus_t) -> Self {
        match status {
            FP6LLM_STATUS_NOT_INITIALIZED => Status::NotInitialized,
            FP6LLM_STATUS_ALLOC_FAILED => Status::AllocFailed,
            FP6LLM_STATUS_INVALID_VALUE => Status::InvalidValue,
            FP6LLM_STATUS_ARCH_MISMATCH => Status::ArchMismatch,
            FP6LLM_STATUS_MAPPING_ERROR => Status::MappingError,
            FP6LLM_STATUS_EXECUTION_FAILED => Status::ExecutionFailed,
            FP6LLM_STATUS_INTERNAL_ERROR => Status::InternalError,
            FP6LLM_STATUS_NOT_SUPPORTED => Status::NotSupported,
            other => Status::Other(other),
        }
    }
}

/// A failed call: its status, and the detail that names the argument and the values.
///
/// ```
/// use fp6llm::{Matrix, Status};
/// let error = Matrix::new(&[0f32; 10], 3, 4).unwrap_err();
/// assert_eq!(error.status(), Status::InvalidValue);
/// assert_eq!(error.to_string(), "a matrix of 3 x 4 takes 12 elements, the slice has 10");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    detail: String,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, detail: impl Into<String>) -> Self {
        Error {
            status,
            detail: detail.into(),
        }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Status::InvalidValue, detail)
    }

    pub(crate) fn out_of_memory(bytes: usize) -> Self {
        Self::new(Status::AllocFailed, format!("{bytes} bytes of host memory"))
    }

    /// The failure that this thread's last call answered with.
    #[cold]
    fn last(status: fp6llmStatus_t) -> Self {
        let detail = text(|buffer, size, needed| {
            // SAFETY: `size` bytes at `buffer`.
            unsafe { fp6llmGetLastErrorString(buffer, size, needed) }
        });
        Self::new(Status::from_raw(status), detail)
    }

    /// What kind of failure it was.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What was wrong, in one sentence; the text of [`fmt::Display`].
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            write!(f, "{:?}", self.status)
        } else {
            f.write_str(&self.detail)
        }
    }
}

impl std::error::Error for Error {}

thread_local! {
    /// Whether this thread is in the log receiver, which the library calls with a lock held.
    static IN_RECEIVER: Cell<bool> = const { Cell::new(false) };
}

/// Runs a closure of the caller's: a panic, once printed, goes no further.
pub(crate) fn contain(run: impl FnOnce()) {
    let mut outcome = catch_unwind(AssertUnwindSafe(run));
    // Dropping what a panic carries may panic again.
    while let Err(panic) = outcome {
        outcome = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    }
}

/// Runs the log receiver: calls into the library fail meanwhile instead of waiting for themselves.
pub(crate) fn contain_receiver(receive: impl FnOnce()) {
    IN_RECEIVER.with(|inside| inside.set(true));
    contain(receive);
    IN_RECEIVER.with(|inside| inside.set(false));
}

/// Must come before the first function of the library that a call uses.
#[inline]
pub(crate) fn enter() -> Result<()> {
    #[cfg(feature = "dlopen")]
    fp6llm_sys::load(None)
        .map_err(|error| Error::new(Status::NotInitialized, error.to_string()))?;
    if IN_RECEIVER.with(Cell::get) {
        return Err(Error::invalid("the log receiver must not call the library"));
    }
    Ok(())
}

/// Calls the library, on this thread, and fetches the detail of a failure.
#[inline]
pub(crate) fn call(function: impl FnOnce() -> fp6llmStatus_t) -> Result<()> {
    enter()?;
    match function() {
        FP6LLM_STATUS_SUCCESS => Ok(()),
        status => Err(Error::last(status)),
    }
}

/// A text of the library; `copy` is one of the functions that copy one out.
pub(crate) fn text(
    copy: impl Fn(*mut std::ffi::c_char, usize, *mut usize) -> fp6llmStatus_t,
) -> String {
    let mut buffer = vec![0u8; 512];
    loop {
        let mut needed = 0;
        if copy(buffer.as_mut_ptr().cast(), buffer.len(), &mut needed) != FP6LLM_STATUS_SUCCESS {
            return String::new();
        }
        if needed <= buffer.len() {
            break;
        }
        buffer.resize(needed, 0);
    }
    CStr::from_bytes_until_nul(&buffer)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Text in a fixed field of a struct.
pub(crate) fn field_text(field: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = field
        .iter()
        .map(|&c| c as u8)
        .take_while(|&c| c != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
