//! What a call costs over the C call: the safe `linear().run()` and the raw `fp6llmLinear`, taking turns.
//! The layer is small, [16, 16] and one token, so that the call is most of it. Rounds are short and the
//! fastest counts, so that other work on the machine does not.

use std::hint::black_box;
use std::time::Instant;

use fp6llm::{Backend, Handle, Matrix, MatrixMut, QuantConfig, Weight};
use fp6llm_sys as sys;

const ROUNDS: usize = 3000;
const CALLS: u32 = 500;
const N: usize = 16;

fn nanoseconds(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn fastest(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn main() -> fp6llm::Result<()> {
    let handle = Handle::builder().backend(Backend::Cpu).threads(1).build()?;
    let weight = Weight::from_float(
        &handle,
        &QuantConfig::default(),
        Matrix::new(&[1f32; N * N], N, N)?,
    )?;
    let (x, mut y) = ([1f32; N], [0f32; N]);
    let epilogue = sys::fp6llmEpilogue_t::default();
    for tokens in [0, 1] {
        let mut safe = Vec::new();
        let mut raw = Vec::new();
        for _ in 0..ROUNDS {
            raw.push(nanoseconds(|| {
                // SAFETY: the shapes are those of the arrays.
                let status = unsafe {
                    sys::fp6llmLinear(
                        handle.raw(),
                        black_box(tokens as i64),
                        x.as_ptr().cast(),
                        sys::FP6LLM_R_32F,
                        N as i64,
                        weight.raw(),
                        &epilogue,
                        y.as_mut_ptr().cast(),
                        sys::FP6LLM_R_32F,
                        N as i64,
                    )
                };
                assert_eq!(status, 0);
            }));
            safe.push(nanoseconds(|| {
                let tokens = black_box(tokens);
                let input = Matrix::new(&x[..tokens * N], tokens, N).unwrap();
                let output = MatrixMut::new(&mut y[..tokens * N], tokens, N).unwrap();
                handle.linear(&weight, input).run(output).unwrap();
            }));
        }
        let (raw, safe) = (fastest(&raw), fastest(&safe));
        println!(
            "linear [{N}, {N}], {tokens} tokens: C {raw:.0} ns, safe {safe:.0} ns, over C {:.0} ns",
            safe - raw
        );
    }
    Ok(())
}
