//! What belongs to the library as a whole: version, devices, log.

use std::ffi::{c_char, c_void, CStr};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

use fp6llm_sys::*;

use crate::error::{call, contain_receiver, enter, field_text, text};
use crate::{Backend, Error, LogLevel, Result};

/// The library's version, "major.minor.patch".
///
/// # Errors
/// With the feature `dlopen`: the library could not be loaded.
pub fn version() -> Result<String> {
    enter()?;
    // SAFETY: a static text, never NULL.
    let version = unsafe { CStr::from_ptr(fp6llmGetVersionString()) };
    Ok(version.to_string_lossy().into_owned())
}

/// How the library was built, as JSON: compilers, instruction sets, CUDA architectures, options.
///
/// # Errors
/// As for [`version`].
pub fn build_info() -> Result<String> {
    enter()?;
    // SAFETY: `size` bytes at `buffer`.
    Ok(text(|buffer, size, needed| unsafe {
        fp6llmGetBuildInfo(buffer, size, needed)
    }))
}

/// A device, from [`device_info`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Cpu or Cuda.
    pub backend: Backend,
    /// The ordinal within the backend.
    pub ordinal: u32,
    /// The model of the processor or GPU.
    pub name: String,
    /// The kernels in use, "avx2" for instance, or the GPU's architecture, "sm_90".
    pub isa: String,
    /// Major and minor, of a GPU; (0, 0) of a CPU.
    pub compute_capability: (u32, u32),
    /// Multiprocessors; CPUs that this process may use.
    pub multiprocessors: u32,
    /// The version of CUDA's driver; 0 of a CPU.
    pub driver_version: u32,
    /// Memory in bytes.
    pub total_memory: u64,
    /// Shared memory that a block can have, in bytes; 0 of a CPU.
    pub shared_memory_per_block: u64,
    /// The last level's cache in bytes; 0 if unknown.
    pub l2_cache_bytes: u64,
}

/// The number of devices that a backend has: 1 for the CPU, 0 for CUDA without a driver.
///
/// # Errors
/// As for [`version`].
pub fn device_count(backend: Backend) -> Result<u32> {
    let mut count = 0;
    // SAFETY: a pointer to a local.
    call(|| unsafe { fp6llmGetDeviceCount(backend.raw(), &mut count) })?;
    Ok(count.unsigned_abs())
}

/// Describes a device.
///
/// # Errors
/// [`Status::InvalidValue`](crate::Status::InvalidValue): no such device, or the backend is Auto.
///
/// ```
/// let cpu = fp6llm::device_info(fp6llm::Backend::Cpu, 0)?;
/// println!("{}, {} kernels, {} CPUs", cpu.name, cpu.isa, cpu.multiprocessors);
/// # assert!(cpu.multiprocessors > 0);
/// # Ok::<(), fp6llm::Error>(())
/// ```
pub fn device_info(backend: Backend, ordinal: u32) -> Result<DeviceInfo> {
    enter()?;
    let mut info = fp6llmDeviceInfo_t::default();
    let index =
        i32::try_from(ordinal).map_err(|_| Error::invalid(format!("no device {ordinal}")))?;
    // SAFETY: a struct with its size set.
    call(|| unsafe { fp6llmGetDeviceInfo(backend.raw(), index, &mut info) })?;
    Ok(DeviceInfo {
        backend,
        ordinal,
        name: field_text(&info.name),
        isa: field_text(&info.isa),
        compute_capability: (
            info.computeCapabilityMajor.unsigned_abs(),
            info.computeCapabilityMinor.unsigned_abs(),
        ),
        multiprocessors: info.multiprocessorCount.unsigned_abs(),
        driver_version: info.driverVersion.unsigned_abs(),
        total_memory: info.totalMemory,
        shared_memory_per_block: info.sharedMemoryPerBlock,
        l2_cache_bytes: info.l2CacheBytes,
    })
}

type Receiver = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

/// The receiver that the library has the address of.
static RECEIVER: Mutex<Option<Box<Receiver>>> = Mutex::new(None);

/// Installs the log receiver of the process; without one nothing is logged and nothing is printed.
///
/// It is called on any thread, one message at a time. It must not wait for a thread that calls the library;
/// calls that it makes itself fail. A panic in it is reported as panics are, and loses the message.
///
/// # Errors
/// [`Status::AllocFailed`](crate::Status::AllocFailed): no memory; the receiver stays.
///
/// ```
/// fp6llm::set_logger(|level, message| eprintln!("{level:?}: {message}"))?;
/// fp6llm::clear_logger()?;
/// # Ok::<(), fp6llm::Error>(())
/// ```
pub fn set_logger(receiver: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Result<()> {
    let receiver: Box<Receiver> = Box::new(Box::new(receiver));
    let user = (&raw const *receiver).cast_mut().cast();
    replace(Some(receiver), Some(receive), user)
}

/// Removes the log receiver; it is not called any more when this returns.
///
/// # Errors
/// None are known.
pub fn clear_logger() -> Result<()> {
    replace(None, None, null_mut())
}

fn replace(
    receiver: Option<Box<Receiver>>,
    function: fp6llmLogCallback_t,
    user: *mut c_void,
) -> Result<()> {
    enter()?;
    let mut current = RECEIVER.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `user` lives until the library has let go of it. It does when this returns: it holds a lock
    // while it calls a receiver.
    call(|| unsafe { fp6llmSetLogger(function, user) })?;
    let old = std::mem::replace(&mut *current, receiver);
    // What the receiver owned is dropped without the lock.
    drop(current);
    drop(old);
    Ok(())
}

unsafe extern "C" fn receive(user: *mut c_void, level: i32, message: *const c_char) {
    // SAFETY: the receiver that set_logger() gave, and a text for the length of this call.
    let (receiver, message) = unsafe { (&*user.cast::<Receiver>(), CStr::from_ptr(message)) };
    let level = LogLevel::from_raw(level).unwrap_or(LogLevel::Info);
    contain_receiver(|| receiver(level, &message.to_string_lossy()));
}
