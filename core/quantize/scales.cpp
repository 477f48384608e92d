// Scale rules, and scales in their stored types.
#include "core/quantize/scales.hpp"

#include <algorithm>
#include <cstring>

#include "core/common/float16.hpp"

namespace fp6llm {
namespace {

constexpr int kMaxE8M0Exponent = 127;
constexpr uint16_t kMinHalf = 0x0001, kMaxHalf = 0x7BFF;
constexpr uint32_t kMantissaMask = 0x7FFFFFu;

/// 2^exponent for exponents of E8M0, -127..127; the smallest is a subnormal float.
float power_of_two(int exponent) noexcept {
    return float_from_bits(exponent == -127 ? 0x00400000u
                                            : static_cast<uint32_t>(exponent + 127) << 23);
}

float mx_scale(const QuantSpec& spec, const FormatInfo& format, float amax,
               int candidate) noexcept {
    uint32_t bits = float_bits(amax);
    if (spec.mx_rule == MxScaleRule::kEven) bits += 1u << (22 - format.mantissa_bits);
    // Subnormal amax reads as 2^-127 here, which the limit below makes no difference to.
    int exponent = static_cast<int>(bits >> 23) - 127 - format.max_exponent;
    if (spec.mx_rule == MxScaleRule::kRceil &&
        (bits & kMantissaMask) > (float_bits(format.max) & kMantissaMask)) {
        ++exponent;
    }
    if (candidate != 0) exponent += candidate == 1 ? -1 : 1;
    return power_of_two(std::clamp(exponent, -kMaxE8M0Exponent, kMaxE8M0Exponent));
}

}  // namespace

float group_scale(const QuantSpec& spec, const FormatInfo& format, float amax,
                  int candidate) noexcept {
    if (spec.scale_mode == ScaleMode::kMx) return mx_scale(spec, format, amax, candidate);
    if (amax == 0.0f) return 1.0f;
    const float shrunk = amax * (1.0f - static_cast<float>(candidate) /
                                            static_cast<float>(2 * spec.scale_search + 2));
    const float scale = std::max(shrunk / format.max, float_from_bits(1));
    if (spec.scale_type != DataType::kF16) return scale;
    return half_to_float(std::clamp(float_to_half(scale), kMinHalf, kMaxHalf));
}

int scale_candidates(const QuantSpec& spec) noexcept {
    const int more = spec.scale_search;
    return 1 + (spec.scale_mode == ScaleMode::kMx ? std::min(more, 2) : more);
}

void encode_scales(DataType type, const float* scales, int64_t count, void* out) noexcept {
    if (type == DataType::kF16) {
        uint16_t* half = static_cast<uint16_t*>(out);
        for (int64_t i = 0; i < count; ++i)
            half[i] = float_to_half(scales[i]);
    } else if (type == DataType::kE8M0) {
        uint8_t* e8m0 = static_cast<uint8_t*>(out);
        for (int64_t i = 0; i < count; ++i) {
            e8m0[i] = static_cast<uint8_t>(float_bits(scales[i]) >> 23);
        }
    } else if (count > 0) {
        std::memcpy(out, scales, static_cast<size_t>(count) * sizeof(float));
    }
}

void decode_scales(DataType type, const void* scales, int64_t count, float* out) noexcept {
    if (type == DataType::kF16) {
        const uint16_t* half = static_cast<const uint16_t*>(scales);
        for (int64_t i = 0; i < count; ++i)
            out[i] = half_to_float(half[i]);
    } else if (type == DataType::kE8M0) {
        const uint8_t* e8m0 = static_cast<const uint8_t*>(scales);
        for (int64_t i = 0; i < count; ++i) {
            out[i] = e8m0[i] == 255 ? float_from_bits(0x7FC00000u) : power_of_two(e8m0[i] - 127);
        }
    } else if (count > 0) {
        std::memcpy(out, scales, static_cast<size_t>(count) * sizeof(float));
    }
}

}  // namespace fp6llm
