// The arithmetic of the tensor cores: rows of small numbers to binary32, and products of small tiles.
//
// What the hardware does to the last bits is not published. Ours, and the reason to trust it only to
// a tolerance: products are exact (every type here has at most 11 significant bits); they are added in
// ascending k, to the accumulator, in binary32 with round to nearest even after every addition. f16
// accumulators are widened, and the sum is rounded once at the end. NaNs come out canonical:
// 0x7FFFFFFF and 0x7FFF. tf32 operands lose their low 13 bits. Integers are exact; the sum wraps or,
// with .satfinite, clamps when it is added to the accumulator. f64 uses fma in ascending k.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <limits>

#include "tests/emulator/isa/narrow_float.hpp"

namespace emulator::tensor {

enum class Element : uint8_t { kF16, kBF16, kTF32, kE4M3, kE5M2, kS8, kU8 };

constexpr int element_bytes(Element element) noexcept {
    switch (element) {
        case Element::kF16:
        case Element::kBF16:
            return 2;
        case Element::kTF32:
            return 4;
        default:
            return 1;
    }
}

/// "f16" to Element; false for a name that is none.
inline bool parse_element(const char* name, Element* element) noexcept {
    static const struct {
        const char* name;
        Element element;
    } kNames[] = {{"f16", Element::kF16},   {"bf16", Element::kBF16}, {"tf32", Element::kTF32},
                  {"e4m3", Element::kE4M3}, {"e5m2", Element::kE5M2}, {"s8", Element::kS8},
                  {"u8", Element::kU8}};
    for (const auto& entry : kNames) {
        if (std::strcmp(entry.name, name) != 0) continue;
        *element = entry.element;
        return true;
    }
    return false;
}

/// Binary32 values of all codes of an 8-bit format.
struct ByteTable {
    float value[256];
};

inline ByteTable table_of(const isa::FloatFormat& format) noexcept {
    ByteTable table{};
    for (uint32_t code = 0; code < 256; ++code)
        table.value[code] = static_cast<float>(isa::decode(code, format));
    return table;
}

/// 16 bytes of elements to binary32: 8 of 16 bits, 4 of tf32, 16 of 8 bits. Integers are exact there.
template <Element kElement>
inline void widen16(const uint8_t* in, float* out) noexcept {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    if constexpr (kElement == Element::kF16) {
        _mm256_storeu_ps(out, _mm256_cvtph_ps(raw));
    } else if constexpr (kElement == Element::kBF16) {
        const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16);
        _mm256_storeu_ps(out, _mm256_castsi256_ps(wide));
    } else if constexpr (kElement == Element::kTF32) {
        const __m128i cut = _mm_and_si128(raw, _mm_set1_epi32(static_cast<int>(0xFFFFE000u)));
        _mm_storeu_ps(out, _mm_castsi128_ps(cut));
    } else if constexpr (kElement == Element::kS8 || kElement == Element::kU8) {
        for (int half = 0; half < 2; ++half) {
            const __m128i part = half == 0 ? raw : _mm_srli_si128(raw, 8);
            const __m256i wide =
                kElement == Element::kS8 ? _mm256_cvtepi8_epi32(part) : _mm256_cvtepu8_epi32(part);
            _mm256_storeu_ps(out + 8 * half, _mm256_cvtepi32_ps(wide));
        }
    } else {
        static const ByteTable table =
            table_of(kElement == Element::kE4M3 ? isa::kE4M3 : isa::kE5M2);
        for (int i = 0; i < 16; ++i)
            out[i] = table.value[in[i]];
    }
}

inline void widen16(Element element, const uint8_t* in, float* out) noexcept {
    switch (element) {
        case Element::kF16:
            return widen16<Element::kF16>(in, out);
        case Element::kBF16:
            return widen16<Element::kBF16>(in, out);
        case Element::kTF32:
            return widen16<Element::kTF32>(in, out);
        case Element::kE4M3:
            return widen16<Element::kE4M3>(in, out);
        case Element::kE5M2:
            return widen16<Element::kE5M2>(in, out);
        case Element::kS8:
            return widen16<Element::kS8>(in, out);
        case Element::kU8:
            return widen16<Element::kU8>(in, out);
    }
}

/// 8 x 8 transpose: to[8 k + n] = rows[n][k].
inline void transpose_8x8(const float* const rows[8], float* to) noexcept {
    __m256 r[8], s[8];
    for (int i = 0; i < 8; ++i)
        r[i] = _mm256_loadu_ps(rows[i]);
    for (int i = 0; i < 4; ++i) {
        s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        r[4 * i + 0] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; ++i) {
        _mm256_storeu_ps(to + 8 * i, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(to + 8 * (i + 4), _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/// acc[m][0..7] += a[m][k] * b[k][0..7] over k ascending, one rounding per step, for 8 rows m whose
/// a lie `stride` floats apart; eight independent sums keep both multipliers busy.
inline void multiply_8x8(const float* a, int stride, const float* b, int k_count,
                         __m256 acc[8]) noexcept {
    __m256 s0 = acc[0], s1 = acc[1], s2 = acc[2], s3 = acc[3];
    __m256 s4 = acc[4], s5 = acc[5], s6 = acc[6], s7 = acc[7];
    for (int k = 0; k < k_count; ++k) {
        const __m256 column = _mm256_loadu_ps(b + 8 * k);
        const float* p = a + k;
        s0 = _mm256_fmadd_ps(_mm256_broadcast_ss(p), column, s0);
        s1 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + stride), column, s1);
        s2 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 2 * stride), column, s2);
        s3 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 3 * stride), column, s3);
        s4 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 4 * stride), column, s4);
        s5 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 5 * stride), column, s5);
        s6 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 6 * stride), column, s6);
        s7 = _mm256_fmadd_ps(_mm256_broadcast_ss(p + 7 * stride), column, s7);
    }
    acc[0] = s0, acc[1] = s1, acc[2] = s2, acc[3] = s3;
    acc[4] = s4, acc[5] = s5, acc[6] = s6, acc[7] = s7;
}

/// Every NaN becomes 0x7FFFFFFF.
inline __m256 canonical(__m256 x) noexcept {
    const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/// accumulator + sum as .s32, wrapped or clamped.
inline int32_t add_s32(int32_t accumulator, int64_t sum, bool saturate) noexcept {
    const int64_t exact = int64_t{accumulator} + sum;
    if (!saturate) return static_cast<int32_t>(static_cast<uint32_t>(exact));
    if (exact > std::numeric_limits<int32_t>::max()) return std::numeric_limits<int32_t>::max();
    if (exact < std::numeric_limits<int32_t>::min()) return std::numeric_limits<int32_t>::min();
    return static_cast<int32_t>(exact);
}

}  // namespace emulator::tensor
