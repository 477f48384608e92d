// Scales of a panel, kept away from overflow and underflow. The kernels work with placed weights
// (about 2^-124, avx2_decode.hpp) and activations below 2^91 (avx2_pack.hpp); a row's scales are
// multiplied by the power of two that brings the largest into [2^126, 2^127], so that
//
//   |x| * |placed value| * |scale| < 2^91 * 2^-119 * 2^127 = 2^99       (NormalTile's: 2^102)
//
// no sum overflows, and a scale keeps full precision down to 2^-120 of its row's largest (smaller
// ones count as less or nothing, which shows only where all larger ones meet zeros). All powers of
// two, and the scale of a row that has one, come back in fp64 at the very end: one rounding, and no
// overflow or underflow but the result's own.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/gemm/cpu/avx2_pack.hpp"
#include "core/prepack/weight.hpp"

namespace fp6llm::avx2 {

struct PanelScales {
    const float* values;   ///< [groups][16], or nullptr: see bytes; ones for ScaleMode::kRow
    const uint8_t* bytes;  ///< [groups][16] exponents, biased as fp32's
    double factor[16];     ///< of the sums of each row
    const char* next;      ///< what a later panel's are made of, [groups][group_bytes]
    int64_t group_bytes;

    FP6LLM_AVX2_MEMBER Floats at(int64_t group) const {
        if (values != nullptr) return load_values(values + group * 16);
        return power_at(group);
    }

    /// Asks for what the later panel needs at the same place.
    FP6LLM_AVX2_MEMBER void prefetch_next(int64_t group) const {
        _mm_prefetch(next + group * group_bytes, _MM_HINT_T1);
    }

    /// The same where values is nullptr.
    FP6LLM_AVX2_MEMBER Floats power_at(int64_t group) const {
        const __m128i* from = reinterpret_cast<const __m128i*>(bytes + group * 16);
        return as_floats(
            shift_left<23>({_mm256_cvtepu8_epi32(_mm_loadl_epi64(from)),
                            _mm256_cvtepu8_epi32(_mm_loadl_epi64(
                                reinterpret_cast<const __m128i*>(bytes + group * 16 + 8)))}));
    }
};

/// 2^(-placed_exponent - 90): undoes what decoding and packing multiplied by.
FP6LLM_AVX2_INLINE double placed_base(int placed_exponent) {
    const int64_t field = 1023 - placed_exponent - kActivationExponent;
    return _mm_cvtsd_f64(_mm_castsi128_pd(_mm_cvtsi64_si128(field << 52)));
}

/// Bytes for normalized scales: groups have at least 16 columns.
FP6LLM_AVX2_INLINE size_t scale_scratch_bytes(int64_t k) {
    return static_cast<size_t>(k / 16 + 1) * 64;
}

/// 2^(byte - 127) of 16 bytes, NaN for 255.
FP6LLM_AVX2_INLINE Floats e8m0_floats(__m128i bytes) {
    const auto widen = [](__m128i half) FP6LLM_AVX2_INLINE_LAMBDA {
        const __m256i e = _mm256_cvtepu8_epi32(half);
        const __m256i smallest = _mm256_set1_epi32(0x00400000);  // 2^-127, a subnormal
        const __m256i nan = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(255));
        const __m256i bits = _mm256_max_epi32(_mm256_slli_epi32(e, 23), smallest);
        return _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_srli_epi32(nan, 1)));
    };
    return {widen(bytes), widen(_mm_srli_si128(bytes, 8))};
}

/// The scales of MX group `scales` [16].
FP6LLM_AVX2_INLINE Floats load_e8m0(const uint8_t* scales) {
    return e8m0_floats(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
}

/// factor[r] = what undoes the normalization by the largest scale of row r; NaN for a NaN scale.
static inline void store_mx_factors(const uint8_t* largest, double base, double* factor) {
    for (int r = 0; r < 16; ++r) {
        const int64_t exponent = static_cast<int64_t>(largest[r]) - 127 - 127 + 1023;
        const __m128i bits = _mm_cvtsi64_si128(exponent << 52);
        const double power = _mm_cvtsd_f64(_mm_castsi128_pd(bits));
        factor[r] = largest[r] == 255 ? __builtin_nan("") : power * base;
    }
}

/// normalized[g][r] = exponent field of scale * 2^(254 - largest), 0 (a scale of zero) below
/// fp32's.
static inline void normalize_mx(const uint8_t* e8m0, int64_t groups, double base,
                                uint8_t* normalized, double* factor) {
    const auto load = [&](int64_t g) FP6LLM_AVX2_INLINE_LAMBDA {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(e8m0 + g * 16));
    };
    const auto load_two = [&](int64_t g) FP6LLM_AVX2_INLINE_LAMBDA {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(e8m0 + g * 16));
    };
    const int64_t even = groups / 2 * 2;
    __m256i two = _mm256_setzero_si256();
    for (int64_t g = 0; g < even; g += 2)
        two = _mm256_max_epu8(two, load_two(g));
    __m128i largest = _mm_max_epu8(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    if (even != groups) largest = _mm_max_epu8(largest, load(even));
    two = _mm256_broadcastsi128_si256(largest);
    const __m256i top = _mm256_set1_epi8(static_cast<char>(254));
    for (int64_t g = 0; g < even; g += 2) {
        const __m256i biased = _mm256_subs_epu8(top, _mm256_subs_epu8(two, load_two(g)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(normalized + g * 16), biased);
    }
    if (even != groups) {
        const __m128i biased =
            _mm_subs_epu8(_mm256_castsi256_si128(top), _mm_subs_epu8(largest, load(even)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(normalized + even * 16), biased);
    }
    alignas(16) uint8_t bytes[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(bytes), largest);
    store_mx_factors(bytes, base, factor);
}

/// normalized[g][r] = scale * 2^(253 - exponent field of the row's largest).
static inline void normalize_groups(const float* scales, int64_t groups, double base,
                                    float* normalized, double* factor) {
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    Lanes largest{_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int64_t g = 0; g < groups; ++g) {
        const Lanes bits =
            bit_and(load_lanes(reinterpret_cast<const uint8_t*>(scales + g * 16)), magnitude);
        largest = {_mm256_max_epi32(largest.lo, bits.lo), _mm256_max_epi32(largest.hi, bits.hi)};
    }
    // The multiplier's exponent, 253 - exponent field, is up to 252: two steps.
    const auto exponent = [](__m256i bits) FP6LLM_AVX2_INLINE_LAMBDA {
        const __m256i field = _mm256_max_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(1));
        return _mm256_sub_epi32(_mm256_set1_epi32(253), field);
    };
    const Lanes total{exponent(largest.lo), exponent(largest.hi)};
    const __m256i most = _mm256_set1_epi32(126);
    const Lanes first{_mm256_min_epi32(total.lo, most), _mm256_min_epi32(total.hi, most)};
    const Lanes second{_mm256_sub_epi32(total.lo, first.lo), _mm256_sub_epi32(total.hi, first.hi)};
    const Floats first_factor = power_of_two(first), second_factor = power_of_two(second);
    for (int64_t g = 0; g < groups; ++g) {
        const Floats scale = multiply(load_values(scales + g * 16), first_factor);
        store_values(normalized + g * 16, multiply(scale, second_factor));
    }
    alignas(32) int32_t exponents[16];
    _mm256_store_si256(reinterpret_cast<__m256i*>(exponents), total.lo);
    _mm256_store_si256(reinterpret_cast<__m256i*>(exponents + 8), total.hi);
    for (int r = 0; r < 16; ++r) {
        const __m128i bits = _mm_cvtsi64_si128(static_cast<int64_t>(1023 - exponents[r]) << 52);
        factor[r] = base * _mm_cvtsd_f64(_mm_castsi128_pd(bits));
    }
}

/// Bytes of a panel's scales of a group.
FP6LLM_AVX2_INLINE int64_t group_scale_bytes(const CpuWeightView& weight) {
    return weight.scale_mode == ScaleMode::kMx ? 16 : 64;
}

/// A panel's scales.
FP6LLM_AVX2_INLINE const char* scale_address(const CpuWeightView& weight, int64_t panel) {
    const int64_t at = weight.scale_index(panel, 0);
    return weight.scale_mode == ScaleMode::kMx ? reinterpret_cast<const char*>(weight.e8m0 + at)
                                               : reinterpret_cast<const char*>(weight.scales + at);
}

/// Asks for a panel's scales of some groups later, or for those of a panel `panels` later, as many as are
/// multiplied at once.
FP6LLM_AVX2_INLINE void prefetch_scales(const CpuWeightView& weight, int64_t panel, int64_t group,
                                        int panels) {
    constexpr int64_t kBytesAhead = 512;
    const int64_t bytes = group_scale_bytes(weight), ahead = group + kBytesAhead / bytes;
    const int64_t of = ahead < weight.groups ? panel : panel + panels - 1;
    _mm_prefetch(scale_address(weight, of) + ahead * bytes, _MM_HINT_T0);
}

/// Prepares the scales of a panel, one of `panels` that are multiplied at once; `base` undoes the powers of
/// two of weights and activations. `scratch` holds scale_scratch_bytes().
static inline void prepare_scales(const CpuWeightView& weight, int64_t panel, int panels,
                                  double base, void* scratch, PanelScales* out) {
    const int64_t next = panel + panels < weight.panels ? panel + panels : panel;
    out->next = scale_address(weight, next);
    out->group_bytes = group_scale_bytes(weight);
    float* values = static_cast<float*>(scratch);
    uint8_t* bytes = static_cast<uint8_t*>(scratch);
    out->values = weight.scale_mode == ScaleMode::kMx ? nullptr : values;
    out->bytes = bytes;
    const int64_t first = weight.scale_index(panel, 0);
    switch (weight.scale_mode) {
        case ScaleMode::kRow:
            store_values(values, all_floats(1.0f));
            for (int r = 0; r < 16; ++r)
                out->factor[r] = base * static_cast<double>(weight.scales[first + r]);
            break;
        case ScaleMode::kGroup:
            normalize_groups(weight.scales + first, weight.groups, base, values, out->factor);
            break;
        case ScaleMode::kMx:
            normalize_mx(weight.e8m0 + first, weight.groups, base, bytes, out->factor);
            break;
    }
}

/// factor[r] = unit, times the scale of row r with ScaleMode::kRow.
static inline void row_factors(const CpuWeightView& weight, int64_t panel, double unit,
                               double* factor) {
    for (int r = 0; r < 16; ++r) {
        factor[r] = unit;
        if (weight.scale_mode == ScaleMode::kRow)
            factor[r] *= static_cast<double>(weight.scales[panel * 16 + r]);
    }
}

/// sums[t][r] *= factor[r] * token_factor[t], rounded once.
static inline void finish_sums(const double* factor, const float* token_factor, int64_t tokens,
                               float* sums) {
    for (int64_t t = 0; t < tokens; ++t, sums += 16) {
        const __m256d of_token = _mm256_set1_pd(static_cast<double>(token_factor[t]));
        FP6LLM_AVX2_UNROLL
        for (int r = 0; r < 16; r += 4) {
            const __m256d sum = _mm256_cvtps_pd(_mm_loadu_ps(sums + r));
            const __m256d scale = _mm256_mul_pd(_mm256_loadu_pd(factor + r), of_token);
            _mm_storeu_ps(sums + r, _mm256_cvtpd_ps(_mm256_mul_pd(sum, scale)));
        }
    }
}

}  // namespace fp6llm::avx2
