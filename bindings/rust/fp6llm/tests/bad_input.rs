//! Each argument wrong in turn: an error that says so, and outputs untouched.

use std::sync::Arc;

use fp6llm::*;

fn cpu() -> Handle {
    Handle::builder()
        .backend(Backend::Cpu)
        .threads(1)
        .build()
        .unwrap()
}

fn weight(handle: &Handle, rows: usize, cols: usize) -> Weight {
    let w = vec![1f32; rows * cols];
    Weight::from_float(
        handle,
        &QuantConfig::default(),
        Matrix::new(&w, rows, cols).unwrap(),
    )
    .unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, status: Status, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.status(), status, "{error}");
    assert!(
        error.detail().contains(part),
        "{:?} does not say {part:?}",
        error.detail()
    );
    assert_eq!(error.to_string(), error.detail());
}

#[test]
fn slices_shorter_or_longer_than_their_shape() {
    let data = [0f32; 12];
    use Status::InvalidValue;
    refused(
        Matrix::new(&data, 3, 5),
        InvalidValue,
        "3 x 5 takes 15 elements, the slice has 12",
    );
    refused(
        Matrix::new(&data, 3, 3),
        InvalidValue,
        "3 x 3 takes 9 elements, the slice has 12",
    );
    refused(
        Matrix::new(&data, 0, 4),
        InvalidValue,
        "0 x 4 takes 0 elements",
    );
    refused(
        Matrix::with_stride(&data, 3, 4, 3),
        InvalidValue,
        "stride = 3 < cols = 4",
    );
    refused(
        Matrix::with_stride(&data, 3, 4, 5),
        InvalidValue,
        "takes 14 elements",
    );
    refused(Matrix::new(&data, usize::MAX, 2), InvalidValue, "too large");
    refused(
        Matrix::new(&data, 1 << 40, 1 << 40),
        InvalidValue,
        "too large",
    );
    refused(
        Matrix::with_stride(&data, usize::MAX / 2, 1, 5),
        InvalidValue,
        "too large",
    );
    refused(
        Matrix::new(&data[..0], usize::MAX, 0),
        InvalidValue,
        "too large",
    );
    assert!(Matrix::with_stride(&data, 2, 4, 8).is_ok());
    assert!(Matrix::with_stride(&data[..0], 0, 4, 8).is_ok());
    let mut out = [0f32; 12];
    refused(
        MatrixMut::new(&mut out, 5, 5),
        InvalidValue,
        "takes 25 elements",
    );
}

#[test]
fn shapes_that_do_not_fit() {
    let handle = cpu();
    let weight = weight(&handle, 3, 16);
    let x = [1f32; 64];
    let mut y = [7f32; 12];
    let matrix = |rows, cols| Matrix::new(&x[..rows * cols], rows, cols).unwrap();
    let mut run = |x, y_rows: usize, y_cols: usize| {
        let out = MatrixMut::new(&mut y[..y_rows * y_cols], y_rows, y_cols).unwrap();
        handle.linear(&weight, x).run(out)
    };
    use Status::InvalidValue;
    refused(
        run(matrix(2, 15), 2, 3),
        InvalidValue,
        "X is 2 x 15, has to be 2 x 16",
    );
    refused(
        run(matrix(2, 16), 2, 4),
        InvalidValue,
        "Y is 2 x 4, has to be 2 x 3",
    );
    refused(
        run(matrix(2, 16), 3, 3),
        InvalidValue,
        "Y is 3 x 3, has to be 2 x 3",
    );
    refused(
        handle
            .linear(&weight, matrix(1, 16))
            .bias(&[1f32; 4])
            .run(MatrixMut::new(&mut y[..3], 1, 3).unwrap()),
        InvalidValue,
        "bias is 1 x 4",
    );
    refused(
        handle
            .linear(&weight, matrix(1, 16))
            .residual(matrix(1, 4))
            .run(MatrixMut::new(&mut y[..3], 1, 3).unwrap()),
        InvalidValue,
        "residual is 1 x 4",
    );
    refused(
        handle
            .gemm(&weight, matrix(2, 16))
            .op_weight(Operation::N)
            .run(MatrixMut::new(&mut y[..6], 2, 3).unwrap()),
        InvalidValue,
        "B is 2 x 16, has to be 2 x 3: m = 16, n = 2, k = 3",
    );
    refused(
        handle
            .gemm(&weight, matrix(2, 16))
            .algorithm(123_456)
            .run(MatrixMut::new(&mut y[..6], 2, 3).unwrap()),
        InvalidValue,
        "algo",
    );
    refused(
        handle.gemm(&weight, matrix(2, 16)).algorithms::<f32>(0),
        InvalidValue,
        "requested",
    );
    assert_eq!(y, [7f32; 12]);
}

#[test]
fn groups_that_do_not_fit() {
    let handle = cpu();
    let (a, b) = (weight(&handle, 3, 16), weight(&handle, 3, 32));
    refused(
        WeightGroup::new([Some(&a), None, Some(&b)]),
        Status::InvalidValue,
        "weight 2 is 3 x 32",
    );
    let group = WeightGroup::new([Some(&a), None]).unwrap();
    let x = [1f32; 4 * 16];
    let mut y = [7f32; 4 * 3];
    let mut run = |offsets: &[i64]| {
        let out = MatrixMut::new(&mut y, 4, 3).unwrap();
        handle
            .gemm_grouped(&group, offsets, Matrix::new(&x, 4, 16).unwrap())
            .run(out)
    };
    use Status::InvalidValue;
    refused(
        run(&[0, 4]),
        InvalidValue,
        "offsets has 2 elements, 2 groups take 3",
    );
    refused(run(&[0, 3, 2]), InvalidValue, "offsets");
    refused(run(&[1, 4, 4]), InvalidValue, "offsets");
    refused(run(&[0, 5, 5]), InvalidValue, "offsets");
    refused(run(&[0, -1, 4]), InvalidValue, "offsets");
    refused(run(&[0, 2, 4]), InvalidValue, "");
    assert_eq!(y, [7f32; 12]);
}

#[test]
fn numbers_that_are_none() {
    let handle = cpu();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut w = [1f32; 32];
        w[5] = bad;
        let matrix = || Matrix::new(&w, 2, 16).unwrap();
        let config = QuantConfig::default();
        refused(handle.quantize(&config, matrix()), Status::InvalidValue, "");
        refused(
            Weight::from_float(&handle, &config, matrix()),
            Status::InvalidValue,
            "",
        );
        let (_, stats) = handle
            .quantize_with_stats(&config.saturate_non_finite(true), matrix())
            .unwrap();
        assert_eq!(stats.non_finite, 1);
    }
}

#[test]
fn configs_out_of_range() {
    use Status::InvalidValue;
    let base = QuantConfig::default();
    for group in [0, 7, 12, 8192, u32::MAX] {
        refused(
            base.scale(Scale::Group(group)).sizes(4, 64),
            InvalidValue,
            "group",
        );
    }
    refused(
        base.scale_type(ScaleType::E8M0).sizes(4, 64),
        InvalidValue,
        "scaleType",
    );
    refused(
        base.scale(Scale::Mx)
            .scale_type(ScaleType::F32)
            .sizes(4, 64),
        InvalidValue,
        "scaleType",
    );
    refused(
        base.scale_search(65).sizes(4, 64),
        InvalidValue,
        "scaleSearch",
    );
    refused(
        base.scale_search(u32::MAX).sizes(4, 64),
        InvalidValue,
        "scale_search",
    );
    refused(base.sizes(usize::MAX, 1), InvalidValue, "too large");
    refused(base.sizes(1 << 62, 1 << 62), InvalidValue, "");
    refused(
        Handle::builder().threads(257).backend(Backend::Cpu).build(),
        InvalidValue,
        "numThreads",
    );
    refused(
        Handle::builder().threads(u32::MAX).build(),
        InvalidValue,
        "threads",
    );
    refused(
        Handle::builder().device(3).backend(Backend::Cpu).build(),
        InvalidValue,
        "device",
    );
    refused(cpu().set_num_threads(257), InvalidValue, "threads");
    refused(device_info(Backend::Cpu, 1), InvalidValue, "ordinal");
    refused(device_info(Backend::Auto, 0), InvalidValue, "backend");
    refused(
        cpu().set_workspace_bytes(usize::MAX),
        Status::AllocFailed,
        "host memory",
    );
    refused(
        cpu().set_workspace_bytes(1 << 60),
        Status::AllocFailed,
        "host memory",
    );
}

#[test]
fn codes_and_scales_of_other_shapes() {
    use Status::InvalidValue;
    let config = QuantConfig::default();
    let parts = |codes, scales| Quantized::from_parts(&config, 4, 32, vec![0; codes], scales);
    assert!(parts(4 * 24, Scales::F32(vec![1.0; 4])).is_ok());
    refused(
        parts(4 * 24 - 1, Scales::F32(vec![1.0; 4])),
        InvalidValue,
        "codes has 95 bytes",
    );
    refused(
        parts(4 * 24, Scales::F32(vec![1.0; 5])),
        InvalidValue,
        "scales has 5 elements",
    );
    refused(
        parts(4 * 24, Scales::E8M0(vec![1; 16])),
        InvalidValue,
        "scales are E8M0",
    );
    refused(
        parts(4 * 24, Scales::F16(vec![1; 4])),
        InvalidValue,
        "scales are F16",
    );
    let auto = QuantConfig::new(Format::Auto);
    refused(
        Quantized::from_parts(&auto, 0, 0, vec![], Scales::F32(vec![])),
        InvalidValue,
        "Auto",
    );
    let handle = cpu();
    let w = [1f32; 4 * 32];
    let (mut codes, mut scales) = ([9u8; 10], [9f32; 4]);
    let matrix = Matrix::new(&w, 4, 32).unwrap();
    let result = handle.quantize_into(&config, matrix, &mut codes, &mut scales[..]);
    refused(result, InvalidValue, "codes has 10 bytes");
    assert_eq!((codes, scales), ([9; 10], [9.0; 4]));
    let quantized = parts(4 * 24, Scales::F32(vec![1.0; 4])).unwrap();
    let mut out = [7f32; 32];
    let result = handle.dequantize(&quantized, MatrixMut::new(&mut out, 1, 32).unwrap());
    refused(result, InvalidValue, "W is 1 x 32, the codes 4 x 32");
    assert_eq!(out, [7f32; 32]);
    let packed = [0u8; 5];
    refused(
        Weight::from_packed(
            &handle,
            PackedLayout::Split42,
            &config,
            (4, 32),
            &packed,
            &[1f32; 4][..],
        ),
        InvalidValue,
        "packed has 5 bytes",
    );
    refused(
        Weight::from_packed(
            &handle,
            PackedLayout::TcFpx,
            &config,
            (4, 32),
            &packed,
            &[1f32; 4][..],
        ),
        Status::NotSupported,
        "",
    );
}

#[test]
fn blobs_that_are_none() {
    let handle = cpu();
    let w = [1f32; 16 * 32];
    let quantized = handle
        .quantize(&QuantConfig::default(), Matrix::new(&w, 16, 32).unwrap())
        .unwrap();
    let blob = Blob::pack(&handle, &quantized).unwrap();
    let view = |bytes: &[u8]| Weight::from_blob(&handle, Arc::new(Blob::from_bytes(bytes)?));
    assert!(view(&blob).is_ok());
    refused(view(&[]), Status::InvalidValue, "");
    refused(view(&[0; 4096]), Status::InvalidValue, "");
    refused(view(&blob[..blob.len() - 1]), Status::InvalidValue, "");
    // Every bit of the header counts.
    for byte in 0..64 {
        let mut hostile = blob.to_vec();
        hostile[byte] ^= 1 << (byte % 8);
        assert!(
            view(&hostile).is_err(),
            "byte {byte} of the header is not checked"
        );
    }
    // SAFETY: the memory outlives the call, which refuses the address.
    let misaligned =
        unsafe { Weight::from_blob_at(&handle, blob.as_ptr().add(8), blob.len() - 8, None) };
    refused(misaligned, Status::InvalidValue, "blob");
}

#[test]
fn memory_of_another_backend() {
    let handle = cpu();
    let weight = weight(&handle, 3, 16);
    let mut y = [7f32; 3];
    // SAFETY: never read: a CPU handle refuses it.
    let x = unsafe { Slice::<f32>::from_device(4096 as *const f32, 16) };
    let result = handle
        .linear(&weight, Matrix::new(x, 1, 16).unwrap())
        .run(MatrixMut::new(&mut y, 1, 3).unwrap());
    refused(result, Status::InvalidValue, "X is device memory");
    assert_eq!(y, [7f32; 3]);
    if device_count(Backend::Cuda).unwrap() == 0 {
        refused(
            Handle::builder().backend(Backend::Cuda).build(),
            Status::NotSupported,
            "",
        );
    }
}

#[test]
fn compute_types_that_are_not_there_say_so() {
    let handle = cpu();
    let weight = weight(&handle, 3, 16);
    let mut y = [7f32; 3];
    let result = handle
        .linear(&weight, Matrix::new(&[1f32; 16], 1, 16).unwrap())
        .compute(ComputeType::F32Fast8F)
        .run(MatrixMut::new(&mut y, 1, 3).unwrap());
    refused(result, Status::NotSupported, "32F_FAST_8F");
    assert_eq!(y, [7f32; 3]);
}

#[test]
fn nothing_to_do_is_no_error() {
    let handle = cpu();
    let none: [f32; 0] = [];
    let config = QuantConfig::default();
    for (rows, cols) in [(0, 0), (0, 16), (5, 0)] {
        let quantized = handle
            .quantize(&config, Matrix::new(&none, rows, cols).unwrap())
            .unwrap();
        assert!(quantized.codes().is_empty());
        handle
            .dequantize(
                &quantized,
                MatrixMut::new(&mut [0f32; 0], rows, cols).unwrap(),
            )
            .unwrap();
        let weight = Weight::from_codes(&handle, &quantized).unwrap();
        assert_eq!((weight.rows(), weight.cols()), (rows, cols));
        // No inputs: the sums are 0.
        let (x, mut y) = (vec![1f32; 2 * cols], vec![7f32; 2 * rows]);
        handle
            .linear(&weight, Matrix::new(&x, 2, cols).unwrap())
            .run(MatrixMut::new(&mut y, 2, rows).unwrap())
            .unwrap();
        assert!(y.iter().all(|&y| y == 0.0));
    }
    let weight = weight(&handle, 3, 16);
    handle
        .linear(&weight, Matrix::new(&none, 0, 16).unwrap())
        .run(MatrixMut::new(&mut [0f32; 0], 0, 3).unwrap())
        .unwrap();
}
