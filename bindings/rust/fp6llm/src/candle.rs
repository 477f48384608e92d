//! A linear layer for candle models: `W` in 6 bits, activations as candle has them.
//!
//! For inference: it has no gradient. It runs on candle's CPU device, and with the feature `candle-cuda` on
//! its CUDA devices.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{bail, CpuStorage, CustomOp1, DType, Layout, Module, Shape, Tensor};

use crate::{Activation, Element, Error, Handle, Matrix, MatrixMut, QuantConfig, Weight};

/// `Y = activation(X W^T + bias)` on tensors `[.., IC]` of F32, F16 or BF16; `Y`, `[.., OC]`, has the type of
/// `X`.
///
/// Layers of a model share one handle, of the backend of the model's device.
///
/// ```
/// use candle_core::{Device, Module, Tensor};
/// use fp6llm::{candle::Linear, Backend, Handle, QuantConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::{Arc, Mutex};
/// let handle = Arc::new(Mutex::new(Handle::builder().backend(Backend::Cpu).build()?));
/// let w = Tensor::ones((3, 32), candle_core::DType::F32, &Device::Cpu)?;
/// let layer = Linear::quantize(&handle, &w, None, &QuantConfig::default())?;
/// let x = Tensor::ones((2, 5, 32), candle_core::DType::F32, &Device::Cpu)?;
/// let y = layer.forward(&x)?; // [2, 5, 3], all 32
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, vec![32f32; 2 * 5 * 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    handle: Arc<Mutex<Handle>>,
    weight: Arc<Weight>,
    bias: Option<Tensor>,
    activation: Activation,
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        candle_core::Error::wrap(error)
    }
}

impl Linear {
    /// A layer of a weight, and a bias `[OC]` on the device of the activations.
    ///
    /// # Errors
    /// The bias has another shape, or a type other than F32, F16 and BF16.
    pub fn new(
        handle: &Arc<Mutex<Handle>>,
        weight: Arc<Weight>,
        bias: Option<&Tensor>,
    ) -> candle_core::Result<Self> {
        if let Some(bias) = bias {
            if bias.dims() != [weight.rows()] {
                bail!("bias is {:?}, has to be [{}]", bias.dims(), weight.rows());
            }
            check_type(bias.dtype())?;
        }
        Ok(Linear {
            handle: handle.clone(),
            weight,
            bias: bias.map(Tensor::contiguous).transpose()?,
            activation: Activation::None,
        })
    }

    /// Quantizes `w`, `[OC, IC]` on the CPU, for a handle of the CPU backend.
    ///
    /// # Errors
    /// `w` is not a matrix of F32, F16 or BF16; as for [`Weight::from_float`] and [`Linear::new`].
    pub fn quantize(
        handle: &Arc<Mutex<Handle>>,
        w: &Tensor,
        bias: Option<&Tensor>,
        config: &QuantConfig,
    ) -> candle_core::Result<Self> {
        let (rows, cols) = w.dims2()?;
        let w = w.contiguous()?;
        let (storage, layout) = w.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else {
            bail!("the weight to quantize is not on the CPU");
        };
        let (start, end) = contiguous(layout)?;
        let weight = {
            let handle = lock(handle);
            match storage {
                CpuStorage::F32(w) => pack(&handle, config, &w[start..end], rows, cols)?,
                CpuStorage::F16(w) => pack(&handle, config, &w[start..end], rows, cols)?,
                CpuStorage::BF16(w) => pack(&handle, config, &w[start..end], rows, cols)?,
                _ => bail!(
                    "the weight's type {:?} is none of F32, F16, BF16",
                    w.dtype()
                ),
            }
        };
        Self::new(handle, Arc::new(weight), bias)
    }

    /// The same layer with an activation function after the bias.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The layer's weight.
    pub fn weight(&self) -> &Arc<Weight> {
        &self.weight
    }

    /// Tokens of the input, and the shape of the output.
    fn shapes(&self, layout: &Layout) -> candle_core::Result<(usize, Shape)> {
        let mut dims = layout.dims().to_vec();
        let (rows, cols) = (self.weight.rows(), self.weight.cols());
        match dims.last_mut() {
            Some(last) if *last == cols => *last = rows,
            _ => bail!("the input is {:?}, has to be [.., {cols}]", layout.dims()),
        }
        let tokens = dims[..dims.len() - 1].iter().product();
        Ok((tokens, Shape::from(dims)))
    }

    fn run_on_cpu<T: Element + Default>(
        &self,
        x: &[T],
        tokens: usize,
    ) -> candle_core::Result<Vec<T>> {
        let mut y = vec![T::default(); tokens * self.weight.rows()];
        let bias = self.bias.as_ref().map(Tensor::storage_and_layout);
        let handle = lock(&self.handle);
        let x = Matrix::new(x, tokens, self.weight.cols())?;
        let mut linear = handle.linear(&self.weight, x).activation(self.activation);
        if let Some((storage, layout)) = &bias {
            let candle_core::Storage::Cpu(storage) = &**storage else {
                bail!("the input is on the CPU, the bias is not");
            };
            let (start, end) = contiguous(layout)?;
            linear = match storage {
                CpuStorage::F32(bias) => linear.bias(&bias[start..end]),
                CpuStorage::F16(bias) => linear.bias(&bias[start..end]),
                CpuStorage::BF16(bias) => linear.bias(&bias[start..end]),
                _ => bail!("the bias is none of F32, F16, BF16"),
            };
        }
        linear.run(MatrixMut::new(&mut y, tokens, self.weight.rows())?)?;
        Ok(y)
    }
}

fn lock(handle: &Mutex<Handle>) -> MutexGuard<'_, Handle> {
    // A handle is whole after any call.
    handle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pack<T: Element>(
    handle: &Handle,
    config: &QuantConfig,
    w: &[T],
    rows: usize,
    cols: usize,
) -> crate::Result<Weight> {
    Weight::from_float(handle, config, Matrix::new(w, rows, cols)?)
}

fn check_type(dtype: DType) -> candle_core::Result<()> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Ok(()),
        other => bail!("the type {other:?} is none of F32, F16, BF16"),
    }
}

fn contiguous(layout: &Layout) -> candle_core::Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(offsets) => Ok(offsets),
        None => bail!(
            "a tensor of strides {:?} is not contiguous",
            layout.stride()
        ),
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "fp6llm-linear"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (tokens, shape) = self.shapes(layout)?;
        let (start, end) = contiguous(layout)?;
        let y = match storage {
            CpuStorage::F32(x) => CpuStorage::F32(self.run_on_cpu(&x[start..end], tokens)?),
            CpuStorage::F16(x) => CpuStorage::F16(self.run_on_cpu(&x[start..end], tokens)?),
            CpuStorage::BF16(x) => CpuStorage::BF16(self.run_on_cpu(&x[start..end], tokens)?),
            _ => bail!("the input is none of F32, F16, BF16"),
        };
        Ok((y, shape))
    }

    #[cfg(feature = "candle-cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        let (tokens, shape) = self.shapes(layout)?;
        let offsets = contiguous(layout)?;
        let y = match storage.dtype() {
            DType::F32 => self.run_on_cuda::<f32>(storage, offsets, tokens)?,
            DType::F16 => self.run_on_cuda::<half::f16>(storage, offsets, tokens)?,
            DType::BF16 => self.run_on_cuda::<half::bf16>(storage, offsets, tokens)?,
            other => bail!("the input's type {other:?} is none of F32, F16, BF16"),
        };
        Ok((y, shape))
    }
}

#[cfg(feature = "candle-cuda")]
mod on_cuda {
    use candle_core::backend::BackendStorage;
    use candle_core::cuda_backend::cudarc::driver::{
        CudaStream, DevicePtr, DevicePtrMut, DeviceRepr,
    };
    use candle_core::cuda_backend::{CudaDType, CudaStorage};
    use candle_core::{bail, DType, Storage, Tensor};

    use super::{contiguous, lock, Linear};
    use crate::{Element, Matrix, MatrixMut, Slice, SliceMut};

    impl Linear {
        /// Enqueues on the stream of the input's device.
        pub(super) fn run_on_cuda<T: Element + CudaDType + DeviceRepr>(
            &self,
            storage: &CudaStorage,
            (start, end): (usize, usize),
            tokens: usize,
        ) -> candle_core::Result<CudaStorage> {
            let device = storage.device().clone();
            let stream = device.cuda_stream();
            let (rows, cols) = (self.weight.rows(), self.weight.cols());
            // SAFETY: the layer writes all of it.
            let mut y = unsafe { device.alloc::<T>(tokens * rows)? };
            {
                let x = storage.as_cuda_slice::<T>()?.slice(start..end);
                let (x_address, _x_read) = x.device_ptr(&stream);
                let (y_address, _y_written) = y.device_ptr_mut(&stream);
                // SAFETY: live memory of those lengths, read and written in the stream's order.
                let (x, out) = unsafe {
                    (
                        Slice::from_device(x_address as *const T, end - start),
                        SliceMut::from_device(y_address as *mut T, tokens * rows),
                    )
                };
                let handle = lock(&self.handle);
                // SAFETY: the stream is the device's, which outlives this call; the next one sets it anew.
                unsafe { handle.set_stream(stream.cu_stream().cast())? };
                let linear = handle
                    .linear(&self.weight, Matrix::new(x, tokens, cols)?)
                    .activation(self.activation);
                let out = MatrixMut::new(out, tokens, rows)?;
                match &self.bias {
                    None => linear.run(out)?,
                    Some(bias) => match bias.dtype() {
                        DType::F32 => {
                            with_bias::<f32, _>(bias, &stream, |bias| linear.bias(bias).run(out))?
                        }
                        DType::F16 => with_bias::<half::f16, _>(bias, &stream, |bias| {
                            linear.bias(bias).run(out)
                        })?,
                        DType::BF16 => with_bias::<half::bf16, _>(bias, &stream, |bias| {
                            linear.bias(bias).run(out)
                        })?,
                        other => bail!("the bias's type {other:?} is none of F32, F16, BF16"),
                    },
                }
            }
            Ok(CudaStorage::wrap_cuda_slice(y, device))
        }
    }

    /// Runs with the device memory of a bias.
    fn with_bias<B: Element + CudaDType + DeviceRepr, R>(
        bias: &Tensor,
        stream: &CudaStream,
        run: impl FnOnce(Slice<'_, B>) -> crate::Result<R>,
    ) -> candle_core::Result<R> {
        let (storage, layout) = bias.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            bail!("the input is on a GPU, the bias is not");
        };
        let (start, end) = contiguous(layout)?;
        let view = storage.as_cuda_slice::<B>()?.slice(start..end);
        let (address, _read) = view.device_ptr(stream);
        // SAFETY: live memory of that length, read in the stream's order.
        let slice = unsafe { Slice::from_device(address as *const B, end - start) };
        Ok(run(slice)?)
    }
}
