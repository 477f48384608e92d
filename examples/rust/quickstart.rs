//! Quantizes a weight to 6 bits, makes a weight object of it, and multiplies: Y = X W^T.
//! `cargo run`, where pkg-config or FP6LLM_LIB_DIR knows libfp6llm (bindings/rust/fp6llm-sys/README.md).
//! examples/README.md defines the problem; every language prints the same line.

use fp6llm::{Backend, Handle, Matrix, MatrixMut, QuantConfig, Weight};

const OUTPUTS: usize = 96;
const INPUTS: usize = 160;
const TOKENS: usize = 5;

/// Uniform in [-1, 1), the same on every machine: xorshift32.
fn uniform(count: usize, state: &mut u32) -> Vec<f32> {
    let next = |_| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        (*state >> 8) as f32 / 8388608.0 - 1.0
    };
    (0..count).map(next).collect()
}

/// FNV-1a of bytes.
fn fnv1a<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(2166136261, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16777619)
    })
}

fn main() -> fp6llm::Result<()> {
    let mut state = 2463534242;
    let w = uniform(OUTPUTS * INPUTS, &mut state);
    let x = uniform(TOKENS * INPUTS, &mut state);
    let handle = Handle::builder().backend(Backend::Cpu).build()?;

    // Plain codes and scales: what is stored. The default config is E3M2 with one fp32 scale per row.
    let matrix = Matrix::new(&w, OUTPUTS, INPUTS)?;
    let quantized = handle.quantize(&QuantConfig::default(), matrix)?;

    // Prepacked for this processor: what multiplies. Weight::from_float() does both at once.
    let weight = Weight::from_codes(&handle, &quantized)?;
    let mut y = vec![0f32; TOKENS * OUTPUTS];
    handle
        .linear(&weight, Matrix::new(&x, TOKENS, INPUTS)?)
        .run(MatrixMut::new(&mut y, TOKENS, OUTPUTS)?)?;

    let stored = quantized
        .codes()
        .iter()
        .chain(quantized.scales().as_bytes());
    let mean = y.iter().map(|&v| f64::from(v.abs())).sum::<f64>() / y.len() as f64;
    println!(
        "checksum {:08x}, y[0] = {:.4}, mean |y| = {:.4}",
        fnv1a(stored),
        y[0],
        mean
    );
    Ok(())
}
