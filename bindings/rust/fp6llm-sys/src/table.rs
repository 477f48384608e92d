// Generated from fp6llm.h by script/generate-bindings; do not edit.

use core::ffi::{c_char, c_int, c_void, CStr};

use crate::bindings::*;

/// The address of every function of the library.
pub struct Table {
    pub fp6llmHandleConfigInit:
        unsafe extern "C" fn(config: *mut fp6llmHandleConfig_t) -> fp6llmStatus_t,
    pub fp6llmDeviceInfoInit: unsafe extern "C" fn(info: *mut fp6llmDeviceInfo_t) -> fp6llmStatus_t,
    pub fp6llmQuantConfigInit:
        unsafe extern "C" fn(config: *mut fp6llmQuantConfig_t) -> fp6llmStatus_t,
    pub fp6llmQuantStatsInit:
        unsafe extern "C" fn(stats: *mut fp6llmQuantStats_t) -> fp6llmStatus_t,
    pub fp6llmWeightInfoInit: unsafe extern "C" fn(info: *mut fp6llmWeightInfo_t) -> fp6llmStatus_t,
    pub fp6llmEpilogueInit: unsafe extern "C" fn(epilogue: *mut fp6llmEpilogue_t) -> fp6llmStatus_t,
    pub fp6llmHeuristicResultInit:
        unsafe extern "C" fn(result: *mut fp6llmHeuristicResult_t) -> fp6llmStatus_t,
    pub fp6llmGetVersion: unsafe extern "C" fn(version: *mut c_int) -> fp6llmStatus_t,
    pub fp6llmGetVersionString: unsafe extern "C" fn() -> *const c_char,
    pub fp6llmGetStatusName: unsafe extern "C" fn(status: fp6llmStatus_t) -> *const c_char,
    pub fp6llmGetStatusString: unsafe extern "C" fn(status: fp6llmStatus_t) -> *const c_char,
    pub fp6llmGetBuildInfo: unsafe extern "C" fn(
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmGetLastErrorString: unsafe extern "C" fn(
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmGetErrorString: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        buffer: *mut c_char,
        size: usize,
        needed: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmGetDeviceCount:
        unsafe extern "C" fn(backend: fp6llmBackend_t, count: *mut c_int) -> fp6llmStatus_t,
    pub fp6llmGetDeviceInfo: unsafe extern "C" fn(
        backend: fp6llmBackend_t,
        ordinal: c_int,
        info: *mut fp6llmDeviceInfo_t,
    ) -> fp6llmStatus_t,
    pub fp6llmSetLogger:
        unsafe extern "C" fn(callback: fp6llmLogCallback_t, user: *mut c_void) -> fp6llmStatus_t,
    pub fp6llmCreate: unsafe extern "C" fn(handle: *mut fp6llmHandle_t) -> fp6llmStatus_t,
    pub fp6llmCreateWithConfig: unsafe extern "C" fn(
        handle: *mut fp6llmHandle_t,
        config: *const fp6llmHandleConfig_t,
    ) -> fp6llmStatus_t,
    pub fp6llmDestroy: unsafe extern "C" fn(handle: fp6llmHandle_t) -> fp6llmStatus_t,
    pub fp6llmSetStream:
        unsafe extern "C" fn(handle: fp6llmHandle_t, stream: fp6llmStream_t) -> fp6llmStatus_t,
    pub fp6llmGetStream:
        unsafe extern "C" fn(handle: fp6llmHandle_t, stream: *mut fp6llmStream_t) -> fp6llmStatus_t,
    pub fp6llmSetWorkspace: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        workspace: *mut c_void,
        size: usize,
    ) -> fp6llmStatus_t,
    pub fp6llmSetPointerMode:
        unsafe extern "C" fn(handle: fp6llmHandle_t, mode: fp6llmPointerMode_t) -> fp6llmStatus_t,
    pub fp6llmGetPointerMode: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        mode: *mut fp6llmPointerMode_t,
    ) -> fp6llmStatus_t,
    pub fp6llmGetBackend: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        backend: *mut fp6llmBackend_t,
    ) -> fp6llmStatus_t,
    pub fp6llmSetNumThreads:
        unsafe extern "C" fn(handle: fp6llmHandle_t, threads: c_int) -> fp6llmStatus_t,
    pub fp6llmGetNumThreads:
        unsafe extern "C" fn(handle: fp6llmHandle_t, threads: *mut c_int) -> fp6llmStatus_t,
    pub fp6llmSetParallelFor: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        parallelFor: fp6llmParallelFor_t,
        user: *mut c_void,
    ) -> fp6llmStatus_t,
    pub fp6llmQuantGetSizes: unsafe extern "C" fn(
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codeBytes: *mut usize,
        scaleBytes: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmQuantize: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        W: *const c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
        codes: *mut c_void,
        scales: *mut c_void,
        stats: *mut fp6llmQuantStats_t,
    ) -> fp6llmStatus_t,
    pub fp6llmDequantize: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        W: *mut c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightCreate: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        W: *const c_void,
        Wtype: fp6llmDataType_t,
        ldw: i64,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightCreateFromCodes: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightCreateFromPacked: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        layout: fp6llmPackedLayout_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        packed: *const c_void,
        scales: *const c_void,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightExportCodes: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        weight: fp6llmWeight_t,
        codes: *mut c_void,
        scales: *mut c_void,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightExportPacked: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        weight: fp6llmWeight_t,
        layout: fp6llmPackedLayout_t,
        packed: *mut c_void,
        scales: *mut c_void,
    ) -> fp6llmStatus_t,
    pub fp6llmPackedGetSizes: unsafe extern "C" fn(
        layout: fp6llmPackedLayout_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        packedBytes: *mut usize,
        scaleBytes: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightGetInfo: unsafe extern "C" fn(
        weight: fp6llmWeight_t,
        info: *mut fp6llmWeightInfo_t,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightDestroy: unsafe extern "C" fn(weight: fp6llmWeight_t) -> fp6llmStatus_t,
    pub fp6llmWeightGetBlobSize: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        bytes: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightPackBlob: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        config: *const fp6llmQuantConfig_t,
        rows: i64,
        cols: i64,
        codes: *const c_void,
        scales: *const c_void,
        blob: *mut c_void,
        bytes: usize,
    ) -> fp6llmStatus_t,
    pub fp6llmWeightCreateView: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        blob: *const c_void,
        bytes: usize,
        weight: *mut fp6llmWeight_t,
    ) -> fp6llmStatus_t,
    pub fp6llmGemmEx: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        alpha: *const c_void,
        A: fp6llmWeight_t,
        B: *const c_void,
        Btype: fp6llmDataType_t,
        ldb: i64,
        beta: *const c_void,
        C: *mut c_void,
        Ctype: fp6llmDataType_t,
        ldc: i64,
        computeType: fp6llmComputeType_t,
        algo: i32,
    ) -> fp6llmStatus_t,
    pub fp6llmGemmGetWorkspaceSize: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        A: fp6llmWeight_t,
        Btype: fp6llmDataType_t,
        Ctype: fp6llmDataType_t,
        computeType: fp6llmComputeType_t,
        algo: i32,
        bytes: *mut usize,
    ) -> fp6llmStatus_t,
    pub fp6llmGemmGetHeuristic: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        A: fp6llmWeight_t,
        Btype: fp6llmDataType_t,
        Ctype: fp6llmDataType_t,
        computeType: fp6llmComputeType_t,
        requested: c_int,
        results: *mut fp6llmHeuristicResult_t,
        returned: *mut c_int,
    ) -> fp6llmStatus_t,
    pub fp6llmLinear: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        tokens: i64,
        X: *const c_void,
        Xtype: fp6llmDataType_t,
        ldx: i64,
        W: fp6llmWeight_t,
        epilogue: *const fp6llmEpilogue_t,
        Y: *mut c_void,
        Ytype: fp6llmDataType_t,
        ldy: i64,
    ) -> fp6llmStatus_t,
    pub fp6llmGemmGroupedEx: unsafe extern "C" fn(
        handle: fp6llmHandle_t,
        groups: i64,
        transa: fp6llmOperation_t,
        transb: fp6llmOperation_t,
        m: i64,
        n: i64,
        k: i64,
        offsets: *const i64,
        alpha: *const c_void,
        A: *const fp6llmWeight_t,
        B: *const c_void,
        Btype: fp6llmDataType_t,
        ldb: i64,
        beta: *const c_void,
        C: *mut c_void,
        Ctype: fp6llmDataType_t,
        ldc: i64,
        computeType: fp6llmComputeType_t,
        algo: i32,
    ) -> fp6llmStatus_t,
    pub fp6llmGetHeaderVersion: unsafe extern "C" fn() -> c_int,
    pub fp6llmGetBlobAlignment: unsafe extern "C" fn() -> usize,
    pub fp6llmGetAlgoDefault: unsafe extern "C" fn() -> i32,
    pub fp6llmGetScaleTypeDefault: unsafe extern "C" fn() -> i32,
}

impl Table {
    /// Looks every function up by name; the first name that is not there otherwise.
    ///
    /// # Safety
    /// What `find` returns must be null or the address of that function of libfp6llm.
    pub unsafe fn new(mut find: impl FnMut(&CStr) -> *mut c_void) -> Result<Table, &'static CStr> {
        let mut address = |name: &'static CStr| match find(name) {
            found if found.is_null() => Err(name),
            found => Ok(found),
        };
        // SAFETY: the caller's promise; a function pointer is as wide as an address.
        unsafe {
            Ok(Table {
                fp6llmHandleConfigInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmHandleConfig_t) -> fp6llmStatus_t,
                >(address(c"fp6llmHandleConfigInit")?),
                fp6llmDeviceInfoInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmDeviceInfo_t) -> fp6llmStatus_t,
                >(address(c"fp6llmDeviceInfoInit")?),
                fp6llmQuantConfigInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmQuantConfig_t) -> fp6llmStatus_t,
                >(address(c"fp6llmQuantConfigInit")?),
                fp6llmQuantStatsInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmQuantStats_t) -> fp6llmStatus_t,
                >(address(c"fp6llmQuantStatsInit")?),
                fp6llmWeightInfoInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmWeightInfo_t) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightInfoInit")?),
                fp6llmEpilogueInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmEpilogue_t) -> fp6llmStatus_t,
                >(address(c"fp6llmEpilogueInit")?),
                fp6llmHeuristicResultInit: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmHeuristicResult_t) -> fp6llmStatus_t,
                >(address(
                    c"fp6llmHeuristicResultInit",
                )?),
                fp6llmGetVersion: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_int) -> fp6llmStatus_t,
                >(address(c"fp6llmGetVersion")?),
                fp6llmGetVersionString: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn() -> *const c_char,
                >(address(c"fp6llmGetVersionString")?),
                fp6llmGetStatusName: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmStatus_t) -> *const c_char,
                >(address(c"fp6llmGetStatusName")?),
                fp6llmGetStatusString: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmStatus_t) -> *const c_char,
                >(address(c"fp6llmGetStatusString")?),
                fp6llmGetBuildInfo: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_char, usize, *mut usize) -> fp6llmStatus_t,
                >(address(c"fp6llmGetBuildInfo")?),
                fp6llmGetLastErrorString: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_char, usize, *mut usize) -> fp6llmStatus_t,
                >(address(c"fp6llmGetLastErrorString")?),
                fp6llmGetErrorString: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *mut c_char,
                        usize,
                        *mut usize,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGetErrorString")?),
                fp6llmGetDeviceCount: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmBackend_t, *mut c_int) -> fp6llmStatus_t,
                >(address(c"fp6llmGetDeviceCount")?),
                fp6llmGetDeviceInfo: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmBackend_t,
                        c_int,
                        *mut fp6llmDeviceInfo_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGetDeviceInfo")?),
                fp6llmSetLogger: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmLogCallback_t, *mut c_void) -> fp6llmStatus_t,
                >(address(c"fp6llmSetLogger")?),
                fp6llmCreate: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut fp6llmHandle_t) -> fp6llmStatus_t,
                >(address(c"fp6llmCreate")?),
                fp6llmCreateWithConfig: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        *mut fp6llmHandle_t,
                        *const fp6llmHandleConfig_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmCreateWithConfig")?),
                fp6llmDestroy: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t) -> fp6llmStatus_t,
                >(address(c"fp6llmDestroy")?),
                fp6llmSetStream: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, fp6llmStream_t) -> fp6llmStatus_t,
                >(address(c"fp6llmSetStream")?),
                fp6llmGetStream: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, *mut fp6llmStream_t) -> fp6llmStatus_t,
                >(address(c"fp6llmGetStream")?),
                fp6llmSetWorkspace: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, *mut c_void, usize) -> fp6llmStatus_t,
                >(address(c"fp6llmSetWorkspace")?),
                fp6llmSetPointerMode: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, fp6llmPointerMode_t) -> fp6llmStatus_t,
                >(address(c"fp6llmSetPointerMode")?),
                fp6llmGetPointerMode: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *mut fp6llmPointerMode_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGetPointerMode")?),
                fp6llmGetBackend: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, *mut fp6llmBackend_t) -> fp6llmStatus_t,
                >(address(c"fp6llmGetBackend")?),
                fp6llmSetNumThreads: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, c_int) -> fp6llmStatus_t,
                >(address(c"fp6llmSetNumThreads")?),
                fp6llmGetNumThreads: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmHandle_t, *mut c_int) -> fp6llmStatus_t,
                >(address(c"fp6llmGetNumThreads")?),
                fp6llmSetParallelFor: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmParallelFor_t,
                        *mut c_void,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmSetParallelFor")?),
                fp6llmQuantGetSizes: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *mut usize,
                        *mut usize,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmQuantGetSizes")?),
                fp6llmQuantize: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        fp6llmDataType_t,
                        i64,
                        *mut c_void,
                        *mut c_void,
                        *mut fp6llmQuantStats_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmQuantize")?),
                fp6llmDequantize: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        *const c_void,
                        *mut c_void,
                        fp6llmDataType_t,
                        i64,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmDequantize")?),
                fp6llmWeightCreate: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        fp6llmDataType_t,
                        i64,
                        *mut fp6llmWeight_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightCreate")?),
                fp6llmWeightCreateFromCodes: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        *const c_void,
                        *mut fp6llmWeight_t,
                    ) -> fp6llmStatus_t,
                >(address(
                    c"fp6llmWeightCreateFromCodes",
                )?),
                fp6llmWeightCreateFromPacked: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmPackedLayout_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        *const c_void,
                        *mut fp6llmWeight_t,
                    ) -> fp6llmStatus_t,
                >(address(
                    c"fp6llmWeightCreateFromPacked",
                )?),
                fp6llmWeightExportCodes: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmWeight_t,
                        *mut c_void,
                        *mut c_void,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightExportCodes")?),
                fp6llmWeightExportPacked: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmWeight_t,
                        fp6llmPackedLayout_t,
                        *mut c_void,
                        *mut c_void,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightExportPacked")?),
                fp6llmPackedGetSizes: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmPackedLayout_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *mut usize,
                        *mut usize,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmPackedGetSizes")?),
                fp6llmWeightGetInfo: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmWeight_t, *mut fp6llmWeightInfo_t) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightGetInfo")?),
                fp6llmWeightDestroy: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(fp6llmWeight_t) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightDestroy")?),
                fp6llmWeightGetBlobSize: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *mut usize,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightGetBlobSize")?),
                fp6llmWeightPackBlob: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const fp6llmQuantConfig_t,
                        i64,
                        i64,
                        *const c_void,
                        *const c_void,
                        *mut c_void,
                        usize,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightPackBlob")?),
                fp6llmWeightCreateView: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        *const c_void,
                        usize,
                        *mut fp6llmWeight_t,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmWeightCreateView")?),
                fp6llmGemmEx: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmOperation_t,
                        fp6llmOperation_t,
                        i64,
                        i64,
                        i64,
                        *const c_void,
                        fp6llmWeight_t,
                        *const c_void,
                        fp6llmDataType_t,
                        i64,
                        *const c_void,
                        *mut c_void,
                        fp6llmDataType_t,
                        i64,
                        fp6llmComputeType_t,
                        i32,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGemmEx")?),
                fp6llmGemmGetWorkspaceSize: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmOperation_t,
                        fp6llmOperation_t,
                        i64,
                        i64,
                        i64,
                        fp6llmWeight_t,
                        fp6llmDataType_t,
                        fp6llmDataType_t,
                        fp6llmComputeType_t,
                        i32,
                        *mut usize,
                    ) -> fp6llmStatus_t,
                >(address(
                    c"fp6llmGemmGetWorkspaceSize",
                )?),
                fp6llmGemmGetHeuristic: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        fp6llmOperation_t,
                        fp6llmOperation_t,
                        i64,
                        i64,
                        i64,
                        fp6llmWeight_t,
                        fp6llmDataType_t,
                        fp6llmDataType_t,
                        fp6llmComputeType_t,
                        c_int,
                        *mut fp6llmHeuristicResult_t,
                        *mut c_int,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGemmGetHeuristic")?),
                fp6llmLinear: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        i64,
                        *const c_void,
                        fp6llmDataType_t,
                        i64,
                        fp6llmWeight_t,
                        *const fp6llmEpilogue_t,
                        *mut c_void,
                        fp6llmDataType_t,
                        i64,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmLinear")?),
                fp6llmGemmGroupedEx: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(
                        fp6llmHandle_t,
                        i64,
                        fp6llmOperation_t,
                        fp6llmOperation_t,
                        i64,
                        i64,
                        i64,
                        *const i64,
                        *const c_void,
                        *const fp6llmWeight_t,
                        *const c_void,
                        fp6llmDataType_t,
                        i64,
                        *const c_void,
                        *mut c_void,
                        fp6llmDataType_t,
                        i64,
                        fp6llmComputeType_t,
                        i32,
                    ) -> fp6llmStatus_t,
                >(address(c"fp6llmGemmGroupedEx")?),
                fp6llmGetHeaderVersion: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn() -> c_int,
                >(address(c"fp6llmGetHeaderVersion")?),
                fp6llmGetBlobAlignment: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn() -> usize,
                >(address(c"fp6llmGetBlobAlignment")?),
                fp6llmGetAlgoDefault: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn() -> i32,
                >(address(c"fp6llmGetAlgoDefault")?),
                fp6llmGetScaleTypeDefault: core::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn() -> i32,
                >(address(
                    c"fp6llmGetScaleTypeDefault",
                )?),
            })
        }
    }
}

/// `FP6LLM_HANDLE_CONFIG_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmHandleConfigInit(config: *mut fp6llmHandleConfig_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmHandleConfigInit)(config) }
}

/// `FP6LLM_DEVICE_INFO_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmDeviceInfoInit(info: *mut fp6llmDeviceInfo_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmDeviceInfoInit)(info) }
}

/// `FP6LLM_QUANT_CONFIG_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmQuantConfigInit(config: *mut fp6llmQuantConfig_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmQuantConfigInit)(config) }
}

/// `FP6LLM_QUANT_STATS_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmQuantStatsInit(stats: *mut fp6llmQuantStats_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmQuantStatsInit)(stats) }
}

/// `FP6LLM_WEIGHT_INFO_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightInfoInit(info: *mut fp6llmWeightInfo_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightInfoInit)(info) }
}

/// `FP6LLM_EPILOGUE_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmEpilogueInit(epilogue: *mut fp6llmEpilogue_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmEpilogueInit)(epilogue) }
}

/// `FP6LLM_HEURISTIC_RESULT_INIT` as a function.
/// The functions behind the `_INIT` macros, for languages without macros. They write the fields that
/// ABI 0 froze and set `structSize` to their size; fields that later versions append then count as
/// zero, so a caller built against an older header is never overrun. Who sets such a field makes the
/// struct zero before the call and sets `structSize` to its size after.
///
/// * [`FP6LLM_STATUS_SUCCESS`]: the struct is initialized
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: the pointer is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmHeuristicResultInit(result: *mut fp6llmHeuristicResult_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmHeuristicResultInit)(result) }
}

/// The library's version.
///
/// * `version`: receives 10000 \* major + 100 \* minor + patch
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: version is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetVersion(version: *mut c_int) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetVersion)(version) }
}

/// The library's version as "major.minor.patch". Never NULL; static storage.
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetVersionString() -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetVersionString)() }
}

/// The enumerator's name, e.g. "[`FP6LLM_STATUS_INVALID_VALUE`]". Never NULL; static storage.
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetStatusName(status: fp6llmStatus_t) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetStatusName)(status) }
}

/// One sentence on what a status means. Never NULL; static storage.
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetStatusString(status: fp6llmStatus_t) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetStatusString)(status) }
}

/// JSON: version, compilers, ISAs and CUDA architectures built in, build options.
///
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// These copy NUL-terminated UTF-8 into the caller's buffer.
///
/// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
///   NUL-terminated when size \> 0.
/// * `size`: bytes in buffer
/// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
///   recorded for the thread only, so that a handle's text stays
///   readable
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetBuildInfo(
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetBuildInfo)(buffer, size, needed) }
}

/// Detail of the last call that failed on this thread; "" if none has. Successful calls leave it.
/// These copy NUL-terminated UTF-8 into the caller's buffer.
///
/// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
///   NUL-terminated when size \> 0.
/// * `size`: bytes in buffer
/// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
///   recorded for the thread only, so that a handle's text stays
///   readable
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetLastErrorString(
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetLastErrorString)(buffer, size, needed) }
}

/// Detail of the last call that failed with this handle, on whichever thread; "" if none has.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
///
/// These copy NUL-terminated UTF-8 into the caller's buffer.
///
/// * `buffer`: `size` bytes; may be NULL when size is 0. Text that does not fit is cut, always
///   NUL-terminated when size \> 0.
/// * `size`: bytes in buffer
/// * `needed`: receives the bytes the whole text takes with its NUL; may be NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: buffer is NULL and size is not 0, or needed is misaligned;
///   recorded for the thread only, so that a handle's text stays
///   readable
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetErrorString(
    handle: fp6llmHandle_t,
    buffer: *mut c_char,
    size: usize,
    needed: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetErrorString)(handle, buffer, size, needed) }
}

/// The number of devices a backend has: 1 for the CPU; 0 for CUDA without a driver or device.
/// Devices too old for the kernels count.
///
/// * `backend`: CPU, CUDA, or AUTO for the sum of both
/// * `count`: receives the number
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: count is NULL or backend is unknown
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetDeviceCount(backend: fp6llmBackend_t, count: *mut c_int) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetDeviceCount)(backend, count) }
}

/// Describes a device. `isa` of the CPU is the instruction set whose kernels are in use: the best
/// that the processor has (but avx512vnni instead of avx512bf16 on Intel's, where that is faster),
/// or one that the environment variable `FP6LLM_CPU_ISA` names, up to what the processor has
/// (portable, avx2, avx512, avx512vnni, avx512bf16; read once per process).
///
/// * `backend`: CPU or CUDA
/// * `ordinal`: 0 \<= ordinal \< count
/// * `info`: structSize set; receives the description
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: info is NULL or its structSize wrong, backend is unknown or
///   AUTO, ordinal is out of range
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetDeviceInfo(
    backend: fp6llmBackend_t,
    ordinal: c_int,
    info: *mut fp6llmDeviceInfo_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetDeviceInfo)(backend, ordinal, info) }
}

/// Installs the process-wide log receiver; without one nothing is logged and nothing is printed.
///
/// * `callback`: NULL removes the receiver
/// * `user`: passed on to the callback
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory; the receiver stays
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetLogger(callback: fp6llmLogCallback_t, user: *mut c_void) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetLogger)(callback, user) }
}

/// Makes a handle with the AUTO backend and default settings.
///
/// * `handle`: receives the handle
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: handle is NULL
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmCreate(handle: *mut fp6llmHandle_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmCreate)(handle) }
}

/// Makes a handle.
///
/// * `handle`: receives the handle
/// * `config`: backend, device, threads
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: a pointer is NULL, a field out of range, no such device
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA was asked for by name and is not there: never a silent
///   fallback. The detail text says why: no driver, one too old,
///   no device, a build without CUDA
/// * [`FP6LLM_STATUS_ARCH_MISMATCH`]: CUDA was asked for by name and the device is older than
///   compute capability 8.0
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmCreateWithConfig(
    handle: *mut fp6llmHandle_t,
    config: *const fp6llmHandleConfig_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmCreateWithConfig)(handle, config) }
}

/// Frees a handle. NULL is a no-op. Weights made with the handle live on.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: not a live handle, as far as can be told
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmDestroy(handle: fp6llmHandle_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmDestroy)(handle) }
}

/// Sets the stream that later calls enqueue on; NULL is the (legacy) default stream. The CPU backend
/// works synchronously and only stores it.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetStream(handle: fp6llmHandle_t, stream: fp6llmStream_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetStream)(handle, stream) }
}

/// The stream last set, or NULL.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: stream is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetStream(
    handle: fp6llmHandle_t,
    stream: *mut fp6llmStream_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetStream)(handle, stream) }
}

/// Lends the handle memory for its multiplications, which then allocate nothing (on CUDA: but for
/// 64 KiB of locks, once per stream). Without it the handle keeps scratch of its own that grows to
/// the largest call seen; on a CUDA handle, one per stream, kept until the handle is destroyed, so
/// that captured graphs stay valid as long.
///
/// * `workspace`: host or device memory, as the backend has it, aligned to 64 bytes, the caller's
///   until replaced; NULL with size 0 returns to the handle's own scratch
/// * `size`: bytes; [`fp6llmGemmGetWorkspaceSize()`] tells how many a call needs
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: NULL with a size, a size of 0 with a pointer, misaligned,
///   host memory on a CUDA handle
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetWorkspace(
    handle: fp6llmHandle_t,
    workspace: *mut c_void,
    size: usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetWorkspace)(handle, workspace, size) }
}

/// Where `alpha` and `beta` are read from.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: unknown mode
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: DEVICE on a CPU handle
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetPointerMode(
    handle: fp6llmHandle_t,
    mode: fp6llmPointerMode_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetPointerMode)(handle, mode) }
}

/// The pointer mode in force.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: mode is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetPointerMode(
    handle: fp6llmHandle_t,
    mode: *mut fp6llmPointerMode_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetPointerMode)(handle, mode) }
}

/// The backend the handle got: CPU or CUDA, never AUTO.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: backend is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetBackend(
    handle: fp6llmHandle_t,
    backend: *mut fp6llmBackend_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetBackend)(handle, backend) }
}

/// Threads the CPU work of this handle uses, the caller's included. Results do not depend on it.
///
/// * `threads`: 1..256; 0 = min(OMP_NUM_THREADS if set, CPUs in the affinity mask)
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: threads is out of range
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetNumThreads(handle: fp6llmHandle_t, threads: c_int) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetNumThreads)(handle, threads) }
}

/// The thread count in force, never 0.
///
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: threads is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetNumThreads(handle: fp6llmHandle_t, threads: *mut c_int) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetNumThreads)(handle, threads) }
}

/// Runs CPU work on the caller's executor in place of the library's own pool.
///
/// * `parallelFor`: NULL returns to the library's pool
/// * `user`: passed on to it
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
///
/// Note: A parallelFor that leaves an index out, or throws a C++ exception, makes the call that used
///       it answer [`FP6LLM_STATUS_EXECUTION_FAILED`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmSetParallelFor(
    handle: fp6llmHandle_t,
    parallelFor: fp6llmParallelFor_t,
    user: *mut c_void,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmSetParallelFor)(handle, parallelFor, user) }
}

/// Bytes of the plain codes and scales of a \[rows, cols\] matrix.
///
/// The **plain format** is the only one to store or exchange. Codes: row-major, each row an LSB-first
/// bit stream padded to a byte, so `rows * ceil(cols * bits / 8)` bytes. Scales: \[rows\] for ROW, else
/// row-major \[rows, ceil(cols / groupSize)\], of the config's scale type; none where there are no
/// columns. With MX scales these are the tensors of an AMD Quark MXFP6 checkpoint.
///
/// * `config`: format and scale mode; AUTO counts as 6 bits
/// * `codeBytes`: receives the bytes of the codes; may be NULL
/// * `scaleBytes`: receives the bytes of the scales; may be NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: config is NULL or a field of it invalid, rows or cols is
///   negative, or the sizes overflow
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmQuantGetSizes(
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    codeBytes: *mut usize,
    scaleBytes: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmQuantGetSizes)(config, rows, cols, codeBytes, scaleBytes) }
}

/// Quantizes W by rounding to nearest (ZeroQuant(4+2) section 4; OCP MX 1.0 section 6.3).
///
/// Row and group scales are amax / largest value of the format in fp32 (1 where amax is 0), then
/// rounded to the scale type; code = round(float(w) / scale) with an IEEE division, saturating. A
/// matrix may be quantized in blocks of rows, with the same result unless the format is AUTO.
/// Bitwise the same for any thread count.
///
/// * `rows`, `cols`: output and input channels
/// * `W`: row-major \[rows, cols\], host or device
/// * `Wtype`: R_16F, R_16BF or R_32F
/// * `ldw`: elements between two rows; \>= cols
/// * `codes`: receives the plain codes, [`fp6llmQuantGetSizes()`] bytes
/// * `scales`: receives the scales
/// * `stats`: may be NULL, which is faster; else structSize set
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, a size, ldw or config field
///   out of range, or NaN/Inf in W with NONFINITE_ERROR
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA backend of this build
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmQuantize(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    W: *const c_void,
    Wtype: fp6llmDataType_t,
    ldw: i64,
    codes: *mut c_void,
    scales: *mut c_void,
    stats: *mut fp6llmQuantStats_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmQuantize)(
            handle, config, rows, cols, W, Wtype, ldw, codes, scales, stats,
        )
    }
}

/// The matrix that codes and scales stand for: W\[r, c\] = value(code) \* scale, rounded once, to
/// nearest even, to Wtype.
///
/// * `config`: format, scaleMode, groupSize and scaleType count; AUTO is invalid
/// * `codes`, `scales`: plain, host or device
/// * `W`: receives row-major \[rows, cols\]; elements between cols and ldw stay as they are
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`], [`FP6LLM_STATUS_INVALID_VALUE`], [`FP6LLM_STATUS_NOT_SUPPORTED`]:
///   as for [`fp6llmQuantize()`]
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmDequantize(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    codes: *const c_void,
    scales: *const c_void,
    W: *mut c_void,
    Wtype: fp6llmDataType_t,
    ldw: i64,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmDequantize)(handle, config, rows, cols, codes, scales, W, Wtype, ldw)
    }
}

/// Quantizes W and prepacks it for the handle's backend.
/// Arguments and errors as for [`fp6llmQuantize()`].
///
/// * `weight`: receives the weight; free with [`fp6llmWeightDestroy()`]
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: also: weight is NULL
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightCreate(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    W: *const c_void,
    Wtype: fp6llmDataType_t,
    ldw: i64,
    weight: *mut fp6llmWeight_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmWeightCreate)(handle, config, rows, cols, W, Wtype, ldw, weight)
    }
}

/// Prepacks plain codes and scales. They are copied; export gives them back bit for bit.
///
/// * `config`: as for [`fp6llmDequantize()`]
/// * `rows`, `cols`: output and input channels
/// * `codes`, `scales`: plain, [`fp6llmQuantGetSizes()`] bytes, host or device
/// * `weight`: receives the weight
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, a size or field out of range
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: CUDA backend of this build
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightCreateFromCodes(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    codes: *const c_void,
    scales: *const c_void,
    weight: *mut fp6llmWeight_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmWeightCreateFromCodes)(
            handle, config, rows, cols, codes, scales, weight,
        )
    }
}

/// Prepacks a buffer in a published layout: the original fp6_llm's, as its released packer writes it
/// (FP6-LLM, arXiv 2401.14112), or the two planes of ZeroQuant(4+2) (arXiv 2312.08583).
///
/// * `layout`: TC_FPX: E3M2, E2M3 (2+4 planes) and E2M2, E3M1 (1+4), rows and cols multiples of
///   64. SPLIT_4_2: E3M2 and E2M3, any shape.
/// * `packed`: the buffer, [`fp6llmPackedGetSizes()`] bytes, host or device
/// * `scales`: as config says; the original fp6_llm has R_16F row scales
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
///
/// Other errors as for [`fp6llmWeightCreateFromCodes()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightCreateFromPacked(
    handle: fp6llmHandle_t,
    layout: fp6llmPackedLayout_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    packed: *const c_void,
    scales: *const c_void,
    weight: *mut fp6llmWeight_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmWeightCreateFromPacked)(
            handle, layout, config, rows, cols, packed, scales, weight,
        )
    }
}

/// Gives back the plain codes and scales the weight was made from, bit for bit (padding bits of a
/// row's last byte as zero).
///
/// * `codes`, `scales`: receive [`fp6llmWeightInfo_t`]'s codeBytes and scaleBytes, host or device; either
///   may be NULL
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: weight is NULL, or of another backend, device or CUDA
///   context; scales misaligned
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightExportCodes(
    handle: fp6llmHandle_t,
    weight: fp6llmWeight_t,
    codes: *mut c_void,
    scales: *mut c_void,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightExportCodes)(handle, weight, codes, scales) }
}

/// Gives the weight in a published layout.
///
/// * `packed`, `scales`: receive [`fp6llmPackedGetSizes()`] bytes, host or device; either may be NULL
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
///
/// Other errors as for [`fp6llmWeightExportCodes()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightExportPacked(
    handle: fp6llmHandle_t,
    weight: fp6llmWeight_t,
    layout: fp6llmPackedLayout_t,
    packed: *mut c_void,
    scales: *mut c_void,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightExportPacked)(handle, weight, layout, packed, scales) }
}

/// Bytes of a published layout.
///
/// * `packedBytes`, `scaleBytes`: receive the bytes; either may be NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: as for [`fp6llmQuantGetSizes()`], or an unknown layout
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a format or shape the layout cannot hold
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmPackedGetSizes(
    layout: fp6llmPackedLayout_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    packedBytes: *mut usize,
    scaleBytes: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmPackedGetSizes)(layout, config, rows, cols, packedBytes, scaleBytes)
    }
}

/// Describes a weight.
///
/// * `info`: structSize set; receives the description
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: a pointer is NULL or structSize wrong
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightGetInfo(
    weight: fp6llmWeight_t,
    info: *mut fp6llmWeightInfo_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightGetInfo)(weight, info) }
}

/// Frees a weight. NULL is a no-op. A view's blob stays the caller's.
///
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: not a live weight, as far as can be told
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightDestroy(weight: fp6llmWeight_t) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightDestroy)(weight) }
}

/// Bytes of a prepacked blob, for weights in memory the caller owns (a framework's tensor, a shared
/// mapping). A blob belongs to one layout version and kind of processor: keep it in memory or a
/// cache, and store plain codes.
///
/// * `bytes`: receives the size
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: bytes is NULL, or as for [`fp6llmQuantGetSizes()`]; AUTO is
///   invalid
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightGetBlobSize(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    bytes: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightGetBlobSize)(handle, config, rows, cols, bytes) }
}

/// Prepacks plain codes and scales into a blob.
///
/// * `blob`: receives the blob; aligned to [`FP6LLM_BLOB_ALIGNMENT`]
/// * `bytes`: bytes available; \>= [`fp6llmWeightGetBlobSize()`], else [`FP6LLM_STATUS_INVALID_VALUE`]
///
/// Errors as for [`fp6llmWeightCreateFromCodes()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightPackBlob(
    handle: fp6llmHandle_t,
    config: *const fp6llmQuantConfig_t,
    rows: i64,
    cols: i64,
    codes: *const c_void,
    scales: *const c_void,
    blob: *mut c_void,
    bytes: usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmWeightPackBlob)(
            handle, config, rows, cols, codes, scales, blob, bytes,
        )
    }
}

/// A weight over a blob, without a copy; cheap enough to make per call. The blob must outlive it and
/// not change meanwhile.
///
/// * `blob`: aligned to [`FP6LLM_BLOB_ALIGNMENT`]
/// * `bytes`: bytes readable
/// * `weight`: receives the weight
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: NULL, misaligned, too short, or not a sound blob: the header
///   is checked against its checksum and against `bytes`
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a blob of another layout version
/// * [`FP6LLM_STATUS_ARCH_MISMATCH`]: a blob of another backend
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmWeightCreateView(
    handle: fp6llmHandle_t,
    blob: *const c_void,
    bytes: usize,
    weight: *mut fp6llmWeight_t,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmWeightCreateView)(handle, blob, bytes, weight) }
}

/// C\[m, n\] = alpha \* op(A)\[m, k\] \* op(B)\[k, n\] + beta \* C\[m, n\], all column-major as in cuBLAS.
///
/// A weight made from a row-major \[OC, IC\] matrix \*is\* a column-major \[IC, OC\] matrix, so a linear
/// layer Y = X W^T on row-major X \[tokens, IC\] and Y \[tokens, OC\] is
/// ```c
/// fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, OC, tokens, IC, &alpha, W, X, FP6LLM_R_16F, IC,
///              &beta, Y, FP6LLM_R_16F, OC, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
/// ```
/// which is what a serving engine already passes to cublasGemmEx, less A's type and lda.
///
/// * `transa`: T: op(A) is \[rows, cols\] of the weight (m = rows, k = cols), the fast way. N: its
///   transpose (m = cols, k = rows), which decodes the weight anew for every 64 tokens.
/// * `transb`: N: B is column-major \[k, n\], token j at B + j \* ldb. T: B is column-major \[n, k\].
/// * `m`, `n`, `k`: \>= 0; m and k must be those of op(A). k == 0 gives beta \* C.
/// * `alpha`, `beta`: fp32, by pointer mode. beta == 0 never reads C; alpha == 0 never reads B.
/// * `B`, `Btype`, `ldb`: R_16F, R_16BF or R_32F; ldb \>= max(1, transb == N ? k : n)
/// * `C`, `Ctype`, `ldc`: R_32F, or B's own type; ldc \>= max(1, m)
/// * `computeType`: how exact products must be; see [`fp6llmComputeType_t`]
/// * `algo`: [`FP6LLM_ALGO_DEFAULT`], or from [`fp6llmGemmGetHeuristic()`]
/// * [`FP6LLM_STATUS_NOT_INITIALIZED`]: handle is NULL
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: a NULL or misaligned pointer, an unknown enum, m or k not
///   the weight's, a leading dimension too small, sizes that
///   overflow, a weight of another backend, device or CUDA
///   context, a lent workspace that is too small
/// * [`FP6LLM_STATUS_NOT_SUPPORTED`]: a combination of types or a compute type this backend lacks
/// * [`FP6LLM_STATUS_ALLOC_FAILED`]: out of memory; C is untouched
/// * [`FP6LLM_STATUS_EXECUTION_FAILED`]: the caller's parallel-for threw or left a task out; a launch
///   or earlier work on the GPU failed, or its context is gone
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGemmEx(
    handle: fp6llmHandle_t,
    transa: fp6llmOperation_t,
    transb: fp6llmOperation_t,
    m: i64,
    n: i64,
    k: i64,
    alpha: *const c_void,
    A: fp6llmWeight_t,
    B: *const c_void,
    Btype: fp6llmDataType_t,
    ldb: i64,
    beta: *const c_void,
    C: *mut c_void,
    Ctype: fp6llmDataType_t,
    ldc: i64,
    computeType: fp6llmComputeType_t,
    algo: i32,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmGemmEx)(
            handle,
            transa,
            transb,
            m,
            n,
            k,
            alpha,
            A,
            B,
            Btype,
            ldb,
            beta,
            C,
            Ctype,
            ldc,
            computeType,
            algo,
        )
    }
}

/// Bytes of workspace that the same call of [`fp6llmGemmEx()`] needs with the handle's thread count.
///
/// * `bytes`: receives the size
///
/// Errors as for [`fp6llmGemmEx()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGemmGetWorkspaceSize(
    handle: fp6llmHandle_t,
    transa: fp6llmOperation_t,
    transb: fp6llmOperation_t,
    m: i64,
    n: i64,
    k: i64,
    A: fp6llmWeight_t,
    Btype: fp6llmDataType_t,
    Ctype: fp6llmDataType_t,
    computeType: fp6llmComputeType_t,
    algo: i32,
    bytes: *mut usize,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmGemmGetWorkspaceSize)(
            handle,
            transa,
            transb,
            m,
            n,
            k,
            A,
            Btype,
            Ctype,
            computeType,
            algo,
            bytes,
        )
    }
}

/// The kernels that can run a multiplication, the one `algo` -1 takes first.
///
/// * `requested`: elements in results; \>= 1
/// * `results`: results\[0\].structSize set; receives up to `requested` elements
/// * `returned`: receives how many were written
/// * [`FP6LLM_STATUS_INVALID_VALUE`]: results or returned is NULL, requested \< 1
///
/// Other errors as for [`fp6llmGemmEx()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGemmGetHeuristic(
    handle: fp6llmHandle_t,
    transa: fp6llmOperation_t,
    transb: fp6llmOperation_t,
    m: i64,
    n: i64,
    k: i64,
    A: fp6llmWeight_t,
    Btype: fp6llmDataType_t,
    Ctype: fp6llmDataType_t,
    computeType: fp6llmComputeType_t,
    requested: c_int,
    results: *mut fp6llmHeuristicResult_t,
    returned: *mut c_int,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmGemmGetHeuristic)(
            handle,
            transa,
            transb,
            m,
            n,
            k,
            A,
            Btype,
            Ctype,
            computeType,
            requested,
            results,
            returned,
        )
    }
}

/// A linear layer on row-major data: Y = activation(X W^T + bias) + residual.
///
/// * `tokens`: rows of X and Y
/// * `X`: row-major \[tokens, IC\], R_16F, R_16BF or R_32F; ldx \>= IC
/// * `W`: the weight, \[OC, IC\]
/// * `epilogue`: NULL for none
/// * `Y`: row-major \[tokens, OC\], R_32F or X's type; ldy \>= OC. Must not overlap X.
///
/// Errors as for [`fp6llmGemmEx()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmLinear(
    handle: fp6llmHandle_t,
    tokens: i64,
    X: *const c_void,
    Xtype: fp6llmDataType_t,
    ldx: i64,
    W: fp6llmWeight_t,
    epilogue: *const fp6llmEpilogue_t,
    Y: *mut c_void,
    Ytype: fp6llmDataType_t,
    ldy: i64,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmLinear)(handle, tokens, X, Xtype, ldx, W, epilogue, Y, Ytype, ldy)
    }
}

/// One multiplication per group, as a mixture of experts needs: the tokens sorted by expert lie side
/// by side in B and C, and group g multiplies columns offsets\[g\] .. offsets\[g + 1\] - 1 by A\[g\].
///
/// * `groups`: number of weights; \>= 0; 0 leaves C as it is
/// * `n`: columns of B and C, an upper bound of offsets\[groups\]; columns at and beyond
///   offsets\[groups\] stay as they are
/// * `offsets`: \[groups + 1\], ascending from 0; host memory on a CPU handle, device memory on a
///   CUDA handle (so that a router's output needs no copy back)
/// * `A`: host array of `groups` weights, all of op(A) \[m, k\]; an entry may be NULL where
///   its group has no columns
/// * `transb`: N only: token j at B + j \* ldb
///
/// Other arguments and errors as for [`fp6llmGemmEx()`].
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGemmGroupedEx(
    handle: fp6llmHandle_t,
    groups: i64,
    transa: fp6llmOperation_t,
    transb: fp6llmOperation_t,
    m: i64,
    n: i64,
    k: i64,
    offsets: *const i64,
    alpha: *const c_void,
    A: *const fp6llmWeight_t,
    B: *const c_void,
    Btype: fp6llmDataType_t,
    ldb: i64,
    beta: *const c_void,
    C: *mut c_void,
    Ctype: fp6llmDataType_t,
    ldc: i64,
    computeType: fp6llmComputeType_t,
    algo: i32,
) -> fp6llmStatus_t {
    // SAFETY: the caller's promise.
    unsafe {
        (crate::table().fp6llmGemmGroupedEx)(
            handle,
            groups,
            transa,
            transb,
            m,
            n,
            k,
            offsets,
            alpha,
            A,
            B,
            Btype,
            ldb,
            beta,
            C,
            Ctype,
            ldc,
            computeType,
            algo,
        )
    }
}

/// [`FP6LLM_VERSION`]
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetHeaderVersion() -> c_int {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetHeaderVersion)() }
}

/// [`FP6LLM_BLOB_ALIGNMENT`]
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetBlobAlignment() -> usize {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetBlobAlignment)() }
}

/// [`FP6LLM_ALGO_DEFAULT`]
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetAlgoDefault() -> i32 {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetAlgoDefault)() }
}

/// [`FP6LLM_SCALE_TYPE_DEFAULT`]
///
/// # Safety
/// Pointers must be what the C function documents.
pub unsafe fn fp6llmGetScaleTypeDefault() -> i32 {
    // SAFETY: the caller's promise.
    unsafe { (crate::table().fp6llmGetScaleTypeDefault)() }
}
