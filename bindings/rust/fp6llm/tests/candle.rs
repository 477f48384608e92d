//! The candle layer inside a candle model, against the same model in fp64.
#![cfg(feature = "candle")]

mod oracle;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Module, Tensor};
use fp6llm::candle::Linear;
use fp6llm::{Activation, Backend, Handle, QuantConfig};
use oracle::{dequantize, product, quantize, widen, Generator};

fn handle() -> Arc<Mutex<Handle>> {
    let builder = Handle::builder().backend(Backend::Cpu).threads(2);
    Arc::new(Mutex::new(builder.build().unwrap()))
}

fn dequantized(w: &[f32], cols: usize) -> Vec<f64> {
    let (codes, scales) = quantize(w, cols, cols, oracle::E3M2);
    dequantize(&codes, &widen(&scales), cols, cols, oracle::E3M2)
}

/// A gated feed-forward block, as Llama has it, with a residual.
struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Module for FeedForward {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let inner = (self.gate.forward(x)? * self.up.forward(x)?)?;
        x + self.down.forward(&inner)?
    }
}

#[test]
fn a_feed_forward_block() {
    let (hidden, inner) = (32, 48);
    let handle = handle();
    let mut random = Generator(21);
    let gate = random.fill(inner * hidden);
    let up = random.fill(inner * hidden);
    let down = random.fill(hidden * inner);
    let bias = random.fill(inner);
    let x = random.fill(6 * hidden);
    let tensor =
        |data: &[f32], shape: &[usize]| Tensor::from_slice(data, shape, &Device::Cpu).unwrap();
    let config = QuantConfig::default();
    let layer = |w: &[f32], rows: usize, cols: usize, bias: Option<&Tensor>| {
        Linear::quantize(&handle, &tensor(w, &[rows, cols]), bias, &config).unwrap()
    };
    let model = FeedForward {
        gate: layer(&gate, inner, hidden, Some(&tensor(&bias, &[inner])))
            .with_activation(Activation::Silu),
        up: layer(&up, inner, hidden, None),
        down: layer(&down, hidden, inner, None),
    };

    let up_exact = product(&widen(&x), &dequantized(&up, hidden), hidden);
    let gate_exact = product(&widen(&x), &dequantized(&gate, hidden), hidden);
    let middle: Vec<f64> = gate_exact
        .iter()
        .zip(&up_exact)
        .enumerate()
        .map(|(i, (gate, up))| {
            let v = gate.0 + f64::from(bias[i % inner]);
            v / (1.0 + (-v).exp()) * up.0
        })
        .collect();
    let expected: Vec<f64> = product(&middle, &dequantized(&down, inner), inner)
        .iter()
        .zip(&x)
        .map(|(sum, x)| sum.0 + f64::from(*x))
        .collect();
    let size = expected.iter().fold(0f64, |a, v| a.max(v.abs()));

    for (dtype, epsilon) in [(DType::F32, 1e-6), (DType::F16, 1e-2), (DType::BF16, 8e-2)] {
        // Batched, and not contiguous: candle's transpose only changes strides.
        let input = tensor(&x, &[2, 3, hidden]).to_dtype(dtype).unwrap();
        let strided = input
            .transpose(1, 2)
            .unwrap()
            .contiguous()
            .unwrap()
            .transpose(1, 2)
            .unwrap();
        assert!(!strided.is_contiguous());
        for input in [input, strided] {
            let y = model.forward(&input).unwrap();
            assert_eq!((y.dims(), y.dtype()), (&[2, 3, hidden][..], dtype));
            let y = y.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            for (y, expected) in y.to_vec1::<f64>().unwrap().iter().zip(&expected) {
                assert!(
                    (y - expected).abs() <= epsilon * size,
                    "{dtype:?}: {y} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let handle = handle();
    let w = Tensor::ones((3, 16), DType::F32, &Device::Cpu).unwrap();
    let config = QuantConfig::default();
    let layer = Linear::quantize(&handle, &w, None, &config).unwrap();
    let forward = |shape: &[usize], dtype| {
        let x = Tensor::ones(shape, dtype, &Device::Cpu).unwrap();
        layer.forward(&x)
    };
    let text = |error: candle_core::Error| error.to_string();
    assert!(text(forward(&[2, 15], DType::F32).unwrap_err()).contains("has to be [.., 16]"));
    assert!(text(forward(&[], DType::F32).unwrap_err()).contains("has to be [.., 16]"));
    assert!(text(forward(&[2, 16], DType::F64).unwrap_err()).contains("none of F32"));
    assert_eq!(forward(&[0, 16], DType::F32).unwrap().dims(), [0, 3]);
    let bias = Tensor::ones(4, DType::F32, &Device::Cpu).unwrap();
    assert!(
        text(Linear::quantize(&handle, &w, Some(&bias), &config).unwrap_err())
            .contains("has to be [3]")
    );
    let nan = (&w * f64::NAN).unwrap();
    assert!(Linear::quantize(&handle, &nan, None, &config).is_err());
    let wide = w.to_dtype(DType::F64).unwrap();
    assert!(
        text(Linear::quantize(&handle, &wide, None, &config).unwrap_err()).contains("none of F32")
    );
}

#[test]
fn layers_run_on_any_thread() {
    let handle = handle();
    let w = Tensor::ones((8, 32), DType::F32, &Device::Cpu).unwrap();
    let layer = Linear::quantize(&handle, &w, None, &QuantConfig::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let x = Tensor::ones((2, 32), DType::F32, &Device::Cpu).unwrap();
                for _ in 0..20 {
                    let y = layer.forward(&x).unwrap().flatten_all().unwrap();
                    assert_eq!(y.to_vec1::<f32>().unwrap(), vec![32f32; 16]);
                }
            });
        }
    });
}
