//! Device memory through cudarc. Skipped, and said so, where there is no GPU; tests/emulator has one that
//! needs none.
#![cfg(feature = "cudarc")]

mod oracle;

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream};
use fp6llm::*;
use oracle::{dequantize, pack, product, quantize, tolerance, widen, Generator};

fn stream() -> Option<Arc<CudaStream>> {
    if device_count(Backend::Cuda).unwrap() == 0 {
        assert!(
            std::env::var_os("FP6LLM_TEST_NEEDS_GPU").is_none(),
            "no CUDA device"
        );
        eprintln!("skipped: no CUDA device");
        return None;
    }
    Some(CudaContext::new(0).unwrap().new_stream().unwrap())
}

#[test]
fn quantizes_and_multiplies_on_a_stream() {
    let Some(stream) = stream() else { return };
    let (rows, cols, tokens) = (24, 64, 3);
    let w = Generator(31).fill(rows * cols);
    let x = Generator(32).fill(tokens * cols);
    let bias = Generator(33).fill(rows);
    let (codes, scales) = quantize(&w, cols, cols, oracle::E3M2);
    let exact = dequantize(&codes, &widen(&scales), cols, cols, oracle::E3M2);

    let handle = Handle::builder().stream(&stream).build().unwrap();
    assert_eq!(handle.backend(), Backend::Cuda);
    let config = QuantConfig::default();
    let w_device = stream.clone_htod(&w).unwrap();
    let mut codes_device = stream.alloc_zeros::<u8>(rows * cols * 6 / 8).unwrap();
    let mut scales_device = stream.alloc_zeros::<f32>(rows).unwrap();
    {
        let w = Matrix::new(handle.device_slice(&w_device).unwrap(), rows, cols).unwrap();
        let codes = handle.device_slice_mut(&mut codes_device).unwrap();
        let scales = handle.device_slice_mut(&mut scales_device).unwrap();
        handle.quantize_into(&config, w, codes, scales).unwrap();
    }
    handle.synchronize().unwrap();
    assert_eq!(
        stream.clone_dtoh(&codes_device).unwrap(),
        pack(&codes, cols, oracle::E3M2)
    );
    assert_eq!(stream.clone_dtoh(&scales_device).unwrap(), scales);

    let checkpoint = QuantizedRef::new(
        &config,
        rows,
        cols,
        handle.device_slice(&codes_device).unwrap(),
        handle.device_slice(&scales_device).unwrap(),
    )
    .unwrap();
    let weight = Weight::from_codes(&handle, checkpoint).unwrap();
    assert_eq!(weight.info().unwrap().backend, Backend::Cuda);

    let x_device = stream.clone_htod(&x).unwrap();
    let bias_device = stream.clone_htod(&bias).unwrap();
    let mut y_device = stream.alloc_zeros::<f32>(tokens * rows).unwrap();
    // A view of the first token, then all of them.
    for n in [1, tokens] {
        let view = x_device.slice(..n * cols);
        let mut out = y_device.slice_mut(..n * rows);
        handle
            .linear(
                &weight,
                Matrix::new(handle.device_slice(&view).unwrap(), n, cols).unwrap(),
            )
            .bias(handle.device_slice(&bias_device).unwrap())
            .run(MatrixMut::new(handle.device_slice_mut(&mut out).unwrap(), n, rows).unwrap())
            .unwrap();
    }
    let y = stream.clone_dtoh(&y_device).unwrap();
    for (i, (y, (sum, size))) in y.iter().zip(product(&widen(&x), &exact, cols)).enumerate() {
        let error = (f64::from(*y) - (sum + f64::from(bias[i % rows]))).abs();
        assert!(error <= tolerance(cols, size + 1.0), "{i}: off by {error}");
    }

    let mut back_codes = stream.alloc_zeros::<u8>(rows * cols * 6 / 8).unwrap();
    let mut back_scales = stream.alloc_zeros::<f32>(rows).unwrap();
    weight
        .export_into(
            &handle,
            handle.device_slice_mut(&mut back_codes).unwrap(),
            handle.device_slice_mut(&mut back_scales).unwrap(),
        )
        .unwrap();
    assert_eq!(
        stream.clone_dtoh(&back_codes).unwrap(),
        pack(&codes, cols, oracle::E3M2)
    );
}

#[test]
fn memory_of_the_host_and_of_other_streams_is_refused() {
    let Some(stream) = stream() else { return };
    let handle = Handle::builder().stream(&stream).build().unwrap();
    let w = [1f32; 32];
    let on_host = Matrix::new(&w, 2, 16).unwrap();
    let error = Weight::from_float(&handle, &QuantConfig::default(), on_host).unwrap_err();
    assert_eq!(
        error.detail(),
        "W is host memory, the handle's backend is CUDA"
    );

    let device = stream.clone_htod(&w).unwrap();
    let other_stream = stream.context().new_stream().unwrap();
    let other = Handle::builder().stream(&other_stream).build().unwrap();
    let slice = other.device_slice(&device).unwrap();
    let matrix = Matrix::new(slice, 2, 16).unwrap();
    let error = Weight::from_float(&handle, &QuantConfig::default(), matrix).unwrap_err();
    assert!(
        error.detail().contains("another handle's stream"),
        "{error}"
    );

    let cpu = Handle::builder().backend(Backend::Cpu).build().unwrap();
    assert_eq!(
        cpu.device_slice(&device).unwrap_err().status(),
        Status::InvalidValue
    );
    let slice = handle.device_slice(&device).unwrap();
    let matrix = Matrix::new(slice, 2, 16).unwrap();
    assert!(Weight::from_float(&cpu, &QuantConfig::default(), matrix).is_err());
}
