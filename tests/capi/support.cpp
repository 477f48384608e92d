#include "tests/capi/support.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <random>
#include <thread>

namespace fp6llm::capi_test {

Handle make_handle(int threads) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    config.numThreads = threads;
    fp6llmHandle_t handle = nullptr;
    fp6llmCreateWithConfig(&handle, &config);
    return Handle(handle);
}

Weight make_weight(fp6llmHandle_t handle, const fp6llmQuantConfig_t& config, int64_t rows,
                   int64_t cols, const std::vector<float>& w) {
    fp6llmWeight_t weight = nullptr;
    fp6llmWeightCreate(handle, &config, rows, cols, w.data(), FP6LLM_R_32F, cols, &weight);
    return Weight(weight);
}

fp6llmQuantConfig_t quant_config(int32_t format, int32_t scale_mode, int32_t group_size) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.format = format;
    config.scaleMode = scale_mode;
    config.groupSize = group_size;
    return config;
}

std::string last_error() {
    char text[1024] = "";
    fp6llmGetLastErrorString(text, sizeof text, nullptr);
    return text;
}

std::string handle_error(fp6llmHandle_t handle) {
    char text[1024] = "";
    fp6llmGetErrorString(handle, text, sizeof text, nullptr);
    return text;
}

std::vector<float> gaussian(size_t count, unsigned seed, float sigma) {
    std::mt19937 random(seed);
    const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
    std::vector<float> values(count);
    for (float& value : values) {
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        value = static_cast<float>(radius * std::cos(6.283185307179586 * uniform())) * sigma;
    }
    return values;
}

fp6llmStatus_t multiply(fp6llmHandle_t handle, fp6llmWeight_t weight, int64_t tokens,
                        const std::vector<float>& x, std::vector<float>& y) {
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    const fp6llmStatus_t status = fp6llmWeightGetInfo(weight, &info);
    if (status != FP6LLM_STATUS_SUCCESS) return status;
    y.assign(static_cast<size_t>(tokens * info.rows), NAN);
    const float one = 1.0f, zero = 0.0f;
    return fp6llmGemmEx(handle, FP6LLM_OP_T, FP6LLM_OP_N, info.rows, tokens, info.cols, &one,
                        weight, x.data(), FP6LLM_R_32F, info.cols, &zero, y.data(), FP6LLM_R_32F,
                        info.rows, FP6LLM_COMPUTE_32F, FP6LLM_ALGO_DEFAULT);
}

void CallersThreads::parallel_for(void* user, int64_t count, fp6llmTask_t task, void* context) {
    const auto& self = *static_cast<const CallersThreads*>(user);
    std::vector<std::thread> threads;
    for (int t = 0; t < self.threads; ++t) {
        threads.emplace_back([=, &self] {
            self.enter();
            for (int64_t i = count - 1 - t; i >= 0; i -= self.threads)
                task(context, i);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
}

bool passes_in_child(const std::function<bool()>& check) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(check() ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

}  // namespace fp6llm::capi_test
