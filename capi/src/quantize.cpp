// fp6llmQuantize, fp6llmDequantize and their sizes.
#include "core/quantize/quantize.hpp"

#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"

using namespace fp6llm;
using namespace fp6llm::capi;

namespace {

fp6llmQuantStats_t to_public(const QuantStats& stats) noexcept {
    fp6llmQuantStats_t out = FP6LLM_QUANT_STATS_INIT;
    out.format = static_cast<int32_t>(stats.format);
    out.mse = stats.mse;
    out.signal = stats.signal;
    out.maxAbsError = stats.max_abs_error;
    out.saturated = stats.saturated;
    out.nonFinite = stats.non_finite;
    return out;
}

}  // namespace

fp6llmStatus_t fp6llmQuantGetSizes(const fp6llmQuantConfig_t* config, int64_t rows, int64_t cols,
                                   size_t* codeBytes, size_t* scaleBytes) {
    return guard([&] {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kAllowed);
        const QuantSizes sizes = check_quant_shape(spec, rows, cols);
        check_optional_out(codeBytes, "codeBytes");
        check_optional_out(scaleBytes, "scaleBytes");
        if (codeBytes != nullptr) *codeBytes = sizes.code_bytes;
        if (scaleBytes != nullptr) *scaleBytes = sizes.scale_bytes;
    });
}

fp6llmStatus_t fp6llmQuantize(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                              int64_t rows, int64_t cols, const void* W, fp6llmDataType_t Wtype,
                              int64_t ldw, void* codes, void* scales, fp6llmQuantStats_t* stats) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kAllowed);
        const QuantSizes sizes = check_quant_shape(spec, rows, cols);
        const MatrixView w = check_weights(W, Wtype, rows, cols, ldw);
        check_buffer(codes, sizes.code_bytes == 0, 1, "codes");
        check_buffer(scales, sizes.scale_bytes == 0, spec.scale_element_bytes(), "scales");
        if (stats != nullptr) check_out_struct(stats, "stats");
        context.check_memory(W, rows == 0 || cols == 0, "W");
        context.check_memory(codes, sizes.code_bytes == 0, "codes");
        context.check_memory(scales, sizes.scale_bytes == 0, "scales");

        QuantStats measured{};
        QuantStats* wanted = stats != nullptr ? &measured : nullptr;
        auto* out = static_cast<uint8_t*>(codes);
        if (context.device != nullptr) {
            context.device->quantize(spec, w, out, scales, wanted);
        } else {
            quantize(spec, w, out, scales, wanted, context.executor());
        }
        if (stats != nullptr) write_struct(stats, to_public(measured));
    });
}

fp6llmStatus_t fp6llmDequantize(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                int64_t rows, int64_t cols, const void* codes, const void* scales,
                                void* W, fp6llmDataType_t Wtype, int64_t ldw) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const QuantSizes sizes = check_quant_shape(spec, rows, cols);
        check_buffer(codes, sizes.code_bytes == 0, 1, "codes");
        check_buffer(scales, sizes.scale_bytes == 0, spec.scale_element_bytes(), "scales");
        const MatrixView w = check_weights(W, Wtype, rows, cols, ldw);
        context.check_memory(codes, sizes.code_bytes == 0, "codes");
        context.check_memory(scales, sizes.scale_bytes == 0, "scales");
        context.check_memory(W, rows == 0 || cols == 0, "W");

        const MutableMatrixView out{W, w.type, w.rows, w.cols, w.ld};
        const auto* plain = static_cast<const uint8_t*>(codes);
        if (context.device != nullptr) {
            context.device->dequantize(spec, plain, scales, out);
        } else {
            dequantize(spec, plain, scales, out, context.executor());
        }
    });
}
