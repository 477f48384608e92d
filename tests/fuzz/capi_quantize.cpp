// See capi_session.hpp: fp6llmQuantize and fp6llmDequantize.
#include "tests/fuzz/capi_session.hpp"

namespace fp6llm::fuzz {

void Session::quantize_call() {
    const Config config = this->config(true);
    bool wrong = config.wrong, sizes_wrong = false;
    const auto [rows, cols] = shape(40, 100, sizes_wrong);
    size_t code_bytes = 0, scale_bytes = 0;
    sizes_wrong =
        !succeeded(fp6llmQuantGetSizes(config.get(), rows, cols, &code_bytes, &scale_bytes),
                   wrong || sizes_wrong) ||
        sizes_wrong;
    Matrix w = matrix(rows, cols, sizes_wrong);
    fill(w, !choices_.rarely(32));
    const GuardedBuffer codes(code_bytes), scales(scale_bytes);
    fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
    stats.format = -1;
    const bool empty = code_bytes == 0;

    wrong = wrong || sizes_wrong || w.wrong || w.misaligned;
    const auto handle = this->handle(wrong);
    auto* w_data = pointer(w.data(), !empty, wrong);
    auto* code_data = pointer(codes.data(), !empty, wrong);
    const auto codes_before = codes.copy(), scales_before = scales.copy();
    if (succeeded(fp6llmQuantize(handle, config.get(), rows, cols, w_data,
                                 static_cast<fp6llmDataType_t>(w.type), w.ld, code_data,
                                 scales.data(), choices_.rarely(64) ? &stats : nullptr),
                  wrong)) {
        return;
    }
    require(stats.format == -1);
    if (!executor_skips_) require(codes.equals(codes_before) && scales.equals(scales_before));
}

void Session::dequantize_call() {
    const Config config = this->config(false);
    bool wrong = config.wrong, sizes_wrong = false;
    const auto [rows, cols] = shape(40, 100, sizes_wrong);
    size_t code_bytes = 0, scale_bytes = 0;
    sizes_wrong =
        !succeeded(fp6llmQuantGetSizes(config.get(), rows, cols, &code_bytes, &scale_bytes),
                   wrong || sizes_wrong) ||
        sizes_wrong;
    const GuardedBuffer codes(code_bytes), scales(scale_bytes);
    for (size_t i = 0; i < code_bytes; ++i)
        codes.data()[i] = static_cast<uint8_t>(i * 37 + 11);
    for (size_t i = 0; i < scale_bytes; ++i)
        scales.data()[i] = choices_.byte();
    const Matrix w = matrix(rows, cols, sizes_wrong);

    wrong = wrong || sizes_wrong || w.wrong || w.misaligned;
    const auto handle = this->handle(wrong);
    const auto* code_data = pointer(codes.data(), code_bytes != 0, wrong);
    const auto before = w.memory.copy();
    const bool done =
        succeeded(fp6llmDequantize(handle, config.get(), rows, cols, code_data, scales.data(),
                                   w.data(), static_cast<fp6llmDataType_t>(w.type), w.ld),
                  wrong);
    if (!done && !executor_skips_) require(w.memory.equals(before));
    // What lies between two rows stays.
    const size_t element = w.type == FP6LLM_R_32F ? 4 : 2;
    for (int64_t r = 0; done && cols > 0 && r + 1 < rows; ++r) {
        for (auto at = static_cast<size_t>(r * w.ld + cols) * element;
             at < static_cast<size_t>((r + 1) * w.ld) * element; ++at) {
            require(w.memory.data()[at] == GuardedBuffer::kPattern);
        }
    }
}

}  // namespace fp6llm::fuzz
