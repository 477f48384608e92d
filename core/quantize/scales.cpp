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

/// The MX rules. No branches: the compiler makes vectors of a loop over this.
class MxScale {
  public:
    MxScale(const QuantSpec& spec, const FormatInfo& format, int candidate) noexcept
        : rounding_(spec.mx_rule == MxScaleRule::kEven ? 1u << (22 - format.mantissa_bits) : 0),
          largest_mantissa_(spec.mx_rule == MxScaleRule::kRceil
                                ? float_bits(format.max) & kMantissaMask
                                : kMantissaMask),
          offset_(-127 - format.max_exponent +
                  (candidate == 0   ? 0
                   : candidate == 1 ? -1
                                    : 1)) {}

    float operator()(float amax) const noexcept {
        const uint32_t bits = float_bits(amax) + rounding_;
        // Subnormal amax reads as 2^-127 here, which the limit below makes no difference to.
        const int exponent = static_cast<int>(bits >> 23) + offset_ +
                             ((bits & kMantissaMask) > largest_mantissa_ ? 1 : 0);
        return power_of_two(std::clamp(exponent, -kMaxE8M0Exponent, kMaxE8M0Exponent));
    }

  private:
    uint32_t rounding_, largest_mantissa_;  ///< added to amax; above which RCEIL adds one
    int offset_;
};

/// Row and group scales.
class AmaxScale {
  public:
    AmaxScale(const QuantSpec& spec, const FormatInfo& format, int candidate) noexcept
        : shrink_(1.0f -
                  static_cast<float>(candidate) / static_cast<float>(2 * spec.scale_search + 2)),
          max_(format.max),
          half_(spec.scale_type == DataType::kF16) {}

    float operator()(float amax) const noexcept {
        if (amax == 0.0f) return 1.0f;
        const float scale = std::max(amax * shrink_ / max_, float_from_bits(1));
        return half_ ? half_to_float(std::clamp(float_to_half(scale), kMinHalf, kMaxHalf)) : scale;
    }

  private:
    float shrink_, max_;
    bool half_;
};

}  // namespace

float group_scale(const QuantSpec& spec, const FormatInfo& format, float amax,
                  int candidate) noexcept {
    float scale = 0.0f;
    group_scales(spec, format, &amax, 1, candidate, &scale);
    return scale;
}

void group_scales(const QuantSpec& spec, const FormatInfo& format, const float* amax, int64_t count,
                  int candidate, float* scales) noexcept {
    const auto apply = [=](const auto& rule) {
        for (int64_t i = 0; i < count; ++i)
            scales[i] = rule(amax[i]);
    };
    if (spec.scale_mode == ScaleMode::kMx) {
        apply(MxScale(spec, format, candidate));
    } else {
        apply(AmaxScale(spec, format, candidate));
    }
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
