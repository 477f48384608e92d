// Quantizes a weight to 6 bits, makes a weight object of it, and multiplies: Y = X W^T.
// c++ -std=c++17 quickstart.cpp $(pkg-config --cflags --libs fp6llm) && ./a.out
// examples/README.md defines the problem; every language prints the same line.
#include <cmath>
#include <cstdio>
#include <fp6llm/fp6llm.hpp>
#include <vector>

namespace {

constexpr int kOutputs = 96, kInputs = 160, kTokens = 5;

/// Uniform in [-1, 1), the same on every machine: xorshift32.
class Numbers {
  public:
    std::vector<float> take(std::size_t count) {
        std::vector<float> values(count);
        for (float& value : values) {
            state_ ^= state_ << 13, state_ ^= state_ >> 17, state_ ^= state_ << 5;
            value = static_cast<float>(state_ >> 8) / 8388608.0f - 1.0f;
        }
        return values;
    }

  private:
    std::uint32_t state_ = 2463534242u;
};

std::uint32_t fnv1a(std::uint32_t hash, const std::vector<unsigned char>& bytes) {
    for (const unsigned char byte : bytes)
        hash = (hash ^ byte) * 16777619u;
    return hash;
}

}  // namespace

int main() try {
    Numbers numbers;
    const std::vector<float> w = numbers.take(kOutputs * kInputs);
    const std::vector<float> x = numbers.take(kTokens * kInputs);
    std::vector<float> y(kTokens * kOutputs);

    fp6llmHandleConfig_t where = FP6LLM_HANDLE_CONFIG_INIT;
    where.backend = FP6LLM_BACKEND_CPU;
    fp6llm::Handle handle(where);

    // Plain codes and scales: what is stored. E3M2, one fp32 scale per row.
    const fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    const fp6llm::QuantSizes sizes = fp6llm::quant_sizes(config, kOutputs, kInputs);
    std::vector<unsigned char> codes(sizes.code_bytes), scales(sizes.scale_bytes);
    handle.quantize(config, kOutputs, kInputs, fp6llm::Span(w), codes, scales);

    // Prepacked for this processor: what multiplies. from_floats() does both at once.
    const auto weight =
        fp6llm::Weight::from_codes(handle, config, kOutputs, kInputs, codes, scales);
    weight.linear(handle, kTokens, fp6llm::Span(x), fp6llm::Span(y));

    double sum = 0;
    for (const float value : y)
        sum += std::fabs(value);
    std::printf("checksum %08x, y[0] = %.4f, mean |y| = %.4f\n",
                static_cast<unsigned>(fnv1a(fnv1a(2166136261u, codes), scales)), y[0],
                sum / static_cast<double>(y.size()));
    return 0;
} catch (const fp6llm::Exception& e) {
    std::fprintf(stderr, "%s\n", e.what());  // "INVALID_VALUE: ldw = 512 < cols = 576"
    return 1;
}
