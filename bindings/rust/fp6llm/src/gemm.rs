//! cuBLAS's GEMM with a weight, and one GEMM per group of tokens.

use std::marker::PhantomData;

use fp6llm_sys::*;

use crate::error::{call, enter, field_text};
use crate::handle::count;
use crate::memory::Slice;
use crate::{ComputeType, Element, Error, Handle, Matrix, MatrixMut, Operation, Result, Weight};

/// One way to run a multiplication, from [`Gemm::algorithms`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Algorithm {
    /// What [`Gemm::algorithm`] takes.
    pub id: i32,
    /// Whether it is the slow fp64 oracle.
    pub is_reference: bool,
    /// The workspace that it needs.
    pub workspace_bytes: usize,
    /// The kernel's name.
    pub name: String,
}

/// A multiplication to run, from [`Handle::gemm`]: in cuBLAS's column-major terms
/// `C[m, n] = alpha * op(W)[m, k] * op(B)[k, n] + beta * C`.
#[derive(Debug)]
#[must_use = "run() multiplies"]
pub struct Gemm<'a, T> {
    handle: &'a Handle,
    weight: &'a Weight,
    b: Matrix<'a, T>,
    settings: Settings,
    op_b: Operation,
    algorithm: i32,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    op_weight: Operation,
    alpha: f32,
    beta: f32,
    compute: ComputeType,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            op_weight: Operation::T,
            alpha: 1.0,
            beta: 0.0,
            compute: ComputeType::F32,
        }
    }
}

impl Settings {
    /// m and k of the weight.
    fn dims(&self, (rows, cols): (usize, usize)) -> (usize, usize) {
        match self.op_weight {
            Operation::T => (rows, cols),
            Operation::N => (cols, rows),
        }
    }
}

fn check_b_and_c(
    (b_rows, b_cols): (usize, usize),
    (c_rows, c_cols): (usize, usize),
    op_b: Operation,
    (m, n, k): (usize, usize, usize),
) -> Result<()> {
    let b_needs = match op_b {
        Operation::N => (n, k),
        Operation::T => (k, n),
    };
    for (name, is, needs) in [
        ("B", (b_rows, b_cols), b_needs),
        ("C", (c_rows, c_cols), (n, m)),
    ] {
        if is != needs {
            return Err(Error::invalid(format!(
                "{name} is {} x {}, has to be {} x {}: m = {m}, n = {n}, k = {k}",
                is.0, is.1, needs.0, needs.1
            )));
        }
    }
    Ok(())
}

macro_rules! settings {
    () => {
        /// How the weight is used. The default, [`Operation::T`], multiplies by W as a linear layer does, the
        /// fast way; [`Operation::N`] multiplies by its transpose.
        pub fn op_weight(mut self, operation: Operation) -> Self {
            self.settings.op_weight = operation;
            self
        }

        /// The factor of the product; 1 by default. With 0, B is not read.
        pub fn alpha(mut self, alpha: f32) -> Self {
            self.settings.alpha = alpha;
            self
        }

        /// The factor of what C holds; 0 by default, which does not read C.
        pub fn beta(mut self, beta: f32) -> Self {
            self.settings.beta = beta;
            self
        }

        /// How exact it has to be. The default is [`ComputeType::F32`].
        pub fn compute(mut self, compute: ComputeType) -> Self {
            self.settings.compute = compute;
            self
        }
    };
}

impl<T: Element> Gemm<'_, T> {
    settings!();

    /// How B is used. As a row-major [`Matrix`], B is `[n, k]` for N (the default: a token per row) and
    /// `[k, n]` for T.
    pub fn op_b(mut self, operation: Operation) -> Self {
        self.op_b = operation;
        self
    }

    /// A kernel that [`Gemm::algorithms`] named; by default the library chooses.
    pub fn algorithm(mut self, id: i32) -> Self {
        self.algorithm = id;
        self
    }

    fn dims(&self) -> (usize, usize, usize) {
        let (m, k) = self.settings.dims((self.weight.rows(), self.weight.cols()));
        let n = match self.op_b {
            Operation::N => self.b.rows,
            Operation::T => self.b.cols,
        };
        (m, n, k)
    }

    /// Multiplies into `c`, as a row-major matrix `[n, m]` (column-major `[m, n]`), of `f32` or B's type. On
    /// a GPU it enqueues and returns.
    ///
    /// # Errors
    /// As for [`Linear::run`](crate::Linear::run).
    pub fn run<U: Element>(self, c: MatrixMut<'_, U>) -> Result<()> {
        let (handle, b, dims) = (self.handle, &self.b, self.dims());
        check_b_and_c((b.rows, b.cols), (c.rows, c.cols), self.op_b, dims)?;
        handle.accepts("B", b.slice.len, b.slice.place, &b.slice.guard)?;
        handle.accepts("C", c.slice.len, c.slice.place, &c.slice.guard)?;
        // SAFETY: every shape, stride and length was checked.
        call(|| unsafe {
            fp6llmGemmEx(
                handle.raw(),
                self.settings.op_weight.raw(),
                self.op_b.raw(),
                dims.0 as i64,
                dims.1 as i64,
                dims.2 as i64,
                (&raw const self.settings.alpha).cast(),
                self.weight.raw(),
                b.slice.pointer.cast(),
                T::RAW,
                b.ld(),
                (&raw const self.settings.beta).cast(),
                c.slice.pointer.cast(),
                U::RAW,
                c.ld(),
                self.settings.compute.raw(),
                self.algorithm,
            )
        })
    }

    /// The workspace that the same multiplication into a C of type `U` needs, in bytes.
    ///
    /// # Errors
    /// As for [`Linear::run`](crate::Linear::run).
    pub fn workspace_bytes<U: Element>(&self) -> Result<usize> {
        let (dims, mut bytes) = (self.dims(), 0);
        // SAFETY: pointers to locals.
        call(|| unsafe {
            fp6llmGemmGetWorkspaceSize(
                self.handle.raw(),
                self.settings.op_weight.raw(),
                self.op_b.raw(),
                dims.0 as i64,
                dims.1 as i64,
                dims.2 as i64,
                self.weight.raw(),
                T::RAW,
                U::RAW,
                self.settings.compute.raw(),
                self.algorithm,
                &mut bytes,
            )
        })?;
        Ok(bytes)
    }

    /// The kernels that can run the multiplication into a C of type `U`, the library's choice first; at most
    /// `limit`.
    ///
    /// # Errors
    /// As for [`Linear::run`](crate::Linear::run); also `limit` = 0.
    pub fn algorithms<U: Element>(&self, limit: usize) -> Result<Vec<Algorithm>> {
        enter()?;
        let dims = self.dims();
        let limit = limit.min(1024);
        let mut results = vec![fp6llmHeuristicResult_t::default(); limit.max(1)];
        let mut returned = 0;
        let requested = count(limit)?;
        // SAFETY: `requested` structs, the first with its size set.
        call(|| unsafe {
            fp6llmGemmGetHeuristic(
                self.handle.raw(),
                self.settings.op_weight.raw(),
                self.op_b.raw(),
                dims.0 as i64,
                dims.1 as i64,
                dims.2 as i64,
                self.weight.raw(),
                T::RAW,
                U::RAW,
                self.settings.compute.raw(),
                requested,
                results.as_mut_ptr(),
                &mut returned,
            )
        })?;
        results.truncate(returned.max(0) as usize);
        Ok(results
            .iter()
            .map(|result| Algorithm {
                id: result.algo,
                is_reference: result.isReference != 0,
                workspace_bytes: result.workspaceSize,
                name: field_text(&result.name),
            })
            .collect())
    }
}

/// The weights of a grouped multiplication, all of one shape; made once, as it allocates.
#[derive(Clone, Debug)]
pub struct WeightGroup<'a> {
    raw: Vec<fp6llmWeight_t>,
    shape: Option<(usize, usize)>,
    weights: PhantomData<&'a Weight>,
}

// SAFETY: borrowed weights, which are Sync.
unsafe impl Send for WeightGroup<'_> {}
// SAFETY: as above.
unsafe impl Sync for WeightGroup<'_> {}

impl<'a> WeightGroup<'a> {
    /// A weight per group; None where a group never has tokens.
    ///
    /// # Errors
    /// [`Status::InvalidValue`](crate::Status::InvalidValue): weights of different shapes.
    pub fn new(weights: impl IntoIterator<Item = Option<&'a Weight>>) -> Result<Self> {
        let mut group = WeightGroup {
            raw: Vec::new(),
            shape: None,
            weights: PhantomData,
        };
        for weight in weights {
            if let Some(weight) = weight {
                let shape = (weight.rows(), weight.cols());
                let first = *group.shape.get_or_insert(shape);
                if shape != first {
                    return Err(Error::invalid(format!(
                        "weight {} is {} x {}, one before {} x {}",
                        group.raw.len(),
                        shape.0,
                        shape.1,
                        first.0,
                        first.1
                    )));
                }
            }
            group
                .raw
                .push(weight.map_or(std::ptr::null_mut(), Weight::raw));
        }
        Ok(group)
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

/// One multiplication per group to run, from [`Handle::gemm_grouped`].
#[derive(Debug)]
#[must_use = "run() multiplies"]
pub struct GroupedGemm<'a, T> {
    handle: &'a Handle,
    weights: &'a WeightGroup<'a>,
    offsets: Slice<'a, i64>,
    b: Matrix<'a, T>,
    settings: Settings,
}

impl<T: Element> GroupedGemm<'_, T> {
    settings!();

    /// Multiplies into `c`, `[n, m]`: a token per row, like B. Rows from `offsets[groups]` on stay as they are.
    ///
    /// # Errors
    /// As for [`Linear::run`](crate::Linear::run); also offsets that do not ascend from 0 or go beyond B's rows.
    pub fn run<U: Element>(self, c: MatrixMut<'_, U>) -> Result<()> {
        let (handle, b, groups) = (self.handle, &self.b, self.weights.len());
        if self.offsets.len != groups + 1 {
            return Err(Error::invalid(format!(
                "offsets has {} elements, {groups} groups take {}",
                self.offsets.len,
                groups + 1
            )));
        }
        let (m, k) = match self.weights.shape {
            Some(shape) => self.settings.dims(shape),
            None => (c.cols, b.cols),
        };
        let dims = (m, b.rows, k);
        check_b_and_c((b.rows, b.cols), (c.rows, c.cols), Operation::N, dims)?;
        handle.accepts(
            "offsets",
            self.offsets.len,
            self.offsets.place,
            &self.offsets.guard,
        )?;
        handle.accepts("B", b.slice.len, b.slice.place, &b.slice.guard)?;
        handle.accepts("C", c.slice.len, c.slice.place, &c.slice.guard)?;
        // SAFETY: every shape, stride and length was checked.
        call(|| unsafe {
            fp6llmGemmGroupedEx(
                handle.raw(),
                groups as i64,
                self.settings.op_weight.raw(),
                FP6LLM_OP_N,
                dims.0 as i64,
                dims.1 as i64,
                dims.2 as i64,
                self.offsets.pointer,
                (&raw const self.settings.alpha).cast(),
                self.weights.raw.as_ptr(),
                b.slice.pointer.cast(),
                T::RAW,
                b.ld(),
                (&raw const self.settings.beta).cast(),
                c.slice.pointer.cast(),
                U::RAW,
                c.ld(),
                self.settings.compute.raw(),
                FP6LLM_ALGO_DEFAULT,
            )
        })
    }
}

impl Handle {
    /// cuBLAS's GEMM with a weight in place of A; [`Gemm::run`] runs it.
    ///
    /// ```
    /// use fp6llm::{Handle, Matrix, MatrixMut, Operation, QuantConfig, Weight};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// # let w = [2f32; 3 * 32];
    /// # let weight = Weight::from_float(&handle, &QuantConfig::default(), Matrix::new(&w, 3, 32)?)?;
    /// // weight: [3, 32], all 2. The gradient of a layer's input: multiply by the transpose.
    /// let gradient = [1f32, 1.0, 1.0]; // one token's, [1, 3]
    /// let mut input_gradient = [10f32; 32];
    /// handle
    ///     .gemm(&weight, Matrix::new(&gradient, 1, 3)?)
    ///     .op_weight(Operation::N)
    ///     .alpha(0.5)
    ///     .beta(1.0)
    ///     .run(MatrixMut::new(&mut input_gradient, 1, 32)?)?;
    /// assert_eq!(input_gradient, [13f32; 32]); // 0.5 * 6 + 10
    /// # Ok(())
    /// # }
    /// ```
    pub fn gemm<'a, T: Element>(&'a self, weight: &'a Weight, b: Matrix<'a, T>) -> Gemm<'a, T> {
        Gemm {
            handle: self,
            weight,
            b,
            settings: Settings::default(),
            op_b: Operation::N,
            algorithm: FP6LLM_ALGO_DEFAULT,
        }
    }

    /// A multiplication per group, as a mixture of experts needs: the rows of `b`, tokens sorted by expert,
    /// from `offsets[g]` to `offsets[g + 1]` are multiplied by weight `g`. `offsets` has one element more than
    /// there are groups, and lies where the backend's data does. In device memory it cannot be checked: who made
    /// that view vouches for its values.
    ///
    /// ```
    /// use fp6llm::{Handle, Matrix, MatrixMut, QuantConfig, Weight, WeightGroup};
    /// # fn main() -> fp6llm::Result<()> {
    /// # let handle = Handle::builder().backend(fp6llm::Backend::Cpu).build()?;
    /// # let make = |v| Weight::from_float(&handle, &QuantConfig::default(), Matrix::new(&[v; 16], 1, 16)?);
    /// let experts = [make(1f32)?, make(2f32)?]; // [1, 16] each
    /// let group = WeightGroup::new(experts.iter().map(Some))?;
    /// let b = [1f32; 3 * 16]; // three tokens: one for expert 0, two for expert 1
    /// let mut c = [0f32; 3];
    /// handle
    ///     .gemm_grouped(&group, &[0, 1, 3], Matrix::new(&b, 3, 16)?)
    ///     .run(MatrixMut::new(&mut c, 3, 1)?)?;
    /// assert_eq!(c, [16.0, 32.0, 32.0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn gemm_grouped<'a, T: Element>(
        &'a self,
        weights: &'a WeightGroup<'a>,
        offsets: impl Into<Slice<'a, i64>>,
        b: Matrix<'a, T>,
    ) -> GroupedGemm<'a, T> {
        GroupedGemm {
            handle: self,
            weights,
            offsets: offsets.into(),
            b,
            settings: Settings::default(),
        }
    }
}
