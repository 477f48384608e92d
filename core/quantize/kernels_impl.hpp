// The loops of kernels.hpp, for the instruction set of the including file, which defines
// FP6LLM_QUANT_KERNELS (the function that returns the set) and FP6LLM_QUANT_ISA first.
//
// Encoding, for q = |w| / scale (DESIGN section 2): codes step by 2^(e - M), with e the exponent of
// q or the smallest normal one. Adding C = 2^(e + 23 - M) leaves room for just that many fraction
// bits, so the processor's own rounding yields n = q / 2^(e - M), rounded to even, in the lowest
// bits:
//
//   bits(q + C) - bits(C) = n          (q + C) - C = the rounded q, exactly
//   code = n + ((e - e_min) << M)      the leading one of n carries into the exponent field
//
// C's own low bits are free, and zero in all but its exponent field: they hold -(e_min << M), an even
// number of steps, so that the low byte of bits(q + C) + (e << M) is the code.
// A tie that went down, and only that, has q - rounded = half a step: ties-away adds 1 there.
#include "core/quantize/kernels.hpp"
#include "core/quantize/vec.hpp"

namespace fp6llm {
namespace {

constexpr int32_t kMagnitude = INT32_MAX;
constexpr int32_t kInf = 0x7F800000;

struct ElementF32 {
    using Raw = int32_t;
    static constexpr Raw kRawInf = kInf;
    static FP6LLM_INLINE F32 load_floats(const Raw* from) noexcept { return load<F32>(from); }
    static FP6LLM_INLINE void store_floats(F32 v, Raw* to) noexcept { store(v, to); }
    static FP6LLM_INLINE float magnitude(Raw bits) noexcept { return bit_cast<float>(bits); }
};

struct ElementF16 {
    using Raw = int16_t;
    static constexpr int kMantissaBits = 10;
    static constexpr Raw kRawInf = 0x7C00;
    static FP6LLM_INLINE F32 load_floats(const Raw* from) noexcept { return half_to_float(from); }
    static FP6LLM_INLINE void store_floats(F32 v, Raw* to) noexcept { float_to_half(v, to); }
    static FP6LLM_INLINE float magnitude(Raw bits) noexcept {
        return bit_cast<float>(static_cast<int32_t>(bits) << 13) * 0x1p112f;
    }
};

struct ElementBF16 {
    using Raw = int16_t;
    static constexpr int kMantissaBits = 7;
    static constexpr Raw kRawInf = 0x7F80;
    static FP6LLM_INLINE F32 load_floats(const Raw* from) noexcept {
        return bit_cast<F32>(__builtin_convertvector(load<U16>(from), I32) << 16);
    }
    static FP6LLM_INLINE void store_floats(F32 v, Raw* to) noexcept {
        const U32 bits = bit_cast<U32>(v);
        const U32 rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        const U32 nan = bits >> 16 | 0x40;
        const U32 word = (bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded;
        store(__builtin_convertvector(word, U16), to);
    }
    static FP6LLM_INLINE float magnitude(Raw bits) noexcept {
        return bit_cast<float>(static_cast<int32_t>(bits) << 16);
    }
};

/// Magnitudes are compared as integers in the elements' own type: their order is the same.
template <typename Element>
struct RawBlock {
    using Raw = typename Element::Raw;
    static constexpr int kBytes =
        kBlock * sizeof(Raw) < kLanes * 4 ? kBlock * sizeof(Raw) : kLanes * 4;
    static constexpr int kCount = kBytes / sizeof(Raw);
    using V = Vec<Raw, kCount>;
};

/// Leading groups that are whole blocks. Loops over those without a thought of rests are the faster, as
/// gcc keeps constants in registers only where it sees no call of memcpy.
struct WholeGroups {
    int64_t elements, groups;
};
constexpr WholeGroups whole_groups(int64_t count, int64_t group, int64_t block) noexcept {
    if (count == 0) return {0, 0};
    if (group >= count) return count % block == 0 ? WholeGroups{count, 1} : WholeGroups{0, 0};
    if (group % block != 0) return {0, 0};
    return {count / group * group, count / group};
}

/// Largest magnitude of `n` elements, as it is stored; of finite ones only if kFinite.
template <typename Element, bool kWhole, bool kFinite>
FP6LLM_INLINE typename Element::Raw largest_magnitude(const typename Element::Raw* from,
                                                      int64_t n) noexcept {
    using Raw = typename Element::Raw;
    using Block = RawBlock<Element>;
    using V = typename Block::V;
    constexpr Raw kMask =
        sizeof(Raw) == 2 ? static_cast<Raw>(0x7FFF) : static_cast<Raw>(kMagnitude);
    V largest{};
    const auto take = [&largest](V v) {
        v &= kMask;
        if constexpr (kFinite) v = v < Element::kRawInf ? v : V{};
        largest = max_of(largest, v);
    };
    int64_t i = 0;
    for (; i + Block::kCount <= n; i += Block::kCount)
        take(load<V>(from + i));
    if (!kWhole && i < n) {
        V rest{};
        std::memcpy(&rest, from + i, static_cast<size_t>(n - i) * sizeof(Raw));
        take(rest);
    }
    return horizontal_max<Raw, Block::kCount>(largest);
}

template <typename Element>
bool all_finite(const void* w, int64_t count) noexcept {
    const auto* from = static_cast<const typename Element::Raw*>(w);
    return largest_magnitude<Element, false, false>(from, count) < Element::kRawInf;
}

template <typename Element, bool kWhole>
bool amax_of_groups(const typename Element::Raw* from, int64_t count, int64_t group,
                    float* out) noexcept {
    bool is_finite = true;
    while (count > 0) {
        const int64_t n = group < count ? group : count;
        typename Element::Raw largest = largest_magnitude<Element, kWhole, false>(from, n);
        if (largest >= Element::kRawInf) {
            is_finite = false;
            largest = largest_magnitude<Element, kWhole, true>(from, n);
        }
        *out++ = Element::magnitude(largest);
        from += n, count -= n;
    }
    return is_finite;
}

template <typename Element>
bool amax(const void* w, int64_t count, int64_t group, float* out) noexcept {
    const auto* from = static_cast<const typename Element::Raw*>(w);
    const auto [done, groups] = whole_groups(count, group, RawBlock<Element>::kCount);
    const bool is_finite = amax_of_groups<Element, true>(from, done, group, out);
    return amax_of_groups<Element, false>(from + done, count - done, group, out + groups) &&
           is_finite;
}

/// A format's constants, ready for rounding vectors to its codes.
struct Grid {
    explicit Grid(const FormatInfo& format) noexcept
        : mantissa_shift(23 - format.mantissa_bits),
          sign_shift(32 - format.bits),
          min_exponent(splat(bit_cast<int32_t>(format.min_normal))),
          max(splat(bit_cast<int32_t>(format.max))),
          adder((mantissa_shift << 23) + (-(min_exponent >> mantissa_shift) & 0xFF)),
          tie(splat((format.mantissa_bits + 1) << 23)),
          saturated(splat(format.max * (1.0f + 0x1p-22f))) {}

    int32_t mantissa_shift;  ///< from the fp32 exponent field to the code's
    int32_t sign_shift;      ///< from the fp32 sign to the code's
    I32 min_exponent;        ///< bits of the smallest normal number
    I32 max;                 ///< bits of the largest number
    I32 adder;      ///< exponent field: from e to C; low byte: what the code has too much, less
    I32 tie;        ///< exponent field: from e down to half a step
    F32 saturated;  ///< above this a value counts as saturated
};

FP6LLM_INLINE I32 magnitude_bits(F32 v) noexcept {
    return bit_cast<I32>(v) & kMagnitude;
}

struct Rounded {
    I32 code;   ///< without sign, in the low byte; more above it
    F32 value;  ///< of the code
};

/// `magnitude` is |q|: NaN and Inf lie above every number in this order, so they become the largest.
template <Rounding kRounding>
FP6LLM_INLINE Rounded round_to_grid(const Grid& grid, I32 magnitude) noexcept {
    const I32 clamped = min_of(magnitude, grid.max);
    const I32 exponent = max_of(clamped & kInf, grid.min_exponent);
    const F32 adder = bit_cast<F32>(exponent + grid.adder);
    const F32 sum = bit_cast<F32>(clamped) + adder;
    I32 code = bit_cast<I32>(sum) + (exponent >> grid.mantissa_shift);
    F32 value = sum - adder;
    if constexpr (kRounding == Rounding::kNearestAway) {
        const F32 tie = bit_cast<F32>(exponent - grid.tie);
        const I32 tied_down = bit_cast<F32>(clamped) - value == tie;
        code -= tied_down;
        value += bit_cast<F32>(bit_cast<I32>(tie + tie) & tied_down);
    }
    return {code, value};
}

enum class Task { kEncode, kEncodeMeasured, kMeasure };

/// Sums of a group, lane by lane, in units of the scale.
struct Sums {
    F64 error[2 * kVectors];
    F64 signal[2 * kVectors];
    F32 max_error[kVectors];
};

FP6LLM_INLINE double horizontal_sum(const F64 (&lanes)[2 * kVectors]) noexcept {
    F64 sums[2 * kVectors];
    std::memcpy(sums, lanes, sizeof sums);
    for (int half = kVectors; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i)
            sums[i] += sums[i + half];
    }
    return horizontal_sum<kLanes / 2>(sums[0]);
}

FP6LLM_INLINE float horizontal_max(const F32 (&lanes)[kVectors]) noexcept {
    F32 largest = lanes[0];
    for (int i = 1; i < kVectors; ++i)
        largest = max_of(largest, lanes[i]);
    return horizontal_max<float, kLanes>(largest);
}

FP6LLM_INLINE F32 keep(I32 mask, F32 v) noexcept {
    return bit_cast<F32>(bit_cast<I32>(v) & mask);
}

/// Negative counts, as masks sum up.
struct Counts {
    I32 saturated;
    I32 non_finite;
};

/// w / scale. By a power of two whose inverse is a normal number, multiplying is as exact, and faster.
struct Quotient {
    explicit Quotient(float scale) noexcept : factor(splat(scale)) {}
    FP6LLM_INLINE F32 operator()(F32 w) const noexcept { return w / factor; }
    F32 factor;
};
struct PowerQuotient {
    static bool takes(float scale) noexcept {
        const uint32_t bits = bit_cast<uint32_t>(scale);
        return (bits & 0x7FFFFF) == 0 && bits - (1u << 23) <= 252u << 23;
    }
    explicit PowerQuotient(float scale) noexcept
        : factor(splat(bit_cast<float>((254u << 23) - bit_cast<uint32_t>(scale)))) {}
    FP6LLM_INLINE F32 operator()(F32 w) const noexcept { return w * factor; }
    F32 factor;
};

/// One block of 16 elements.
template <typename Element, Rounding kRounding, Task kTask, typename Divide>
FP6LLM_INLINE void process_block(const Grid& grid, const typename Element::Raw* w,
                                 const Divide& divide, uint8_t* codes, Sums& sums,
                                 Counts& counts) noexcept {
    I32 out[kVectors];
    for (int i = 0; i < kVectors; ++i) {
        const F32 x = Element::load_floats(w + i * kLanes);
        const F32 q = divide(x);
        Rounded rounded;
        if constexpr (kTask == Task::kMeasure) {
            rounded = round_to_grid<kRounding>(grid, magnitude_bits(q));
        } else {
            // Comparisons with NaN are false, so that it becomes the largest and has no sign.
            const F32 largest = bit_cast<F32>(grid.max);
            const F32 at_most = q < largest ? q : largest;
            const I32 magnitude = magnitude_bits(at_most);
            rounded = round_to_grid<kRounding>(grid, magnitude);
            const U32 sign = bit_cast<U32>(bit_cast<I32>(at_most) ^ magnitude);
            out[i] = rounded.code | bit_cast<I32>(sign >> grid.sign_shift);
        }
        if constexpr (kTask != Task::kEncode) {
            const I32 finite = magnitude_bits(x) < kInf;
            const F32 magnitude = bit_cast<F32>(magnitude_bits(q));
            const F32 error = keep(finite, magnitude - rounded.value);
            add_squares(error, sums.error + 2 * i);
            if constexpr (kTask == Task::kEncodeMeasured) {
                add_squares(keep(finite, magnitude), sums.signal + 2 * i);
                sums.max_error[i] = max_of(sums.max_error[i], bit_cast<F32>(magnitude_bits(error)));
                counts.saturated += magnitude > grid.saturated;
                counts.non_finite += ~finite;
            }
        }
    }
    if constexpr (kTask != Task::kMeasure) store_bytes(out, codes);
}

FP6LLM_INLINE int64_t total(I32 lanes) noexcept {
    int64_t sum = 0;
    for (int i = 0; i < kLanes; ++i)
        sum += lanes[i];
    return sum;
}

/// Encoding is the last look at a chunk of a row, and the next is most often right behind it.
FP6LLM_INLINE void prefetch(const void* element) noexcept {
    constexpr int64_t kAhead = 8192;
    __builtin_prefetch(static_cast<const char*>(element) + kAhead);
}

/// A group of `n` elements.
template <typename Element, Rounding kRounding, Task kTask, bool kWhole, typename Divide>
FP6LLM_INLINE void process_group(const Grid& grid, const typename Element::Raw* w, int64_t n,
                                 const Divide& divide, uint8_t* codes, Sums& sums,
                                 Counts& counts) noexcept {
    using Raw = typename Element::Raw;
    int64_t i = 0;
    for (; i + kBlock <= n; i += kBlock) {
        if constexpr (kTask != Task::kMeasure) prefetch(w + i);
        process_block<Element, kRounding, kTask>(grid, w + i, divide, codes, sums, counts);
        if constexpr (kTask != Task::kMeasure) codes += kBlock;  // else NULL
    }
    if (!kWhole && i < n) {  // zeros add nothing to any sum
        const size_t rest = static_cast<size_t>(n - i);
        Raw padded[kBlock] = {};
        uint8_t padded_codes[kBlock];
        std::memcpy(padded, w + i, rest * sizeof(Raw));
        process_block<Element, kRounding, kTask>(grid, padded, divide, padded_codes, sums, counts);
        if constexpr (kTask != Task::kMeasure) std::memcpy(codes, padded_codes, rest);
    }
}

template <typename Element, Rounding kRounding, Task kTask, bool kWhole>
void process_groups(const FormatInfo& format, const typename Element::Raw* from, int64_t count,
                    int64_t group, const float* scales, uint8_t* codes, RowStats* stats,
                    double* errors) noexcept {
    const Grid grid(format);
    Counts counts{};
    while (count > 0) {
        const int64_t n = group < count ? group : count;
        Sums sums{};
        if (PowerQuotient::takes(*scales)) {
            process_group<Element, kRounding, kTask, kWhole>(grid, from, n, PowerQuotient(*scales),
                                                             codes, sums, counts);
        } else {
            process_group<Element, kRounding, kTask, kWhole>(grid, from, n, Quotient(*scales),
                                                             codes, sums, counts);
        }
        if constexpr (kTask != Task::kMeasure) codes += n;  // else NULL
        const double unit = *scales++;
        if constexpr (kTask == Task::kMeasure) {
            *errors++ = horizontal_sum(sums.error) * (unit * unit);
        } else if constexpr (kTask == Task::kEncodeMeasured) {
            stats->squared_error += horizontal_sum(sums.error) * (unit * unit);
            stats->squared_signal += horizontal_sum(sums.signal) * (unit * unit);
            const double worst = static_cast<double>(horizontal_max(sums.max_error)) * unit;
            if (worst > stats->max_abs_error) stats->max_abs_error = worst;
        }
        from += n, count -= n;
    }
    if constexpr (kTask == Task::kEncodeMeasured) {
        stats->saturated -= total(counts.saturated);
        stats->non_finite -= total(counts.non_finite);
    }
}

template <typename Element, Rounding kRounding, Task kTask>
void process(const FormatInfo& format, const void* w, int64_t count, int64_t group,
             const float* scales, uint8_t* codes, RowStats* stats, double* errors) noexcept {
    const auto* from = static_cast<const typename Element::Raw*>(w);
    const auto [done, groups] = whole_groups(count, group, kBlock);
    process_groups<Element, kRounding, kTask, true>(format, from, done, group, scales, codes, stats,
                                                    errors);
    if (done == count) return;
    if constexpr (kTask != Task::kMeasure) codes += done;
    if constexpr (kTask == Task::kMeasure) errors += groups;
    process_groups<Element, kRounding, kTask, false>(format, from + done, count - done, group,
                                                     scales + groups, codes, stats, errors);
}

template <typename Element, Rounding kRounding>
void encode_codes(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                  const float* scales, uint8_t* codes) noexcept {
    process<Element, kRounding, Task::kEncode>(format, w, count, group, scales, codes, nullptr,
                                               nullptr);
}

template <typename Element, Rounding kRounding>
void encode_measured(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                     const float* scales, uint8_t* codes, RowStats* stats) noexcept {
    process<Element, kRounding, Task::kEncodeMeasured>(format, w, count, group, scales, codes,
                                                       stats, nullptr);
}

template <typename Element, Rounding kRounding>
void measure(const FormatInfo& format, const void* w, int64_t count, int64_t group,
             const float* scales, double* errors) noexcept {
    process<Element, kRounding, Task::kMeasure>(format, w, count, group, scales, nullptr, nullptr,
                                                errors);
}

template <typename Element>
double estimate(const FormatInfo& format, const void* w, int64_t count, int64_t group,
                const float* scales) noexcept {
    using Raw = typename Element::Raw;
    const Grid grid(format);
    const Raw* from = static_cast<const Raw*>(w);
    F32 sums[kVectors] = {};
    const auto add_group = [&](int64_t n, float scale, const auto& divide) {
        const auto add_block = [&](const Raw* block) {
            for (int i = 0; i < kVectors; ++i) {
                const F32 q = divide(Element::load_floats(block + i * kLanes));
                const I32 magnitude = magnitude_bits(q);
                const Rounded rounded = round_to_grid<Rounding::kNearestEven>(grid, magnitude);
                const F32 error = (bit_cast<F32>(magnitude) - rounded.value) * scale;
                sums[i] += error * error;
            }
        };
        int64_t i = 0;
        for (; i + kBlock <= n; i += kBlock) {
            prefetch(from + i);
            add_block(from + i);
        }
        if (i < n) {  // zeros add nothing
            Raw padded[kBlock] = {};
            std::memcpy(padded, from + i, static_cast<size_t>(n - i) * sizeof(Raw));
            add_block(padded);
        }
    };
    for (; count > 0; ++scales) {
        const int64_t n = group < count ? group : count;
        if (PowerQuotient::takes(*scales)) {
            add_group(n, *scales, PowerQuotient(*scales));
        } else {
            add_group(n, *scales, Quotient(*scales));
        }
        from += n, count -= n;
    }
    float lanes[kBlock];
    std::memcpy(lanes, sums, sizeof lanes);
    double total = 0.0;
    for (const float lane : lanes)
        total += static_cast<double>(lane);
    return total;
}

/// Multiplies values of codes by one scale in fp32, rounding inexact products to odd: rounding
/// those once more, to a type at least two bits narrower, then gives what rounding the exact ones
/// would.
///
/// A value has at most 4 significant bits. With the scale cut into 12 + 12 bits, both partial
/// products are exact, and so is what they leave when the rounded product is taken away. Small
/// scales are enlarged for that, so that nothing underflows.
class ProductToOdd {
  public:
    explicit ProductToOdd(float scale) noexcept
        : scale_(scale), enlarge_(scale < 0x1p-40f && scale > -0x1p-40f ? 0x1p64f : 1.0f) {
        const float enlarged = scale * enlarge_;
        high_ = bit_cast<float>(bit_cast<int32_t>(enlarged) & ~0xFFF);
        low_ = enlarged - high_;
    }

    FP6LLM_INLINE F32 operator()(F32 value) const noexcept {
        const F32 product = value * scale_;
        const F32 rest = (value * high_ - product * enlarge_) + value * low_;
        const I32 bits = bit_cast<I32>(product);
        const I32 inexact = (rest < 0.0f) | (rest > 0.0f);  // not where it is NaN: Inf and NaN stay
        const I32 too_large = inexact & ((bit_cast<I32>(rest) ^ bits) < 0);
        return bit_cast<F32>((bits + too_large) | (inexact & 1));
    }

  private:
    float scale_, enlarge_, high_, low_;
};

struct ExactProduct {
    explicit ExactProduct(float scale) noexcept : scale_(scale) {}
    FP6LLM_INLINE F32 operator()(F32 value) const noexcept { return value * scale_; }

  private:
    float scale_;
};

/// Codes to their values. A subnormal decodes as if its leading zero were a one in the first
/// binade, less that one.
class Decoder {
  public:
    explicit Decoder(const FormatInfo& format) noexcept
        : sign_bit_(1 << (format.bits - 1)),
          sign_shift_(32 - format.bits),
          mantissas_(1 << format.mantissa_bits),
          mantissa_shift_(23 - format.mantissa_bits),
          bias_((127 - format.bias) << 23),
          min_normal_(format.min_normal) {}

    FP6LLM_INLINE F32 operator()(const uint8_t* codes) const noexcept {
        const I32 code = load_bytes(codes);
        const I32 magnitude = code & (sign_bit_ - 1);
        const I32 subnormal = magnitude < mantissas_;
        const I32 bits = (magnitude << mantissa_shift_) + bias_ + (subnormal & 1 << 23);
        const F32 value = bit_cast<F32>(bits) - keep(subnormal, splat(min_normal_));
        return bit_cast<F32>(bit_cast<I32>(value) | (code & sign_bit_) << sign_shift_);
    }

  private:
    int32_t sign_bit_, sign_shift_, mantissas_, mantissa_shift_, bias_;
    float min_normal_;
};

/// `n` codes, one vector of them at a time.
template <typename Element, typename Product>
FP6LLM_INLINE void decode_directly(const Decoder& decoder, const Product& product,
                                   const uint8_t* codes, int64_t n,
                                   typename Element::Raw* to) noexcept {
    using Raw = typename Element::Raw;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        Element::store_floats(product(decoder(codes + i)), to + i);
    if (i < n) {
        const size_t rest = static_cast<size_t>(n - i);
        uint8_t padded_codes[kLanes] = {};
        Raw padded[kLanes];
        std::memcpy(padded_codes, codes + i, rest);
        Element::store_floats(product(decoder(padded_codes)), padded);
        std::memcpy(to + i, padded, rest * sizeof(Raw));
    }
}

constexpr int64_t kTableFrom = 2 * kTableCodes;  ///< codes that pay for a table

using Table = int16_t[kTableCodes];

/// table[code] = product(value of code).
template <typename Element, typename Product>
FP6LLM_INLINE void fill_table(const Decoder& decoder, const Product& product,
                              Table& table) noexcept {
    uint8_t codes[kTableCodes];
    for (int i = 0; i < kTableCodes; ++i)
        codes[i] = static_cast<uint8_t>(i);
    decode_directly<Element>(decoder, product, codes, kTableCodes, table);
}

/// `n` codes of half-words; many by a table of the group's products: there are but 32 magnitudes.
template <typename Element, typename Product>
FP6LLM_INLINE void decode_halves(const Decoder& decoder, const Product& product,
                                 const uint8_t* codes, int64_t n, int16_t* to) noexcept {
    if (n < kTableFrom) return decode_directly<Element>(decoder, product, codes, n, to);
    Table table;
    fill_table<Element>(decoder, product, table);
    int64_t i = 0;
    for (; i + kTableCodes <= n; i += kTableCodes)
        look_up(table, codes + i, to + i);
    if (i < n) {
        const size_t rest = static_cast<size_t>(n - i);
        uint8_t padded_codes[kTableCodes] = {};
        Table padded;
        std::memcpy(padded_codes, codes + i, rest);
        look_up(table, padded_codes, padded);
        std::memcpy(to + i, padded, rest * sizeof padded[0]);
    }
}

template <typename Element, typename Product>
FP6LLM_INLINE void decode_groups(const FormatInfo& format, const uint8_t* codes, int64_t count,
                                 int64_t group, const float* scales, void* w) noexcept {
    using Raw = typename Element::Raw;
    const Decoder decoder(format);
    Raw* to = static_cast<Raw*>(w);
    while (count > 0) {
        const int64_t n = group < count ? group : count;
        const Product product(*scales++);
        if constexpr (sizeof(Raw) == sizeof(int16_t)) {
            decode_halves<Element>(decoder, product, codes, n, to);
        } else {
            decode_directly<Element>(decoder, product, codes, n, to);
        }
        codes += n, to += n, count -= n;
    }
}

/// Groups of kTableCodes by powers of two, MX's, as half-words: a product differs from its value in the
/// exponent only, as long as all of them are normal numbers.
template <typename Element>
class PowerDecoder {
  public:
    explicit PowerDecoder(const FormatInfo& format) noexcept {
        fill_table<Element>(Decoder(format), ExactProduct(1.0f), values_);
        const int smallest = values_[1] >> Element::kMantissaBits;
        const int largest = values_[(1 << (format.bits - 1)) - 1] >> Element::kMantissaBits;
        least_ = 1 - smallest;
        most_ = (Element::kRawInf >> Element::kMantissaBits) - 1 - largest;
    }

    FP6LLM_INLINE bool takes(float scale) const noexcept {
        const int32_t bits = bit_cast<int32_t>(scale), exponent = (bits >> 23) - 127;
        return (bits & 0x7FFFFF) == 0 && exponent >= least_ && exponent <= most_;
    }

    FP6LLM_INLINE void operator()(float scale, const uint8_t* codes, int16_t* to) const noexcept {
        using V = Vec<int16_t, 2 * kLanes>;
        const int exponent = (bit_cast<int32_t>(scale) >> 23) - 127;
        const V shift = V{} + static_cast<int16_t>(exponent * (1 << Element::kMantissaBits));
        look_up(values_, codes, to);
        for (int i = 0; i < kTableCodes; i += 2 * kLanes) {
            const V value = load<V>(to + i);
            const V is_zero = (value & INT16_MAX) == 0;
            store(value + (shift & ~is_zero), to + i);
        }
    }

  private:
    Table values_;
    int least_, most_;
};

template <typename Element>
void decode_power_groups(const FormatInfo& format, const uint8_t* codes, int64_t groups,
                         const float* scales, int16_t* to) noexcept {
    const PowerDecoder<Element> decoder(format);
    for (; groups > 0; --groups, ++scales, codes += kTableCodes, to += kTableCodes) {
        if (decoder.takes(*scales)) {
            decoder(*scales, codes, to);
        } else {
            decode_groups<Element, ExactProduct>(format, codes, kTableCodes, kTableCodes, scales,
                                                 to);
        }
    }
}

template <typename Element>
void decode(const FormatInfo& format, const uint8_t* codes, int64_t count, int64_t group,
            const float* scales, bool exact_products, void* w) noexcept {
    constexpr bool kHalfWords = sizeof(typename Element::Raw) == sizeof(int16_t);
    if constexpr (kHalfWords) {
        if (exact_products && group == kTableCodes) {
            const int64_t groups = count / group, done = groups * group;
            int16_t* to = static_cast<int16_t*>(w);
            decode_power_groups<Element>(format, codes, groups, scales, to);
            codes += done, count -= done, scales += groups, w = to + done;
        }
    }
    if (exact_products || !kHalfWords) {
        decode_groups<Element, ExactProduct>(format, codes, count, group, scales, w);
    } else {
        decode_groups<Element, ProductToOdd>(format, codes, count, group, scales, w);
    }
}

template <typename Element>
constexpr QuantKernelsOfType kernels_of() noexcept {
    constexpr Rounding kEven = Rounding::kNearestEven, kAway = Rounding::kNearestAway;
    return {all_finite<Element>,
            amax<Element>,
            {encode_codes<Element, kEven>, encode_codes<Element, kAway>},
            {encode_measured<Element, kEven>, encode_measured<Element, kAway>},
            {measure<Element, kEven>, measure<Element, kAway>},
            estimate<Element>,
            decode<Element>};
}

constexpr QuantKernels kKernels = {FP6LLM_QUANT_ISA, kernels_of<ElementF32>(),
                                   kernels_of<ElementF16>(), kernels_of<ElementBF16>()};

}  // namespace

const QuantKernels* FP6LLM_QUANT_KERNELS() noexcept {
    return &kKernels;
}

}  // namespace fp6llm
