// Generated from fp6llm.h by script/generate-bindings; do not edit.

use core::mem::{offset_of, size_of};

use fp6llm_sys::*;

fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// A line per struct and per field, like tests/bindings/generate_layout_probe.py's.
pub fn layout() -> Vec<String> {
    vec![
        format!("fp6llmHandleConfig_t {}", size_of::<fp6llmHandleConfig_t>()),
        format!(
            "fp6llmHandleConfig_t.structSize {} {}",
            offset_of!(fp6llmHandleConfig_t, structSize),
            size_of_field(|s: &fp6llmHandleConfig_t| &s.structSize)
        ),
        format!(
            "fp6llmHandleConfig_t.backend {} {}",
            offset_of!(fp6llmHandleConfig_t, backend),
            size_of_field(|s: &fp6llmHandleConfig_t| &s.backend)
        ),
        format!(
            "fp6llmHandleConfig_t.device {} {}",
            offset_of!(fp6llmHandleConfig_t, device),
            size_of_field(|s: &fp6llmHandleConfig_t| &s.device)
        ),
        format!(
            "fp6llmHandleConfig_t.numThreads {} {}",
            offset_of!(fp6llmHandleConfig_t, numThreads),
            size_of_field(|s: &fp6llmHandleConfig_t| &s.numThreads)
        ),
        format!(
            "fp6llmHandleConfig_t.reserved {} {}",
            offset_of!(fp6llmHandleConfig_t, reserved),
            size_of_field(|s: &fp6llmHandleConfig_t| &s.reserved)
        ),
        format!("fp6llmDeviceInfo_t {}", size_of::<fp6llmDeviceInfo_t>()),
        format!(
            "fp6llmDeviceInfo_t.structSize {} {}",
            offset_of!(fp6llmDeviceInfo_t, structSize),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.structSize)
        ),
        format!(
            "fp6llmDeviceInfo_t.backend {} {}",
            offset_of!(fp6llmDeviceInfo_t, backend),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.backend)
        ),
        format!(
            "fp6llmDeviceInfo_t.ordinal {} {}",
            offset_of!(fp6llmDeviceInfo_t, ordinal),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.ordinal)
        ),
        format!(
            "fp6llmDeviceInfo_t.name {} {}",
            offset_of!(fp6llmDeviceInfo_t, name),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.name)
        ),
        format!(
            "fp6llmDeviceInfo_t.isa {} {}",
            offset_of!(fp6llmDeviceInfo_t, isa),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.isa)
        ),
        format!(
            "fp6llmDeviceInfo_t.computeCapabilityMajor {} {}",
            offset_of!(fp6llmDeviceInfo_t, computeCapabilityMajor),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.computeCapabilityMajor)
        ),
        format!(
            "fp6llmDeviceInfo_t.computeCapabilityMinor {} {}",
            offset_of!(fp6llmDeviceInfo_t, computeCapabilityMinor),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.computeCapabilityMinor)
        ),
        format!(
            "fp6llmDeviceInfo_t.multiprocessorCount {} {}",
            offset_of!(fp6llmDeviceInfo_t, multiprocessorCount),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.multiprocessorCount)
        ),
        format!(
            "fp6llmDeviceInfo_t.driverVersion {} {}",
            offset_of!(fp6llmDeviceInfo_t, driverVersion),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.driverVersion)
        ),
        format!(
            "fp6llmDeviceInfo_t.totalMemory {} {}",
            offset_of!(fp6llmDeviceInfo_t, totalMemory),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.totalMemory)
        ),
        format!(
            "fp6llmDeviceInfo_t.sharedMemoryPerBlock {} {}",
            offset_of!(fp6llmDeviceInfo_t, sharedMemoryPerBlock),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.sharedMemoryPerBlock)
        ),
        format!(
            "fp6llmDeviceInfo_t.l2CacheBytes {} {}",
            offset_of!(fp6llmDeviceInfo_t, l2CacheBytes),
            size_of_field(|s: &fp6llmDeviceInfo_t| &s.l2CacheBytes)
        ),
        format!("fp6llmQuantConfig_t {}", size_of::<fp6llmQuantConfig_t>()),
        format!(
            "fp6llmQuantConfig_t.structSize {} {}",
            offset_of!(fp6llmQuantConfig_t, structSize),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.structSize)
        ),
        format!(
            "fp6llmQuantConfig_t.format {} {}",
            offset_of!(fp6llmQuantConfig_t, format),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.format)
        ),
        format!(
            "fp6llmQuantConfig_t.scaleMode {} {}",
            offset_of!(fp6llmQuantConfig_t, scaleMode),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.scaleMode)
        ),
        format!(
            "fp6llmQuantConfig_t.groupSize {} {}",
            offset_of!(fp6llmQuantConfig_t, groupSize),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.groupSize)
        ),
        format!(
            "fp6llmQuantConfig_t.scaleType {} {}",
            offset_of!(fp6llmQuantConfig_t, scaleType),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.scaleType)
        ),
        format!(
            "fp6llmQuantConfig_t.rounding {} {}",
            offset_of!(fp6llmQuantConfig_t, rounding),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.rounding)
        ),
        format!(
            "fp6llmQuantConfig_t.mxScaleRule {} {}",
            offset_of!(fp6llmQuantConfig_t, mxScaleRule),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.mxScaleRule)
        ),
        format!(
            "fp6llmQuantConfig_t.nonFinite {} {}",
            offset_of!(fp6llmQuantConfig_t, nonFinite),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.nonFinite)
        ),
        format!(
            "fp6llmQuantConfig_t.scaleSearch {} {}",
            offset_of!(fp6llmQuantConfig_t, scaleSearch),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.scaleSearch)
        ),
        format!(
            "fp6llmQuantConfig_t.computeHint {} {}",
            offset_of!(fp6llmQuantConfig_t, computeHint),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.computeHint)
        ),
        format!(
            "fp6llmQuantConfig_t.reserved {} {}",
            offset_of!(fp6llmQuantConfig_t, reserved),
            size_of_field(|s: &fp6llmQuantConfig_t| &s.reserved)
        ),
        format!("fp6llmQuantStats_t {}", size_of::<fp6llmQuantStats_t>()),
        format!(
            "fp6llmQuantStats_t.structSize {} {}",
            offset_of!(fp6llmQuantStats_t, structSize),
            size_of_field(|s: &fp6llmQuantStats_t| &s.structSize)
        ),
        format!(
            "fp6llmQuantStats_t.format {} {}",
            offset_of!(fp6llmQuantStats_t, format),
            size_of_field(|s: &fp6llmQuantStats_t| &s.format)
        ),
        format!(
            "fp6llmQuantStats_t.reserved {} {}",
            offset_of!(fp6llmQuantStats_t, reserved),
            size_of_field(|s: &fp6llmQuantStats_t| &s.reserved)
        ),
        format!(
            "fp6llmQuantStats_t.mse {} {}",
            offset_of!(fp6llmQuantStats_t, mse),
            size_of_field(|s: &fp6llmQuantStats_t| &s.mse)
        ),
        format!(
            "fp6llmQuantStats_t.signal {} {}",
            offset_of!(fp6llmQuantStats_t, signal),
            size_of_field(|s: &fp6llmQuantStats_t| &s.signal)
        ),
        format!(
            "fp6llmQuantStats_t.maxAbsError {} {}",
            offset_of!(fp6llmQuantStats_t, maxAbsError),
            size_of_field(|s: &fp6llmQuantStats_t| &s.maxAbsError)
        ),
        format!(
            "fp6llmQuantStats_t.saturated {} {}",
            offset_of!(fp6llmQuantStats_t, saturated),
            size_of_field(|s: &fp6llmQuantStats_t| &s.saturated)
        ),
        format!(
            "fp6llmQuantStats_t.nonFinite {} {}",
            offset_of!(fp6llmQuantStats_t, nonFinite),
            size_of_field(|s: &fp6llmQuantStats_t| &s.nonFinite)
        ),
        format!("fp6llmWeightInfo_t {}", size_of::<fp6llmWeightInfo_t>()),
        format!(
            "fp6llmWeightInfo_t.structSize {} {}",
            offset_of!(fp6llmWeightInfo_t, structSize),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.structSize)
        ),
        format!(
            "fp6llmWeightInfo_t.rows {} {}",
            offset_of!(fp6llmWeightInfo_t, rows),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.rows)
        ),
        format!(
            "fp6llmWeightInfo_t.cols {} {}",
            offset_of!(fp6llmWeightInfo_t, cols),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.cols)
        ),
        format!(
            "fp6llmWeightInfo_t.format {} {}",
            offset_of!(fp6llmWeightInfo_t, format),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.format)
        ),
        format!(
            "fp6llmWeightInfo_t.scaleMode {} {}",
            offset_of!(fp6llmWeightInfo_t, scaleMode),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.scaleMode)
        ),
        format!(
            "fp6llmWeightInfo_t.groupSize {} {}",
            offset_of!(fp6llmWeightInfo_t, groupSize),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.groupSize)
        ),
        format!(
            "fp6llmWeightInfo_t.scaleType {} {}",
            offset_of!(fp6llmWeightInfo_t, scaleType),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.scaleType)
        ),
        format!(
            "fp6llmWeightInfo_t.backend {} {}",
            offset_of!(fp6llmWeightInfo_t, backend),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.backend)
        ),
        format!(
            "fp6llmWeightInfo_t.device {} {}",
            offset_of!(fp6llmWeightInfo_t, device),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.device)
        ),
        format!(
            "fp6llmWeightInfo_t.isView {} {}",
            offset_of!(fp6llmWeightInfo_t, isView),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.isView)
        ),
        format!(
            "fp6llmWeightInfo_t.computeHint {} {}",
            offset_of!(fp6llmWeightInfo_t, computeHint),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.computeHint)
        ),
        format!(
            "fp6llmWeightInfo_t.bytes {} {}",
            offset_of!(fp6llmWeightInfo_t, bytes),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.bytes)
        ),
        format!(
            "fp6llmWeightInfo_t.codeBytes {} {}",
            offset_of!(fp6llmWeightInfo_t, codeBytes),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.codeBytes)
        ),
        format!(
            "fp6llmWeightInfo_t.scaleBytes {} {}",
            offset_of!(fp6llmWeightInfo_t, scaleBytes),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.scaleBytes)
        ),
        format!(
            "fp6llmWeightInfo_t.layout {} {}",
            offset_of!(fp6llmWeightInfo_t, layout),
            size_of_field(|s: &fp6llmWeightInfo_t| &s.layout)
        ),
        format!("fp6llmEpilogue_t {}", size_of::<fp6llmEpilogue_t>()),
        format!(
            "fp6llmEpilogue_t.structSize {} {}",
            offset_of!(fp6llmEpilogue_t, structSize),
            size_of_field(|s: &fp6llmEpilogue_t| &s.structSize)
        ),
        format!(
            "fp6llmEpilogue_t.bias {} {}",
            offset_of!(fp6llmEpilogue_t, bias),
            size_of_field(|s: &fp6llmEpilogue_t| &s.bias)
        ),
        format!(
            "fp6llmEpilogue_t.biasType {} {}",
            offset_of!(fp6llmEpilogue_t, biasType),
            size_of_field(|s: &fp6llmEpilogue_t| &s.biasType)
        ),
        format!(
            "fp6llmEpilogue_t.activation {} {}",
            offset_of!(fp6llmEpilogue_t, activation),
            size_of_field(|s: &fp6llmEpilogue_t| &s.activation)
        ),
        format!(
            "fp6llmEpilogue_t.residual {} {}",
            offset_of!(fp6llmEpilogue_t, residual),
            size_of_field(|s: &fp6llmEpilogue_t| &s.residual)
        ),
        format!(
            "fp6llmEpilogue_t.residualType {} {}",
            offset_of!(fp6llmEpilogue_t, residualType),
            size_of_field(|s: &fp6llmEpilogue_t| &s.residualType)
        ),
        format!(
            "fp6llmEpilogue_t.computeType {} {}",
            offset_of!(fp6llmEpilogue_t, computeType),
            size_of_field(|s: &fp6llmEpilogue_t| &s.computeType)
        ),
        format!(
            "fp6llmEpilogue_t.ldr {} {}",
            offset_of!(fp6llmEpilogue_t, ldr),
            size_of_field(|s: &fp6llmEpilogue_t| &s.ldr)
        ),
        format!(
            "fp6llmHeuristicResult_t {}",
            size_of::<fp6llmHeuristicResult_t>()
        ),
        format!(
            "fp6llmHeuristicResult_t.structSize {} {}",
            offset_of!(fp6llmHeuristicResult_t, structSize),
            size_of_field(|s: &fp6llmHeuristicResult_t| &s.structSize)
        ),
        format!(
            "fp6llmHeuristicResult_t.algo {} {}",
            offset_of!(fp6llmHeuristicResult_t, algo),
            size_of_field(|s: &fp6llmHeuristicResult_t| &s.algo)
        ),
        format!(
            "fp6llmHeuristicResult_t.isReference {} {}",
            offset_of!(fp6llmHeuristicResult_t, isReference),
            size_of_field(|s: &fp6llmHeuristicResult_t| &s.isReference)
        ),
        format!(
            "fp6llmHeuristicResult_t.workspaceSize {} {}",
            offset_of!(fp6llmHeuristicResult_t, workspaceSize),
            size_of_field(|s: &fp6llmHeuristicResult_t| &s.workspaceSize)
        ),
        format!(
            "fp6llmHeuristicResult_t.name {} {}",
            offset_of!(fp6llmHeuristicResult_t, name),
            size_of_field(|s: &fp6llmHeuristicResult_t| &s.name)
        ),
    ]
}
