// The grid of quantization configs that the GPU suite runs, and how the CPU answers.
#pragma once

#include <string>
#include <vector>

#include "tests/gpu/device.hpp"
#include "tests/gpu/matrices.hpp"

namespace fp6llm::gpu_test {

struct Case {
    std::string name;
    fp6llmQuantConfig_t config;
};

/// Every format, scale mode, scale type, rounding, MX rule, AUTO and searches; NaN and Inf
/// saturate.
std::vector<Case> quant_cases();

struct Quantized {
    fp6llmStatus_t status;
    std::vector<uint8_t> codes, scales;
    fp6llmQuantStats_t stats;
};

/// On the CPU, with statistics.
Quantized quantize_on_cpu(fp6llmHandle_t cpu, const fp6llmQuantConfig_t& config, const Matrix& w);

/// The config with AUTO replaced by the format that was chosen.
fp6llmQuantConfig_t settled(fp6llmQuantConfig_t config, const Quantized& quantized);

}  // namespace fp6llm::gpu_test
