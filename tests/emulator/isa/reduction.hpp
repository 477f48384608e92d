// The element-wise reductions of cp.reduce.async.bulk and red.async.
//
// Source: PTX ISA, "cp.reduce.async.bulk": .and .or .xor .add .inc .dec .min .max.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace emulator {

enum class Reduction : uint8_t { kAdd, kMin, kMax, kInc, kDec, kAnd, kOr, kXor };
enum class ReductionType : uint8_t { kU32, kS32, kU64, kS64, kF16, kBF16, kF32, kF64 };

inline bool parse_reduction(const std::string& name, Reduction* out) noexcept {
    static const char* const kNames[] = {"add", "min", "max", "inc", "dec", "and", "or", "xor"};
    for (size_t i = 0; i < 8; ++i) {
        if (name != kNames[i]) continue;
        *out = static_cast<Reduction>(i);
        return true;
    }
    return false;
}
inline bool parse_reduction_type(const std::string& name, ReductionType* out) noexcept {
    static const struct {
        const char* name;
        ReductionType type;
    } kNames[] = {{"u32", ReductionType::kU32}, {"b32", ReductionType::kU32},
                  {"s32", ReductionType::kS32}, {"u64", ReductionType::kU64},
                  {"b64", ReductionType::kU64}, {"s64", ReductionType::kS64},
                  {"f16", ReductionType::kF16}, {"bf16", ReductionType::kBF16},
                  {"f32", ReductionType::kF32}, {"f64", ReductionType::kF64}};
    for (const auto& entry : kNames) {
        if (name != entry.name) continue;
        *out = entry.type;
        return true;
    }
    return false;
}
constexpr int reduction_bytes(ReductionType type) noexcept {
    switch (type) {
        case ReductionType::kF16:
        case ReductionType::kBF16:
            return 2;
        case ReductionType::kU64:
        case ReductionType::kS64:
        case ReductionType::kF64:
            return 8;
        default:
            return 4;
    }
}
constexpr bool reduction_is_float(ReductionType type) noexcept {
    return type == ReductionType::kF16 || type == ReductionType::kBF16 ||
           type == ReductionType::kF32 || type == ReductionType::kF64;
}
/// Whether PTX has the combination.
constexpr bool reduction_exists(Reduction op, ReductionType type) noexcept {
    switch (op) {
        case Reduction::kAdd:
            return true;
        case Reduction::kMin:
        case Reduction::kMax:
            return type != ReductionType::kF32 && type != ReductionType::kF64;
        case Reduction::kInc:
        case Reduction::kDec:
            return type == ReductionType::kU32;
        default:
            return type == ReductionType::kU32 || type == ReductionType::kU64;
    }
}

namespace reduction_detail {

template <typename T>
T combine(Reduction op, T old, T value) noexcept {
    switch (op) {
        case Reduction::kAdd:
            return static_cast<T>(old + value);
        case Reduction::kMin:
            return value < old ? value : old;
        case Reduction::kMax:
            return value > old ? value : old;
        default:
            return old;
    }
}
template <typename T>
T combine_integer(Reduction op, T old, T value) noexcept {
    switch (op) {
        case Reduction::kInc:
            return old >= value ? T{0} : static_cast<T>(old + 1);
        case Reduction::kDec:
            return old == 0 || old > value ? value : static_cast<T>(old - 1);
        case Reduction::kAnd:
            return old & value;
        case Reduction::kOr:
            return old | value;
        case Reduction::kXor:
            return old ^ value;
        default:
            return combine(op, old, value);
    }
}
/// min and max let the number win over a NaN and order -0 before +0.
inline float combine_float(Reduction op, float old, float value) noexcept {
    if (op == Reduction::kAdd) return old + value;
    if (old != old) return value;
    if (value != value) return old;
    if (old == value) {
        const bool old_negative = __builtin_signbit(old) != 0;
        return (op == Reduction::kMin) == old_negative ? old : value;
    }
    return (op == Reduction::kMin) == (old < value) ? old : value;
}
template <typename T>
void apply(uint8_t* where, T result) noexcept {
    std::memcpy(where, &result, sizeof result);
}
template <typename T>
T fetch(const uint8_t* where) noexcept {
    T value;
    std::memcpy(&value, where, sizeof value);
    return value;
}
inline float from_bf16(uint16_t bits) noexcept {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    return fetch<float>(reinterpret_cast<const uint8_t*>(&wide));
}
inline uint16_t to_bf16(float value) noexcept {
    if (value != value) return 0x7FFF;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
inline uint16_t to_f16(float value) noexcept {
    return value != value ? uint16_t{0x7FFF} : _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
}

}  // namespace reduction_detail

/// result = op(old, value) of one element; the three may be the same memory. binary32 holds the sum of
/// two 16-bit floats closely enough that rounding twice is rounding once.
inline void reduce_element(Reduction op, ReductionType type, const uint8_t* old,
                           const uint8_t* value, uint8_t* result) noexcept {
    using namespace reduction_detail;
    switch (type) {
        case ReductionType::kU32:
            return apply(result, combine_integer(op, fetch<uint32_t>(old), fetch<uint32_t>(value)));
        case ReductionType::kU64:
            return apply(result, combine_integer(op, fetch<uint64_t>(old), fetch<uint64_t>(value)));
        case ReductionType::kS32:
            if (op == Reduction::kAdd)
                return apply(result, fetch<uint32_t>(old) + fetch<uint32_t>(value));
            return apply(result, combine(op, fetch<int32_t>(old), fetch<int32_t>(value)));
        case ReductionType::kS64:
            if (op == Reduction::kAdd)
                return apply(result, fetch<uint64_t>(old) + fetch<uint64_t>(value));
            return apply(result, combine(op, fetch<int64_t>(old), fetch<int64_t>(value)));
        case ReductionType::kF32: {
            const float sum = fetch<float>(old) + fetch<float>(value);
            if (sum != sum) return apply(result, uint32_t{0x7FFFFFFF});
            return apply(result, sum);
        }
        case ReductionType::kF64:
            return apply(result, fetch<double>(old) + fetch<double>(value));
        case ReductionType::kF16:
            return apply(result, to_f16(combine_float(op, _cvtsh_ss(fetch<uint16_t>(old)),
                                                      _cvtsh_ss(fetch<uint16_t>(value)))));
        case ReductionType::kBF16:
            return apply(result, to_bf16(combine_float(op, from_bf16(fetch<uint16_t>(old)),
                                                       from_bf16(fetch<uint16_t>(value)))));
    }
}

}  // namespace emulator
