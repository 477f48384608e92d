// Shared by the C++ tests of the C ABI: owners, error texts, data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fp6llm/fp6llm.h"

namespace fp6llm::capi_test {

struct Destroy {
    void operator()(fp6llmHandle_t handle) const { fp6llmDestroy(handle); }
    void operator()(fp6llmWeight_t weight) const { fp6llmWeightDestroy(weight); }
};
using Handle = std::unique_ptr<fp6llmContext, Destroy>;
using Weight = std::unique_ptr<fp6llmWeight, Destroy>;

/// A CPU handle; `threads` 0 = default. NULL if it cannot be made.
Handle make_handle(int threads = 0);

/// A weight of dense fp32 data [rows, cols]. NULL if it cannot be made.
Weight make_weight(fp6llmHandle_t handle, const fp6llmQuantConfig_t& config, int64_t rows,
                   int64_t cols, const std::vector<float>& w);

fp6llmQuantConfig_t quant_config(int32_t format = FP6LLM_R_6F_E3M2,
                                 int32_t scale_mode = FP6LLM_SCALE_ROW, int32_t group_size = 0);

/// The detail texts of this thread and of a handle.
std::string last_error();
std::string handle_error(fp6llmHandle_t handle);

/// Normally distributed values; a function of the seed alone, whatever the standard library.
std::vector<float> gaussian(size_t count, unsigned seed, float sigma = 1.0f);

/// Y [tokens, rows] = X [tokens, cols] W^T in fp32, through fp6llmGemmEx().
fp6llmStatus_t multiply(fp6llmHandle_t handle, fp6llmWeight_t weight, int64_t tokens,
                        const std::vector<float>& x, std::vector<float>& y);

/// Equal to the last bit: tells -0 from 0, and NaN is equal to itself.
template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    const auto* bytes_a = reinterpret_cast<const unsigned char*>(a.data());
    const auto* bytes_b = reinterpret_cast<const unsigned char*>(b.data());
    return a.size() == b.size() && std::equal(bytes_a, bytes_a + a.size() * sizeof(T), bytes_b);
}

/// A caller's executor: runs the tasks on `threads` threads of its own, last index first. `enter`
/// runs first on each thread.
struct CallersThreads {
    int threads = 2;
    std::function<void()> enter = [] {};
    static void parallel_for(void* user, int64_t count, fp6llmTask_t task, void* context);
};

/// Runs `check` in a forked child, for at most a minute; true if it returned true.
bool passes_in_child(const std::function<bool()>& check);

}  // namespace fp6llm::capi_test
