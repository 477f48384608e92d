//! From a handle to a product, and what a failure says.

use std::ffi::{c_void, CStr};
use std::ptr::{null, null_mut};

use fp6llm_sys::*;

#[test]
fn multiplies() {
    const ROWS: usize = 5;
    const COLS: usize = 32;
    // Powers of two: every format holds them exactly.
    let w: Vec<f32> = (0..ROWS * COLS).map(|i| (1 << (i % 3)) as f32).collect();
    let x = [1f32; COLS];
    let mut y = [0f32; ROWS];
    unsafe {
        let config = fp6llmHandleConfig_t {
            backend: FP6LLM_BACKEND_CPU,
            ..Default::default()
        };
        let mut handle = null_mut();
        assert_eq!(
            fp6llmCreateWithConfig(&mut handle, &config),
            FP6LLM_STATUS_SUCCESS
        );
        let quant = fp6llmQuantConfig_t {
            scaleMode: FP6LLM_SCALE_MX,
            ..Default::default()
        };
        assert_eq!(quant.format, FP6LLM_R_6F_E3M2);
        assert_eq!(quant.scaleType, FP6LLM_SCALE_TYPE_DEFAULT);
        let mut weight = null_mut();
        let status = fp6llmWeightCreate(
            handle,
            &quant,
            ROWS as i64,
            COLS as i64,
            w.as_ptr() as *const c_void,
            FP6LLM_R_32F,
            COLS as i64,
            &mut weight,
        );
        assert_eq!(status, FP6LLM_STATUS_SUCCESS);
        let status = fp6llmLinear(
            handle,
            1,
            x.as_ptr() as *const c_void,
            FP6LLM_R_32F,
            COLS as i64,
            weight,
            null(),
            y.as_mut_ptr() as *mut c_void,
            FP6LLM_R_32F,
            ROWS as i64,
        );
        assert_eq!(status, FP6LLM_STATUS_SUCCESS);
        assert_eq!(fp6llmWeightDestroy(weight), FP6LLM_STATUS_SUCCESS);
        assert_eq!(fp6llmDestroy(handle), FP6LLM_STATUS_SUCCESS);
    }
    for (row, value) in y.iter().enumerate() {
        assert_eq!(*value, w[row * COLS..][..COLS].iter().sum::<f32>());
    }
}

#[test]
fn says_what_was_wrong() {
    let config = fp6llmQuantConfig_t::default();
    let mut text = [0; 256];
    unsafe {
        let status = fp6llmQuantGetSizes(&config, -7, 64, null_mut(), null_mut());
        assert_eq!(status, FP6LLM_STATUS_INVALID_VALUE);
        assert_eq!(
            fp6llmGetLastErrorString(text.as_mut_ptr(), text.len(), null_mut()),
            0
        );
        assert_eq!(
            CStr::from_ptr(text.as_ptr()).to_str(),
            Ok("rows = -7 is negative")
        );
        // The default's structSize covers the fields of later versions, too.
        let config = fp6llmQuantConfig_t {
            computeHint: 5,
            ..Default::default()
        };
        let status = fp6llmQuantGetSizes(&config, 7, 64, null_mut(), null_mut());
        assert_eq!(status, FP6LLM_STATUS_INVALID_VALUE);
        fp6llmGetLastErrorString(text.as_mut_ptr(), text.len(), null_mut());
        let text = CStr::from_ptr(text.as_ptr()).to_str().unwrap();
        assert!(text.contains("computeHint"), "{text}");
        assert_eq!(fp6llmGetHeaderVersion(), FP6LLM_VERSION);
        assert_eq!(fp6llmGetBlobAlignment(), FP6LLM_BLOB_ALIGNMENT);
    }
}
