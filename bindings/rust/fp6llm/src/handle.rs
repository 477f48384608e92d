//! The handle: backend, stream, workspace, threads.

use std::ffi::c_void;
use std::fmt;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicI64, Ordering};

use fp6llm_sys::*;

use crate::aligned::AlignedBytes;
use crate::config::size;
use crate::error::{call, contain};
use crate::memory::{Guard, Place};
use crate::{Backend, Error, Result};

/// What work is done with: one backend and device, a stream, a workspace, threads.
///
/// One thread uses a handle at a time, so it can be sent to another thread but not shared; make one per
/// thread, or keep it in a `Mutex`. Dropping it leaves the weights that were made with it alive.
///
/// ```
/// use fp6llm::{Backend, Handle};
/// # fn main() -> fp6llm::Result<()> {
/// let handle = Handle::builder().backend(Backend::Cpu).threads(2).build()?;
/// assert_eq!(handle.num_threads()?, 2);
/// let worker = std::thread::spawn(move || handle.num_threads());
/// assert_eq!(worker.join().unwrap()?, 2);
/// # Ok(())
/// # }
/// ```
///
/// It cannot be used once it is closed, nor by two threads at a time:
///
/// ```compile_fail,E0382
/// let handle = fp6llm::Handle::new().unwrap();
/// handle.close();
/// handle.num_threads();
/// ```
///
/// ```compile_fail,E0277
/// fn share<T: Sync>() {}
/// share::<fp6llm::Handle>();
/// ```
pub struct Handle {
    raw: NonNull<fp6llmContext>,
    backend: Backend,
    // Lent to the library: freed after the handle.
    workspace: Option<AlignedBytes>,
    executor: Option<Box<Executor>>,
    #[cfg(feature = "cudarc")]
    pub(crate) stream: Option<std::sync::Arc<cudarc::driver::CudaStream>>,
}

type Executor = Box<dyn Fn(&Work) + Send + Sync>;

// SAFETY: the library lets a handle move between threads freely; what the handle owns is Send.
unsafe impl Send for Handle {}

/// What a handle is made of; [`Handle::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "build() makes the handle"]
pub struct HandleBuilder {
    backend: Option<Backend>,
    device: u32,
    threads: u32,
    #[cfg(feature = "cudarc")]
    pub(crate) stream: Option<std::sync::Arc<cudarc::driver::CudaStream>>,
}

impl HandleBuilder {
    /// Where work is done. The default, [`Backend::Auto`], is CUDA when a usable device is present.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The ordinal of the device; 0 for the CPU.
    pub fn device(mut self, ordinal: u32) -> Self {
        self.device = ordinal;
        self
    }

    /// CPU threads, the caller's included: 1..=256. The default, 0, is `OMP_NUM_THREADS` if that is set, else
    /// the CPUs that the process may use.
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// Makes the handle.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): no such device, too many threads;
    /// [`Status::NotSupported`](crate::Status::NotSupported): CUDA was asked for by name and is not there;
    /// [`Status::NotInitialized`](crate::Status::NotInitialized): with the feature `dlopen`, the library
    /// could not be loaded.
    pub fn build(self) -> Result<Handle> {
        let narrow = |name: &str, value: u32| {
            i32::try_from(value)
                .map_err(|_| Error::invalid(format!("{name} = {value} is out of range")))
        };
        let config = fp6llmHandleConfig_t {
            structSize: size_of::<fp6llmHandleConfig_t>(),
            backend: self.backend.unwrap_or(Backend::Auto).raw(),
            device: narrow("device", self.device)?,
            numThreads: narrow("threads", self.threads)?,
            reserved: 0,
        };
        let mut raw = null_mut();
        // SAFETY: pointers to locals.
        call(|| unsafe { fp6llmCreateWithConfig(&mut raw, &config) })?;
        let mut handle = Handle {
            raw: NonNull::new(raw).ok_or_else(|| Error::invalid("the library made no handle"))?,
            backend: Backend::Cpu,
            workspace: None,
            executor: None,
            #[cfg(feature = "cudarc")]
            stream: self.stream,
        };
        let mut backend = 0;
        // SAFETY: a live handle, a pointer to a local.
        call(|| unsafe { fp6llmGetBackend(handle.raw(), &mut backend) })?;
        if backend == FP6LLM_BACKEND_CUDA {
            handle.backend = Backend::Cuda;
        }
        #[cfg(feature = "cudarc")]
        handle.use_own_stream()?;
        Ok(handle)
    }
}

impl Handle {
    /// A handle with the Auto backend and default settings.
    ///
    /// # Errors
    /// As for [`HandleBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// The settings of a new handle.
    pub fn builder() -> HandleBuilder {
        HandleBuilder::default()
    }

    /// The handle of the C ABI, for functions of `fp6llm_sys`; it stays this object's.
    #[inline]
    pub fn raw(&self) -> fp6llmHandle_t {
        self.raw.as_ptr()
    }

    /// The backend that the handle got: never Auto.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The number of threads that CPU work uses, the caller's included.
    ///
    /// # Errors
    /// None are known.
    pub fn num_threads(&self) -> Result<u32> {
        let mut threads = 0;
        // SAFETY: a live handle, a pointer to a local.
        call(|| unsafe { fp6llmGetNumThreads(self.raw(), &mut threads) })?;
        Ok(threads.unsigned_abs())
    }

    /// Sets the number of threads, as [`HandleBuilder::threads`] does. Results do not depend on it.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): more than 256.
    pub fn set_num_threads(&self, threads: u32) -> Result<()> {
        let count = i32::try_from(threads)
            .map_err(|_| Error::invalid(format!("threads = {threads} is out of range")))?;
        // SAFETY: a live handle.
        call(|| unsafe { fp6llmSetNumThreads(self.raw(), count) })
    }

    /// The stream that calls enqueue on, from a `cudaStream_t` or `CUstream`; NULL is the legacy default
    /// stream. With the feature `cudarc`, `HandleBuilder::stream` is the safe way.
    ///
    /// # Safety
    /// The stream is of the handle's device and stays alive until it is replaced and its work is done. A
    /// handle made with `HandleBuilder::stream` keeps that one.
    ///
    /// # Errors
    /// None are known.
    pub unsafe fn set_stream(&self, stream: *mut c_void) -> Result<()> {
        // SAFETY: the caller's word.
        call(|| unsafe { fp6llmSetStream(self.raw(), stream.cast()) })
    }

    /// Gives multiplications that much memory, once, so that they allocate nothing; 0 lets the handle keep
    /// scratch that grows. [`Gemm::workspace_bytes`](crate::Gemm::workspace_bytes) tells how much. CPU only.
    ///
    /// # Errors
    /// [`Status::AllocFailed`](crate::Status::AllocFailed): no memory;
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): a CUDA handle, whose workspace is device memory.
    pub fn set_workspace_bytes(&mut self, bytes: usize) -> Result<()> {
        let mut memory = match bytes {
            0 => None,
            _ => Some(AlignedBytes::zeros(bytes)?),
        };
        let address = memory
            .as_mut()
            .map_or(null_mut(), |memory| memory.as_mut_ptr());
        // SAFETY: the memory is this handle's until it is replaced.
        call(|| unsafe { fp6llmSetWorkspace(self.raw(), address.cast(), bytes) })?;
        self.workspace = memory;
        Ok(())
    }

    /// Runs CPU work on the caller's executor in place of the library's threads; it should run
    /// [`Work::run_one`] until that is false, on as many threads as it likes. A panic in it, or work left
    /// over, makes the call answer [`Status::ExecutionFailed`](crate::Status::ExecutionFailed).
    ///
    /// # Errors
    /// None are known.
    ///
    /// ```
    /// # fn main() -> fp6llm::Result<()> {
    /// let mut handle = fp6llm::Handle::builder().threads(2).build()?;
    /// handle.set_executor(|work| {
    ///     std::thread::scope(|scope| {
    ///         scope.spawn(|| while work.run_one() {});
    ///         while work.run_one() {}
    ///     });
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_executor(&mut self, executor: impl Fn(&Work) + Send + Sync + 'static) -> Result<()> {
        let executor: Box<Executor> = Box::new(Box::new(executor));
        let user = (&raw const *executor).cast_mut().cast();
        // SAFETY: `user` lives until the handle gets another executor or none.
        call(|| unsafe { fp6llmSetParallelFor(self.raw(), Some(run_work), user) })?;
        self.executor = Some(executor);
        Ok(())
    }

    /// Returns to the library's own threads.
    ///
    /// # Errors
    /// None are known.
    pub fn clear_executor(&mut self) -> Result<()> {
        // SAFETY: a live handle.
        call(|| unsafe { fp6llmSetParallelFor(self.raw(), None, null_mut()) })?;
        self.executor = None;
        Ok(())
    }

    /// Frees the handle, as dropping it does, and tells whether that worked.
    ///
    /// # Errors
    /// None are known.
    pub fn close(self) -> Result<()> {
        let raw = self.raw();
        let mut this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the handle is not used again; what it borrowed is freed after it, once.
        unsafe {
            let result = call(|| fp6llmDestroy(raw));
            std::ptr::drop_in_place(&mut this.workspace);
            std::ptr::drop_in_place(&mut this.executor);
            #[cfg(feature = "cudarc")]
            std::ptr::drop_in_place(&mut this.stream);
            result
        }
    }

    /// Refuses memory that the backend cannot reach.
    #[inline]
    pub(crate) fn accepts(
        &self,
        name: &str,
        len: usize,
        place: Place,
        guard: &Guard<'_>,
    ) -> Result<()> {
        let reachable = match place {
            Place::Host => self.backend == Backend::Cpu,
            Place::Device => self.backend == Backend::Cuda,
        };
        if len > 0 && !reachable {
            return Err(Error::invalid(match place {
                Place::Host => format!("{name} is host memory, the handle's backend is CUDA"),
                Place::Device => {
                    format!("{name} is device memory, the handle's backend is the CPU")
                }
            }));
        }
        #[cfg(feature = "cudarc")]
        self.accepts_stream(name, guard)?;
        let _ = guard;
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is not used again. It is the library's own, so this cannot fail.
        unsafe { fp6llmDestroy(self.raw()) };
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Work of one call, to spread over threads; see [`Handle::set_executor`].
pub struct Work {
    next: AtomicI64,
    count: i64,
    task: unsafe extern "C" fn(*mut c_void, i64),
    context: *mut c_void,
}

// SAFETY: the library lets the tasks of one call run on any threads at the same time.
unsafe impl Sync for Work {}
// SAFETY: as above.
unsafe impl Send for Work {}

impl Work {
    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Runs a piece that nobody has taken yet; false when none is left.
    pub fn run_one(&self) -> bool {
        // Each index goes out once; the counter cannot overflow, as it stops at `count`.
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (next < self.count).then_some(next + 1)
            });
        match taken {
            Ok(index) => {
                // SAFETY: an index in range, run once, before the executor returns.
                unsafe { (self.task)(self.context, index) };
                true
            }
            Err(_) => false,
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

unsafe extern "C" fn run_work(
    user: *mut c_void,
    count: i64,
    task: fp6llmTask_t,
    context: *mut c_void,
) {
    let Some(task) = task else { return };
    let work = Work {
        next: AtomicI64::new(0),
        count,
        task,
        context,
    };
    // SAFETY: the executor that set_executor() gave, alive as long as the handle has it.
    let executor = unsafe { &*user.cast::<Executor>() };
    // Work that a panic leaves over is what the library reports.
    contain(|| executor(&work));
}

/// A size that a C `int` must hold.
pub(crate) fn count(value: usize) -> Result<i32> {
    size(value)?
        .try_into()
        .map_err(|_| Error::invalid(format!("{value} is too many")))
}
