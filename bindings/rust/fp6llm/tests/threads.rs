//! Threads, the log receiver, the caller's executor, and how long things live.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fp6llm::*;

fn cpu(threads: u32) -> Handle {
    Handle::builder()
        .backend(Backend::Cpu)
        .threads(threads)
        .build()
        .unwrap()
}

fn weight(handle: &Handle, rows: usize, cols: usize) -> Weight {
    let w: Vec<f32> = (0..rows * cols).map(|i| [1.0, 2.0, -4.0][i % 3]).collect();
    Weight::from_float(
        handle,
        &QuantConfig::default(),
        Matrix::new(&w, rows, cols).unwrap(),
    )
    .unwrap()
}

fn linear(handle: &Handle, weight: &Weight, x: &[f32]) -> Result<Vec<f32>> {
    let (tokens, rows) = (x.len() / weight.cols(), weight.rows());
    let mut y = vec![0f32; tokens * rows];
    handle
        .linear(weight, Matrix::new(x, tokens, weight.cols())?)
        .run(MatrixMut::new(&mut y, tokens, rows)?)?;
    Ok(y)
}

#[test]
fn marker_traits() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Handle>();
    send::<Weight>();
    sync::<Weight>();
    send::<Blob>();
    sync::<Blob>();
    send::<Error>();
    sync::<Error>();
}

#[test]
fn a_weight_outlives_its_handle_and_is_shared() {
    let (weight, expected, x) = {
        let handle = cpu(1);
        let weight = weight(&handle, 64, 96);
        let x: Vec<f32> = (0..3 * 96).map(|i| (i % 7) as f32).collect();
        let y = linear(&handle, &weight, &x).unwrap();
        handle.close().unwrap();
        (Arc::new(weight), y, x)
    };
    std::thread::scope(|scope| {
        for threads in [1, 2, 3, 1] {
            let (weight, expected, x) = (weight.clone(), &expected, &x);
            scope.spawn(move || {
                let handle = cpu(threads);
                for _ in 0..50 {
                    assert_eq!(&linear(&handle, &weight, x).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn errors_are_the_threads_own() {
    std::thread::scope(|scope| {
        for group in [17u32, 33, 41] {
            scope.spawn(move || {
                for _ in 0..300 {
                    let error = QuantConfig::default()
                        .scale(Scale::Group(group))
                        .sizes(1, 64)
                        .unwrap_err();
                    assert!(error.detail().contains(&group.to_string()), "{error}");
                }
            });
        }
    });
}

#[test]
fn dropping_everything_in_any_order_and_thread() {
    let handle = cpu(2);
    let blob = {
        let w = [1f32; 16 * 32];
        let quantized = handle
            .quantize(&QuantConfig::default(), Matrix::new(&w, 16, 32).unwrap())
            .unwrap();
        Arc::new(Blob::pack(&handle, &quantized).unwrap())
    };
    let view = Weight::from_blob(&handle, blob.clone()).unwrap();
    assert_eq!(Arc::strong_count(&blob), 2);
    drop(blob);
    let y = std::thread::spawn(move || {
        let y = linear(&handle, &view, &[1f32; 32]);
        drop(handle);
        drop(view);
        y
    });
    assert_eq!(y.join().unwrap().unwrap(), [32f32; 16]);
}

#[test]
fn the_callers_executor_runs_the_work() {
    let reference = cpu(1);
    let weight = weight(&reference, 512, 1024);
    let x: Vec<f32> = (0..8 * 1024).map(|i| (i % 5) as f32).collect();
    let expected = linear(&reference, &weight, &x).unwrap();

    let mut handle = cpu(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = ran.clone();
    handle
        .set_executor(move |work| {
            assert!(!work.is_empty());
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| while work.run_one() {});
                }
            });
            assert!(!work.run_one());
            counter.fetch_add(work.len(), Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!(linear(&handle, &weight, &x).unwrap(), expected);
    assert!(ran.load(Ordering::Relaxed) > 0);

    // One that panics, or leaves work over: an error, and the next call is fine.
    handle
        .set_executor(|_| panic!("the executor panics, as the test wants"))
        .unwrap();
    let error = linear(&handle, &weight, &x).unwrap_err();
    assert_eq!(error.status(), Status::ExecutionFailed);
    handle
        .set_executor(|work| {
            work.run_one();
        })
        .unwrap();
    assert_eq!(
        linear(&handle, &weight, &x).unwrap_err().status(),
        Status::ExecutionFailed
    );
    handle.clear_executor().unwrap();
    assert_eq!(linear(&handle, &weight, &x).unwrap(), expected);
    assert_eq!(
        Arc::strong_count(&ran),
        1,
        "the first executor was not dropped"
    );
}

/// The receiver is the process's: one test has it.
#[test]
fn the_log_receiver() {
    static MARK: u32 = 4711;
    let messages = Arc::new(Mutex::new(Vec::new()));
    let into = messages.clone();
    let fail = || {
        QuantConfig::default()
            .scale(Scale::Group(MARK))
            .sizes(1, 64)
            .unwrap_err()
    };
    set_logger(move |level, message| {
        if message.contains(&MARK.to_string()) {
            // The library is locked: a call fails instead of waiting for itself.
            let inner = version().unwrap_err();
            assert_eq!(inner.status(), Status::InvalidValue);
            into.lock().unwrap().push((level, message.to_owned()));
        }
    })
    .unwrap();
    let error = fail();
    assert_eq!(
        *messages.lock().unwrap(),
        [(LogLevel::Error, error.detail().to_owned())]
    );

    // A panic stays in the receiver; the call's own error is kept.
    set_logger(|_, message| {
        assert!(
            !message.contains(&MARK.to_string()),
            "the receiver panics, as the test wants"
        );
    })
    .unwrap();
    assert_eq!(
        Arc::strong_count(&messages),
        1,
        "the first receiver was not dropped"
    );
    assert_eq!(fail(), error);
    assert!(version().is_ok());
    clear_logger().unwrap();
    assert_eq!(fail(), error);
}

#[test]
fn the_library_describes_itself() {
    assert_eq!(version().unwrap().split('.').count(), 3);
    assert!(build_info().unwrap().starts_with('{'));
    assert_eq!(device_count(Backend::Cpu).unwrap(), 1);
    let info = device_info(Backend::Cpu, 0).unwrap();
    assert!(!info.isa.is_empty() && info.total_memory > 0 && info.multiprocessors > 0);
    assert_eq!(cpu(3).num_threads().unwrap(), 3);
    let handle = cpu(1);
    handle.set_num_threads(2).unwrap();
    assert_eq!(handle.num_threads().unwrap(), 2);
    assert_eq!(handle.backend(), Backend::Cpu);
}
