// linked.cpp - a C++ consumer, of the installed fp6llm.hpp alone.
#include <cstdio>
#include <vector>

#include "fp6llm/fp6llm.hpp"

int main() {
    try {
        fp6llm::Handle handle;
        const fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
        const std::vector<float> w = {28, -1, 0.25f, 14, 0.5f, -7};  // scales 1 and 0.5: exact
        const std::vector<float> x = {1, 2, 4};
        std::vector<float> y(2);
        const auto weight = fp6llm::Weight::from_floats(handle, config, 2, 3, fp6llm::Span(w));
        weight.linear(handle, 1, fp6llm::Span(x), fp6llm::Span(y));
        if (y[0] != 27 || y[1] != -13) return std::printf("y = %g, %g\n", y[0], y[1]), 1;
    } catch (const fp6llm::Exception& e) {
        return std::printf("%s\n", e.what()), 1;
    }
    std::printf("fp6llm %d: result right\n", fp6llm::version());
    return 0;
}
