#include "tests/gpu/matrices.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/common/float16.hpp"

namespace fp6llm::gpu_test {
namespace {

float element(std::mt19937& random, int64_t row, Values values) {
    const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
    const double normal =
        std::sqrt(-2.0 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    if (values == Values::kAny && random() % 50 == 0) {
        constexpr float kSpecial[] = {std::numeric_limits<float>::infinity(),
                                      -std::numeric_limits<float>::infinity(),
                                      std::numeric_limits<float>::quiet_NaN()};
        return kSpecial[random() % 3];
    }
    switch (row % 9) {
        case 3:  // a zero row, of both signs
            return random() % 2 == 0 ? 0.0f : -0.0f;
        case 4:  // ties, where the scale is a power of two or 1/28 of one
            return static_cast<float>(static_cast<int>(random() % 225) - 112) * 0.125f;
        case 5:  // subnormal, in every type
            return static_cast<float>(normal * 0x1p-134);
        case 6:
            return static_cast<float>(normal * 0x1p-20);
        case 7:  // halfs up to their largest
            return static_cast<float>(normal) * 15000.0f;
        case 8:  // outliers
            return static_cast<float>(normal * (random() % 64 == 0 ? 30.0 : 0.02));
        default:
            return static_cast<float>(normal);
    }
}

}  // namespace

Matrix make_matrix(fp6llmDataType_t type, int64_t rows, int64_t cols, int64_t ld, Values values,
                   unsigned seed) {
    Matrix matrix{type, rows, cols, ld, {}};
    const size_t size = matrix.element_bytes();
    matrix.bytes.assign(static_cast<size_t>(rows * ld) * size, 0xFF);  // NaN between the rows
    std::mt19937 random(seed);
    for (int64_t row = 0; row < rows; ++row) {
        const bool huge = row % 18 == 1 && type != FP6LLM_R_16F;
        for (int64_t col = 0; col < cols; ++col) {
            float value = element(random, row, values);
            if (huge) value *= 0x1p120f;
            uint8_t* to = matrix.bytes.data() + static_cast<size_t>(row * ld + col) * size;
            if (type == FP6LLM_R_32F) {
                std::memcpy(to, &value, sizeof value);
                continue;
            }
            if (values == Values::kFinite && type == FP6LLM_R_16F && std::fabs(value) > 65504.0f)
                value = std::copysign(65504.0f, value);
            const uint16_t narrow =
                type == FP6LLM_R_16F ? float_to_half(value) : float_to_bf16(value);
            std::memcpy(to, &narrow, sizeof narrow);
        }
    }
    return matrix;
}

}  // namespace fp6llm::gpu_test
