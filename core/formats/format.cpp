// The registry: one row per number format (API.md's table of types; OCP MX 1.0 section 5.3).
#include "core/formats/format.hpp"

#include <iterator>

#include "core/common/float16.hpp"
#include "core/formats/float_format.hpp"

namespace fp6llm {
namespace {

template <typename Format>
constexpr auto kValues = Format::values();

template <typename Format>
constexpr FormatInfo row(DataType type, const char* name) {
    return {type,
            name,
            Format::kBits,
            Format::kExponentBits,
            Format::kMantissaBits,
            Format::kBias,
            Format::decode(Format::kSignBit - 1),
            Format::decode(1u << Format::kMantissaBits),
            Format::decode(1),
            Format::kMaxExponent,
            kValues<Format>.data()};
}

constexpr FormatInfo kFormats[] = {
    row<E3M2>(DataType::kE3M2, "E3M2"),  //
    row<E2M3>(DataType::kE2M3, "E2M3"),  //
    row<E2M2>(DataType::kE2M2, "E2M2"),  //
    row<E3M1>(DataType::kE3M1, "E3M1"),  //
    row<E2M1>(DataType::kE2M1, "E2M1"),
};

}  // namespace

FormatList all_formats() noexcept {
    return {std::begin(kFormats), std::end(kFormats)};
}

const FormatInfo* find_format(DataType type) noexcept {
    for (const FormatInfo& format : kFormats) {
        if (format.type == type) return &format;
    }
    return nullptr;
}

uint8_t encode(const FormatInfo& format, float value, Rounding rounding) noexcept {
    return encode_small_float(float_bits(value), format.exponent_bits, format.mantissa_bits,
                              format.bias, rounding);
}

}  // namespace fp6llm
