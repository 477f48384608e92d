//! Quantize, dequantize and multiply against arithmetic of our own (oracle/mod.rs).

mod oracle;

use fp6llm::*;
use oracle::{dequantize, pack, product, quantize, quantize_mx, tolerance, widen, Bits, Generator};

const FORMATS: [(Format, Bits); 5] = [
    (Format::E3M2, oracle::E3M2),
    (Format::E2M3, oracle::E2M3),
    (Format::E2M2, oracle::E2M2),
    (Format::E3M1, oracle::E3M1),
    (Format::E2M1, oracle::E2M1),
];

fn cpu() -> Handle {
    Handle::builder()
        .backend(Backend::Cpu)
        .threads(2)
        .build()
        .unwrap()
}

fn f64_scales(scales: &Scales) -> Vec<f64> {
    match scales {
        Scales::F32(scales) => widen(scales),
        Scales::E8M0(scales) => scales
            .iter()
            .map(|&e| 2f64.powi(i32::from(e) - 127))
            .collect(),
        Scales::F16(_) => unreachable!(),
    }
}

/// A weight [rows, cols] and the matrix it stands for.
fn weight(handle: &Handle, rows: usize, cols: usize, seed: u32) -> (Weight, Vec<f64>) {
    let w = Generator(seed).fill(rows * cols);
    let matrix = Matrix::new(&w, rows, cols).unwrap();
    let made = Weight::from_float(handle, &QuantConfig::default(), matrix).unwrap();
    let (codes, scales) = quantize(&w, cols, cols, oracle::E3M2);
    (
        made,
        dequantize(&codes, &widen(&scales), cols, cols, oracle::E3M2),
    )
}

fn assert_near(y: &[f32], expected: &[(f64, f64)], k: usize) {
    assert_eq!(y.len(), expected.len());
    for (i, (&y, &(sum, size))) in y.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(y) - sum).abs() <= tolerance(k, size),
            "{i}: {y} is not {sum}"
        );
    }
}

/// The rms of the error, relative to that of the product.
fn relative_error(y: &[f32], expected: &[(f64, f64)]) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (&y, &(sum, _)) in y.iter().zip(expected) {
        difference += (f64::from(y) - sum).powi(2);
        size += sum.powi(2);
    }
    (difference / size).sqrt()
}

#[test]
fn quantizes_every_format_and_scale_mode_bit_for_bit() {
    let handle = cpu();
    let (rows, cols) = (7, 75);
    let w = Generator(1).fill(rows * cols);
    for (format, bits) in FORMATS {
        for (scale, group) in [(Scale::Row, cols), (Scale::Group(24), 24), (Scale::Mx, 32)] {
            let (codes, scales) = match scale {
                Scale::Mx => {
                    let (codes, scales) = quantize_mx(&w, cols, bits);
                    (codes, Scales::E8M0(scales))
                }
                _ => {
                    let (codes, scales) = quantize(&w, cols, group, bits);
                    (codes, Scales::F32(scales))
                }
            };
            let config = QuantConfig::new(format).scale(scale);
            let matrix = Matrix::new(&w, rows, cols).unwrap();
            let made = handle.quantize(&config, matrix).unwrap();
            assert_eq!(
                made.codes(),
                pack(&codes, cols, bits),
                "{format:?} {scale:?}"
            );
            assert_eq!(made.scales(), &scales, "{format:?} {scale:?}");
            let expected = dequantize(&codes, &f64_scales(&scales), cols, group, bits);

            let mut back = vec![0f32; rows * cols];
            let out = MatrixMut::new(&mut back, rows, cols).unwrap();
            handle.dequantize(&made, out).unwrap();
            let rounded: Vec<f32> = expected.iter().map(|&v| v as f32).collect();
            assert_eq!(back, rounded, "{format:?} {scale:?}");

            // Through a weight and back, and by way of a blob.
            let weight = Weight::from_codes(&handle, &made).unwrap();
            assert_eq!(weight.export(&handle).unwrap().codes(), made.codes());
            assert_eq!(weight.export(&handle).unwrap().scales(), made.scales());
            let blob = Blob::pack(&handle, &made).unwrap();
            let copy = std::sync::Arc::new(Blob::from_bytes(&blob).unwrap());
            let view = Weight::from_blob(&handle, copy).unwrap();
            let info = view.info().unwrap();
            assert!(info.is_view);
            assert_eq!(
                (info.rows, info.cols, info.format, info.scale),
                match scale {
                    Scale::Row => (rows, cols, format, Scale::Row),
                    other => (rows, cols, format, other),
                }
            );
            let x = Generator(2).fill(3 * cols);
            let mut y = vec![0f32; 3 * rows];
            let (x_view, y_view) = (
                Matrix::new(&x, 3, cols).unwrap(),
                MatrixMut::new(&mut y, 3, rows).unwrap(),
            );
            handle.linear(&view, x_view).run(y_view).unwrap();
            assert_near(&y, &product(&widen(&x), &expected, cols), cols);
        }
    }
}

#[test]
fn auto_and_statistics_tell_what_was_chosen() {
    let handle = cpu();
    let w = Generator(3).fill(16 * 64);
    let (made, stats) = handle
        .quantize_with_stats(
            &QuantConfig::new(Format::Auto),
            Matrix::new(&w, 16, 64).unwrap(),
        )
        .unwrap();
    // Uniform weights have no outliers: E2M3 has the finer steps.
    assert_eq!(stats.format, Format::E2M3);
    let plain = handle
        .quantize(
            &QuantConfig::new(Format::Auto),
            Matrix::new(&w, 16, 64).unwrap(),
        )
        .unwrap();
    assert_eq!(plain, made);
    let (codes, scales) = quantize(&w, 64, 64, oracle::E2M3);
    assert_eq!(made.codes(), pack(&codes, 64, oracle::E2M3));
    let exact = dequantize(&codes, &widen(&scales), 64, 64, oracle::E2M3);
    let mse = widen(&w)
        .iter()
        .zip(&exact)
        .map(|(w, e)| (w - e).powi(2))
        .sum::<f64>()
        / w.len() as f64;
    assert!(
        (stats.mse - mse).abs() < 1e-6 * mse,
        "{} is not {mse}",
        stats.mse
    );
    assert_eq!((stats.saturated, stats.non_finite), (0, 0));
    assert!(stats.snr_db() > 25.0);
}

#[test]
fn published_layouts_come_back() {
    let handle = cpu();
    let w = Generator(4).fill(64 * 128);
    let config = QuantConfig::default();
    let made = handle
        .quantize(&config, Matrix::new(&w, 64, 128).unwrap())
        .unwrap();
    let weight = Weight::from_codes(&handle, &made).unwrap();
    for layout in [PackedLayout::TcFpx, PackedLayout::Split42] {
        let (packed, scales) = weight.export_packed(&handle, layout).unwrap();
        let again =
            Weight::from_packed(&handle, layout, &config, (64, 128), &packed, scales.view())
                .unwrap();
        let back = again.export(&handle).unwrap();
        assert_eq!(
            (back.codes(), back.scales()),
            (made.codes(), made.scales()),
            "{layout:?}"
        );
    }
}

#[test]
fn linear_has_bias_activation_residual_and_strides() {
    let handle = cpu();
    let (rows, cols, tokens) = (19, 45, 6);
    let (weight, w) = weight(&handle, rows, cols, 5);
    let mut random = Generator(6);
    let (ldx, ldy, ldr) = (cols + 3, rows + 2, rows + 5);
    let x = random.fill((tokens - 1) * ldx + cols);
    let bias = random.fill(rows);
    let residual = random.fill((tokens - 1) * ldr + rows);
    let mut y = vec![7f32; tokens * ldy];
    handle
        .linear(&weight, Matrix::with_stride(&x, tokens, cols, ldx).unwrap())
        .bias(&bias)
        .activation(Activation::Silu)
        .residual(Matrix::with_stride(&residual, tokens, rows, ldr).unwrap())
        .compute(ComputeType::F32)
        .run(MatrixMut::with_stride(&mut y, tokens, rows, ldy).unwrap())
        .unwrap();
    for t in 0..tokens {
        let sums = product(&widen(&x[t * ldx..][..cols]), &w, cols);
        for (r, (sum, size)) in sums.into_iter().enumerate() {
            let v = sum + f64::from(bias[r]);
            let expected = v / (1.0 + (-v).exp()) + f64::from(residual[t * ldr + r]);
            let error = (f64::from(y[t * ldy + r]) - expected).abs();
            assert!(
                error <= 4.0 * tolerance(cols, size + 4.0),
                "{t} {r}: off by {error}"
            );
        }
        // What lies between the rows stays.
        assert!(y[t * ldy + rows..][..ldy - rows].iter().all(|&v| v == 7.0));
    }

    // The output as its own residual.
    let x = &x[..cols];
    let mut once = vec![0f32; rows];
    let mut twice = vec![0f32; rows];
    let run = |y: &mut Vec<f32>, add: bool| {
        let linear = handle.linear(&weight, Matrix::new(x, 1, cols).unwrap());
        let linear = if add { linear.add_to_output() } else { linear };
        linear.run(MatrixMut::new(y, 1, rows).unwrap()).unwrap();
    };
    run(&mut once, false);
    run(&mut twice, false);
    run(&mut twice, true);
    assert!(once
        .iter()
        .zip(&twice)
        .all(|(once, twice)| 2.0 * once == *twice));
}

#[test]
fn gemm_has_factors_and_transposes() {
    let handle = cpu();
    let (rows, cols, n) = (21, 34, 5);
    let (weight, w) = weight(&handle, rows, cols, 7);
    let transposed: Vec<f64> = (0..rows * cols)
        .map(|i| w[i % rows * cols + i / rows])
        .collect();
    let mut random = Generator(8);
    for (op_weight, m, k, w) in [
        (Operation::T, rows, cols, &w),
        (Operation::N, cols, rows, &transposed),
    ] {
        let b = random.fill(n * k);
        let b_transposed: Vec<f32> = (0..n * k).map(|i| b[i % n * k + i / n]).collect();
        let start = random.fill(n * m);
        let expected: Vec<(f64, f64)> = product(&widen(&b), w, k)
            .iter()
            .zip(&start)
            .map(|((sum, size), c)| {
                let c = f64::from(*c);
                (0.5 * sum - 2.0 * c, size + 4.0 * c.abs())
            })
            .collect();
        for (op_b, data, shape) in [
            (Operation::N, &b, (n, k)),
            (Operation::T, &b_transposed, (k, n)),
        ] {
            let gemm = || {
                let b = Matrix::new(data, shape.0, shape.1).unwrap();
                handle
                    .gemm(&weight, b)
                    .op_weight(op_weight)
                    .op_b(op_b)
                    .alpha(0.5)
                    .beta(-2.0)
            };
            let mut c = start.clone();
            gemm().run(MatrixMut::new(&mut c, n, m).unwrap()).unwrap();
            assert_near(&c, &expected, k);
            for algorithm in gemm().algorithms::<f32>(8).unwrap() {
                let mut c = start.clone();
                gemm()
                    .algorithm(algorithm.id)
                    .run(MatrixMut::new(&mut c, n, m).unwrap())
                    .unwrap();
                assert_near(&c, &expected, k);
            }
        }
    }
}

/// Rounded activations err as much as they may; where the processor has integers they are in use.
#[test]
fn integer_compute_types_round_no_more_than_they_say() {
    let handle = cpu();
    let (rows, cols, tokens) = (40, 640, 16);
    let w = Generator(31).fill(rows * cols);
    let config = QuantConfig::new(Format::E2M3);
    let matrix = Matrix::new(&w, rows, cols).unwrap();
    let weight = Weight::from_float(&handle, &config, matrix).unwrap();
    let (codes, scales) = quantize(&w, cols, cols, oracle::E2M3);
    let known = dequantize(&codes, &widen(&scales), cols, cols, oracle::E2M3);
    let values = Generator(32).fill(tokens * cols);
    let expected = product(&widen(&values), &known, cols);
    let x = || Matrix::new(&values, tokens, cols).unwrap();
    for (compute, kernels, least, most) in [
        (ComputeType::F32Fast16I, "_i16", 2e-6, 5e-5),
        (ComputeType::F32Fast8I, "_i8", 5e-4, 1e-2),
    ] {
        let gemm = handle.gemm(&weight, x()).compute(compute);
        let name = &gemm.algorithms::<f32>(1).unwrap()[0].name;
        let mut y = vec![0f32; tokens * rows];
        handle
            .linear(&weight, x())
            .compute(compute)
            .run(MatrixMut::new(&mut y, tokens, rows).unwrap())
            .unwrap();
        let error = relative_error(&y, &expected);
        assert!(error <= most, "{name}: {error}");
        assert!(
            error >= least || !name.ends_with(kernels),
            "{name}: {error}"
        );
    }
}

/// Whatever the hint, the codes are the same and every compute type multiplies right. It matters on AVX2,
/// which a process of its own is held to.
#[test]
fn every_compute_type_works_whatever_the_hint() {
    use ComputeType::*;
    let handle = cpu();
    let isa = device_info(Backend::Cpu, 0).unwrap().isa;
    let (rows, cols, tokens) = (37, 192, 5);
    let w = Generator(33).fill(rows * cols);
    let matrix = || Matrix::new(&w, rows, cols).unwrap();
    let values = Generator(34).fill(tokens * cols);
    for (format, scale) in [
        (Format::E3M2, Scale::Row),
        (Format::E2M3, Scale::Row),
        (Format::E2M3, Scale::Group(32)),
        (Format::E2M2, Scale::Mx),
        (Format::E2M1, Scale::Row),
    ] {
        let config = QuantConfig::new(format).scale(scale);
        let plain = Weight::from_float(&handle, &config, matrix()).unwrap();
        let exported = plain.export(&handle).unwrap();
        let mut known = vec![0f32; rows * cols];
        let out = MatrixMut::new(&mut known, rows, cols).unwrap();
        handle.dequantize(&exported, out).unwrap();
        let expected = product(&widen(&values), &widen(&known), cols);
        for hint in [
            F32,
            F32Fast16F,
            F32Fast16BF,
            F32Fast8F,
            F32Fast8I,
            F32Fast16I,
        ] {
            let config = config.compute_hint(hint);
            let hinted = Weight::from_float(&handle, &config, matrix()).unwrap();
            let back = hinted.export(&handle).unwrap();
            // The memory is laid out in the same way, however the weight was made.
            let quantized = handle.quantize(&config, matrix()).unwrap();
            let blob = Blob::pack(&handle, &quantized).unwrap();
            let other = isa == "avx2" && hint == F32Fast8I && format != Format::E3M2;
            for weight in [
                hinted,
                Weight::from_codes(&handle, &quantized).unwrap(),
                Weight::from_codes(&handle, &back).unwrap(),
                Weight::from_blob(&handle, std::sync::Arc::new(blob)).unwrap(),
            ] {
                let info = weight.info().unwrap();
                assert_eq!(
                    info.layout != plain.info().unwrap().layout,
                    other,
                    "{format:?} {hint:?} {} {isa}",
                    info.layout
                );
                assert_eq!(info.compute_hint, other.then_some(hint));
                let back = weight.export(&handle).unwrap();
                assert_eq!(back.codes(), exported.codes());
                assert_eq!(back.scales(), exported.scales());
                assert_eq!(back.config() != exported.config(), other);
                for (compute, most) in [
                    (F32, 1e-6),
                    (F32Fast16F, 1e-3),
                    (F32Fast16BF, 4e-3),
                    (F32Fast16I, 5e-5),
                    (F32Fast8I, 1e-2),
                ] {
                    let mut y = vec![0f32; tokens * rows];
                    handle
                        .linear(&weight, Matrix::new(&values, tokens, cols).unwrap())
                        .compute(compute)
                        .run(MatrixMut::new(&mut y, tokens, rows).unwrap())
                        .unwrap();
                    let error = relative_error(&y, &expected);
                    assert!(error <= most, "{format:?} {hint:?} {compute:?}: {error}");
                }
            }
        }
    }

    if std::env::var_os("FP6LLM_CPU_ISA").is_none() {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "every_compute_type_works_whatever_the_hint"])
            .env("FP6LLM_CPU_ISA", "avx2")
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "on AVX2: {}",
            String::from_utf8_lossy(&run.stdout)
        );
    }
}

#[test]
fn a_lent_workspace_is_enough() {
    let mut handle = cpu();
    let (weight, w) = weight(&handle, 64, 256, 9);
    let x = Generator(10).fill(40 * 256);
    let bytes = handle
        .gemm(&weight, Matrix::new(&x, 40, 256).unwrap())
        .workspace_bytes::<f32>()
        .unwrap();
    handle.set_workspace_bytes(bytes.max(64)).unwrap();
    let mut y = vec![0f32; 40 * 64];
    let run = |handle: &Handle, y: &mut Vec<f32>| {
        let x = Matrix::new(&x, 40, 256).unwrap();
        handle
            .linear(&weight, x)
            .run(MatrixMut::new(y, 40, 64).unwrap())
    };
    run(&handle, &mut y).unwrap();
    assert_near(&y, &product(&widen(&x), &w, 256), 256);
    if bytes > 64 {
        handle.set_workspace_bytes(64).unwrap();
        let error = run(&handle, &mut y).unwrap_err();
        assert_eq!(error.status(), Status::InvalidValue);
    }
    handle.set_workspace_bytes(0).unwrap();
    run(&handle, &mut y).unwrap();
}

#[test]
fn groups_multiply_their_own_tokens() {
    let handle = cpu();
    let (rows, cols, tokens) = (18, 40, 9);
    let experts: Vec<(Weight, Vec<f64>)> = (0..3)
        .map(|i| weight(&handle, rows, cols, 11 + i))
        .collect();
    let group = WeightGroup::new([
        Some(&experts[0].0),
        None,
        Some(&experts[1].0),
        Some(&experts[2].0),
    ])
    .unwrap();
    let offsets = [0, 2, 2, 7, 8];
    let b = Generator(12).fill(tokens * cols);
    let mut c = vec![3f32; tokens * rows];
    handle
        .gemm_grouped(&group, &offsets, Matrix::new(&b, tokens, cols).unwrap())
        .run(MatrixMut::new(&mut c, tokens, rows).unwrap())
        .unwrap();
    for t in 0..8 {
        let expert = if t < 2 {
            0
        } else if t < 7 {
            1
        } else {
            2
        };
        let expected = product(&widen(&b[t * cols..][..cols]), &experts[expert].1, cols);
        assert_near(&c[t * rows..][..rows], &expected, cols);
    }
    assert!(
        c[8 * rows..].iter().all(|&v| v == 3.0),
        "a token of no group was written"
    );
}

#[cfg(feature = "half")]
#[test]
fn sixteen_bit_elements() {
    use half::{bf16, f16};
    fn check<T: Element>(narrow: impl Fn(f32) -> T, widen_one: impl Fn(T) -> f64, epsilon: f64) {
        let handle = cpu();
        let (rows, cols, tokens) = (17, 48, 4);
        let w: Vec<T> = Generator(13)
            .fill(rows * cols)
            .into_iter()
            .map(&narrow)
            .collect();
        let x: Vec<T> = Generator(14)
            .fill(tokens * cols)
            .into_iter()
            .map(&narrow)
            .collect();
        let w_wide: Vec<f32> = w.iter().map(|&v| widen_one(v) as f32).collect();
        let x_wide: Vec<f64> = x.iter().map(|&v| widen_one(v)).collect();
        let (codes, scales) = quantize(&w_wide, cols, cols, oracle::E3M2);
        let exact = dequantize(&codes, &widen(&scales), cols, cols, oracle::E3M2);
        let config = QuantConfig::default();
        let made = handle
            .quantize(&config, Matrix::new(&w, rows, cols).unwrap())
            .unwrap();
        assert_eq!(made.codes(), pack(&codes, cols, oracle::E3M2));
        let weight =
            Weight::from_float(&handle, &config, Matrix::new(&w, rows, cols).unwrap()).unwrap();
        let mut y = vec![narrow(0.0); tokens * rows];
        let bias = vec![narrow(0.5); rows];
        handle
            .linear(&weight, Matrix::new(&x, tokens, cols).unwrap())
            .bias(&bias)
            .run(MatrixMut::new(&mut y, tokens, rows).unwrap())
            .unwrap();
        for (y, (sum, size)) in y.iter().zip(product(&x_wide, &exact, cols)) {
            let error = (widen_one(*y) - (sum + 0.5)).abs();
            assert!(
                error <= tolerance(cols, size) + epsilon * (sum.abs() + 0.5),
                "off by {error}"
            );
        }
        // fp32 outputs of 16-bit activations.
        let mut y = vec![0f32; tokens * rows];
        handle
            .linear(&weight, Matrix::new(&x, tokens, cols).unwrap())
            .run(MatrixMut::new(&mut y, tokens, rows).unwrap())
            .unwrap();
        assert_near(&y, &product(&x_wide, &exact, cols), cols);
    }
    check(f16::from_f32, f64::from, 2f64.powi(-10));
    check(bf16::from_f32, f64::from, 2f64.powi(-7));
}
