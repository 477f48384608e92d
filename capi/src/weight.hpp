// The object behind fp6llmWeight_t.
#pragma once

#include <memory>

#include "capi/src/handle.hpp"
#include "core/prepack/device_weight.hpp"
#include "core/prepack/weight.hpp"
#include "fp6llm/fp6llm.h"

namespace fp6llm::capi {

constexpr uint64_t kWeightMagic = 0x6670366C6C6D5731;  // "fp6llmW1"

}  // namespace fp6llm::capi

struct fp6llmWeight {
    explicit fp6llmWeight(std::unique_ptr<fp6llm::Weight> weight) noexcept
        : impl(std::move(weight)) {}
    explicit fp6llmWeight(std::unique_ptr<fp6llm::DeviceWeight> weight) noexcept
        : backend(FP6LLM_BACKEND_CUDA), device(weight->ordinal()), device_impl(std::move(weight)) {}

    uint64_t magic = fp6llm::capi::kWeightMagic;
    fp6llmBackend_t backend = FP6LLM_BACKEND_CPU;
    int32_t device = 0;
    std::unique_ptr<fp6llm::Weight> impl;               ///< on the CPU
    std::unique_ptr<fp6llm::DeviceWeight> device_impl;  ///< on a GPU

    int64_t rows() const noexcept { return impl ? impl->cpu().rows : device_impl->rows(); }
    int64_t cols() const noexcept { return impl ? impl->cpu().cols : device_impl->cols(); }
    const fp6llm::QuantSpec& spec() const noexcept {
        return impl ? impl->spec() : device_impl->spec();
    }
};

namespace fp6llm::capi {

/// Throws INVALID_VALUE unless it is a live weight, as far as can be told.
const fp6llmWeight& check_weight(fp6llmWeight_t weight, const char* name);

/// The same, and that it is of the handle's backend and device.
const fp6llmWeight& check_weight(const fp6llmContext& context, fp6llmWeight_t weight,
                                 const char* name);

}  // namespace fp6llm::capi
