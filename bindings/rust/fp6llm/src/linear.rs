//! A linear layer with an epilogue.

use std::ffi::c_void;
use std::ptr::null;

use fp6llm_sys::*;

use crate::error::call;
use crate::memory::{Guard, Place, Slice};
use crate::{Activation, ComputeType, Element, Error, Handle, Matrix, MatrixMut, Result, Weight};

/// Memory to read whose element type is known at run time only.
#[derive(Debug)]
struct Erased<'a> {
    pointer: *const c_void,
    data_type: fp6llmDataType_t,
    len: usize,
    place: Place,
    guard: Guard<'a>,
}

impl<'a> Erased<'a> {
    fn new<T: Element>(slice: Slice<'a, T>) -> Self {
        Erased {
            pointer: slice.pointer.cast(),
            data_type: T::RAW,
            len: slice.len,
            place: slice.place,
            guard: slice.guard,
        }
    }
}

#[derive(Debug)]
enum Residual<'a> {
    None,
    Output,
    Matrix {
        memory: Erased<'a>,
        rows: usize,
        cols: usize,
        ld: i64,
    },
}

/// A linear layer to run, from [`Handle::linear`]: `Y = activation(X W^T + bias) + residual`.
#[derive(Debug)]
#[must_use = "run() multiplies"]
pub struct Linear<'a, T> {
    handle: &'a Handle,
    weight: &'a Weight,
    x: Matrix<'a, T>,
    bias: Option<Erased<'a>>,
    activation: Activation,
    residual: Residual<'a>,
    compute: ComputeType,
}

impl<'a, T: Element> Linear<'a, T> {
    /// Adds `bias`, `[OC]`, to every row.
    pub fn bias<B: Element>(mut self, bias: impl Into<Slice<'a, B>>) -> Self {
        self.bias = Some(Erased::new(bias.into()));
        self
    }

    /// Applies an activation function.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Adds `residual`, `[tokens, OC]`, last.
    pub fn residual<R: Element>(mut self, residual: Matrix<'a, R>) -> Self {
        let (rows, cols, ld) = (residual.rows, residual.cols, residual.ld());
        self.residual = Residual::Matrix {
            memory: Erased::new(residual.slice),
            rows,
            cols,
            ld,
        };
        self
    }

    /// Adds what the output holds, last: the output is its own residual.
    pub fn add_to_output(mut self) -> Self {
        self.residual = Residual::Output;
        self
    }

    /// How exact it has to be. The default is [`ComputeType::F32`].
    pub fn compute(mut self, compute: ComputeType) -> Self {
        self.compute = compute;
        self
    }

    /// Multiplies into `y`, `[tokens, OC]`, of `f32` or `x`'s type. On a GPU it enqueues and returns.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): shapes that do not fit each other, memory that
    /// the backend cannot reach, a weight of another backend or device;
    /// [`Status::NotSupported`](crate::Status::NotSupported): a combination of types, or a compute type that
    /// the backend lacks.
    pub fn run<U: Element>(self, y: MatrixMut<'_, U>) -> Result<()> {
        let (handle, weight, x) = (self.handle, self.weight, &self.x);
        let shape = |name: &str, rows: usize, cols: usize, needed: (usize, usize)| {
            if (rows, cols) == needed {
                return Ok(());
            }
            Err(Error::invalid(format!(
                "{name} is {rows} x {cols}, has to be {} x {}: the weight is {} x {}",
                needed.0,
                needed.1,
                weight.rows(),
                weight.cols()
            )))
        };
        shape("X", x.rows, x.cols, (x.rows, weight.cols()))?;
        shape("Y", y.rows, y.cols, (x.rows, weight.rows()))?;
        handle.accepts("X", x.slice.len, x.slice.place, &x.slice.guard)?;
        handle.accepts("Y", y.slice.len, y.slice.place, &y.slice.guard)?;
        let mut epilogue = fp6llmEpilogue_t {
            structSize: size_of::<fp6llmEpilogue_t>(),
            bias: null(),
            biasType: FP6LLM_R_32F,
            activation: self.activation.raw(),
            residual: null(),
            residualType: FP6LLM_R_32F,
            computeType: self.compute.raw(),
            ldr: y.ld(),
        };
        if let Some(bias) = &self.bias {
            shape("bias", 1, bias.len, (1, weight.rows()))?;
            handle.accepts("bias", bias.len, bias.place, &bias.guard)?;
            (epilogue.bias, epilogue.biasType) = (bias.pointer, bias.data_type);
        }
        match &self.residual {
            Residual::None => {}
            Residual::Output => {
                (epilogue.residual, epilogue.residualType) =
                    (y.slice.pointer.cast_const().cast(), U::RAW);
            }
            Residual::Matrix {
                memory,
                rows,
                cols,
                ld,
            } => {
                shape("residual", *rows, *cols, (x.rows, weight.rows()))?;
                handle.accepts("residual", memory.len, memory.place, &memory.guard)?;
                (epilogue.residual, epilogue.residualType) = (memory.pointer, memory.data_type);
                epilogue.ldr = *ld;
            }
        }
        // SAFETY: every shape, stride and length was checked; only the residual may be the output.
        call(|| unsafe {
            fp6llmLinear(
                handle.raw(),
                x.rows as i64,
                x.slice.pointer.cast(),
                T::RAW,
                x.ld(),
                weight.raw(),
                &epilogue,
                y.slice.pointer.cast(),
                U::RAW,
                y.ld(),
            )
        })
    }
}

impl Handle {
    /// A linear layer on `x`, `[tokens, IC]`, and a weight, `[OC, IC]`; its methods add an epilogue, and
    /// [`Linear::run`] runs it.
    ///
    /// ```
    /// use fp6llm::{Activation, Backend, Handle, Matrix, MatrixMut, QuantConfig, Weight};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(Backend::Cpu).build()?;
    /// # let w = [2f32; 3 * 32];
    /// # let weight = Weight::from_float(&handle, &QuantConfig::default(), Matrix::new(&w, 3, 32)?)?;
    /// // weight: [3, 32], all 2
    /// let x = [1f32; 2 * 32]; // two tokens
    /// let mut y = [0f32; 2 * 3];
    /// handle
    ///     .linear(&weight, Matrix::new(&x, 2, 32)?)
    ///     .bias(&[0.0f32, 1.0, -100.0])
    ///     .activation(Activation::Relu)
    ///     .run(MatrixMut::new(&mut y, 2, 3)?)?;
    /// assert_eq!(y, [64.0, 65.0, 0.0, 64.0, 65.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn linear<'a, T: Element>(&'a self, weight: &'a Weight, x: Matrix<'a, T>) -> Linear<'a, T> {
        Linear {
            handle: self,
            weight,
            x,
            bias: None,
            activation: Activation::None,
            residual: Residual::None,
            compute: ComputeType::F32,
        }
    }
}
