// AVX2 kernels with integer arithmetic, for many tokens: decode a block of columns of a panel to
// integers in the L1 cache and multiply it with all tokens, five at a time.
//
//   I16   int16 values: pmaddwd adds two columns' products per 32-bit lane
//   I8    int8 values, E2M3 only, and activations + 128 as uint8: pmaddubsw cannot saturate
//         (2 * 60 * 255 < 2^15), pmaddwd adds its halves. Sums start at -128 times those of the
//         weights, which decoding adds up. From S16 tiles or, with fewer operations, S8 ones
//
// Either way a step of weights is 64 bytes, one 32-bit lane for each of the 16 rows. MX groups count
// powers of two of their integers (avx2_integer_parts.hpp): as I16 decodes them, or by pmaddwd of I8.
#include <type_traits>

#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_bytes.hpp"
#include "core/gemm/cpu/avx2_decode.hpp"
#include "core/gemm/cpu/avx2_integer_pack.hpp"
#include "core/gemm/cpu/avx2_integer_parts.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int kUnrolledSteps = 8;  // where cores are shared, the end of a loop is rarely foreseen

FP6LLM_AVX2_INLINE Lanes load_counts(const int32_t (&counts)[16]) {
    return load_lanes(reinterpret_cast<const uint8_t*>(counts));
}

struct I16Ops : I16Steps {
    template <class Tile>
    static constexpr int64_t kSpanColumns = i16_span(Tile::kFamily);
    static constexpr bool kStarts = false, kTimes = false;

    /// 64 columns * 448 (E2M3: 128 * 60) * 2^range * 32767 < 2^31.
    template <class Tile>
    static constexpr int kRange = Tile::kFamily == TileFamily::kE3M2 ? 1 : 3;

    /// Decoding adds this to value * 8 (E2M3: * 2): the sums' low half-words are value * unit.
    template <class Tile>
    static constexpr float kAddend = Tile::kFamily == TileFamily::kE3M2 ? 0x1.8p22f : 0x1.8p21f;

    /// What makes integers count 2^d times: an addend 2^-d as large.
    template <class Tile>
    FP6LLM_AVX2_INLINE Lanes counts_of(Lanes d) {
        const __m256i bits = _mm256_castps_si256(_mm256_set1_ps(kAddend<Tile>));
        const Lanes less = shift_left<23>(d);
        return {_mm256_sub_epi32(bits, less.lo), _mm256_sub_epi32(bits, less.hi)};
    }

    /// out: 8 steps of value * unit, or 2^d times as much: see counts_of.
    template <class Tile>
    FP6LLM_AVX2_INLINE void decode_tile(const uint8_t* tile, Floats addend, uint8_t* out) {
        constexpr int kLift = Tile::kFamily == TileFamily::kE3M2 ? 3 : 1;
        const Floats factor = all_floats(exp2_float(kLift - Tile::kPlacedExponent));
        Lanes even{};
        Tile::decode(tile, [&](int k, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            const Floats sum = multiply_add(placed, factor, addend);
            const Lanes value = {_mm256_castps_si256(sum.lo), _mm256_castps_si256(sum.hi)};
            if (k % 2 == 0) {  // always comes right before its odd neighbour
                even = value;
                return;
            }
            const Lanes odd = shift_left<16>(value);
            store_lanes(out + k / 2 * kStepBytes, {_mm256_blend_epi16(even.lo, odd.lo, 0xAA),
                                                   _mm256_blend_epi16(even.hi, odd.hi, 0xAA)});
        });
    }

    /// Decodes a block; returns the tile after it.
    template <class Tile, bool kMx>
    FP6LLM_AVX2_INLINE const uint8_t* decode(const uint8_t* tile, Block* block) {
        uint8_t* out = block->decoded;
        for (int64_t k = 0; k < block->end - block->first; k += kTileCols, tile += kTileBytes) {
            prefetch_tile(tile);
            Floats addend = all_floats(kAddend<Tile>);
            if (kMx) addend = as_floats(load_counts(block->counts[k / kChunkColumns]));
            decode_tile<Tile>(tile, addend, out);
            out += kTileCols / kStepColumns * kStepBytes;
        }
        return tile;
    }

    FP6LLM_AVX2_INLINE __m256i multiply_lanes(__m256i weights, __m256i x) {
        return _mm256_madd_epi16(weights, x);
    }
};

struct I8Ops : I8Steps {
    template <class Tile>
    static constexpr int64_t kSpanColumns = kI8Span;
    static constexpr bool kStarts = true, kTimes = true;

    template <class Tile>
    static constexpr int kRange = kI8Range;

    template <class Tile>
    FP6LLM_AVX2_INLINE Lanes counts_of(Lanes d) {
        return pair_counts(d);
    }

    /// Values from the five bits of magnitude at the bottom of each byte of `codes` and the top bits of
    /// `signs`. With n the lower four bits, a magnitude is n below 16, else n + 16 + table[n].
    FP6LLM_AVX2_INLINE __m256i bytes(__m256i codes, __m256i signs) {
        const __m256i table = nibble_table(0x0706050403020100, 0x1D1A1714110E0B08);
        const __m256i five = _mm256_and_si256(codes, _mm256_set1_epi8(31));
        const __m256i index = _mm256_sub_epi8(five, _mm256_set1_epi8(16));  // looks up 0 below 16
        const __m256i magnitude = _mm256_add_epi8(five, _mm256_shuffle_epi8(table, index));
        const __m256i sign = _mm256_or_si256(signs, _mm256_set1_epi8(1));  // never zero
        return _mm256_sign_epi8(magnitude, sign);
    }

    /// Lower bytes of the half-words of `low`, upper ones of `high`.
    FP6LLM_AVX2_INLINE __m256i join(__m256i low, __m256i high) {
        return _mm256_blendv_epi8(low, high, _mm256_set1_epi16(static_cast<int16_t>(0xFF00)));
    }

    /// Both codes of each half-word of a tile's word.
    FP6LLM_AVX2_INLINE __m256i direct(__m256i word) {
        return bytes(join(_mm256_srli_epi16(word, 4), _mm256_srli_epi16(word, 1)),
                     join(_mm256_srli_epi16(word, 8), _mm256_slli_epi16(word, 1)));
    }

    /// The codes of pairs 6 and 7, each as E2M3Tile puts it together.
    FP6LLM_AVX2_INLINE __m256i assembled(__m256i pair6, __m256i pair7) {
        return bytes(join(_mm256_srli_epi16(pair6, 4), _mm256_slli_epi16(pair7, 4)),
                     join(_mm256_srli_epi16(pair6, 8), pair7));
    }

    /// Adds two steps of weights to sums of half-words.
    FP6LLM_AVX2_INLINE void add_up(__m256i a, __m256i b, __m256i* sums) {
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_add_epi8(a, b));
        *sums = _mm256_add_epi16(*sums, pairs);
    }

    /// Half the rows of a tile's 4 steps, which are added to `sums`: both at once are too many registers.
    template <class Tile>
    FP6LLM_AVX2_INLINE void decode_half(const uint8_t* tile, uint8_t* out, __m256i* sums) {
        const auto load = [tile](int word) FP6LLM_AVX2_INLINE_LAMBDA {
            return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile + 64 * word));
        };
        const auto store = [out](int step, __m256i values) FP6LLM_AVX2_INLINE_LAMBDA {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + step * kStepBytes), values);
            return values;
        };
        if constexpr (std::is_same_v<Tile, ByteTile>) {
            __m256i bytes[kTileSteps];
            ByteTile::load(tile, bytes);
            const __m256i first = store(0, ByteTile::values(bytes[0]));
            add_up(first, store(1, ByteTile::values(bytes[1])), sums);
            const __m256i third = store(2, ByteTile::values(bytes[2]));
            add_up(third, store(3, ByteTile::values(bytes[3])), sums);
        } else {
            const __m256i first = store(0, direct(load(0)));
            add_up(first, store(1, direct(load(1))), sums);
            const __m256i third = store(2, direct(load(2)));
            const Lanes spare = Tile::spare_bits(tile);
            const __m256i pair6 = Tile::assemble(tile, spare, 0).lo;
            const __m256i pair7 = Tile::assemble(tile, spare, 1).lo;
            add_up(third, store(3, assembled(pair6, pair7)), sums);
        }
        FP6LLM_AVX2_BARRIER();
    }

    /// Decodes `columns` to out; returns the sums of each half-word's values.
    template <class Tile>
    FP6LLM_AVX2_INLINE Lanes decode_columns(const uint8_t*& tile, int64_t columns, uint8_t*& out) {
        Lanes sums = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (const uint8_t* const end = tile + columns / kTileCols * kTileBytes; tile != end;
             tile += kTileBytes, out += kTileCols / kStepColumns * kStepBytes) {
            prefetch_tile(tile);
            decode_half<Tile>(tile, out, &sums.lo);
            decode_half<Tile>(tile + 32, out + 32, &sums.hi);
        }
        return sums;
    }

    /// Decodes a block; returns the tile after it.
    template <class Tile, bool kMx>
    FP6LLM_AVX2_INLINE const uint8_t* decode(const uint8_t* tile, Block* block) {
        uint8_t* out = block->decoded;
        const int32_t(*counts)[16] = block->counts;
        for (int64_t i = 0; i < block->part_count; ++i) {
            const int64_t columns = block->parts[i].columns;
            Lanes start = {_mm256_setzero_si256(), _mm256_setzero_si256()};
            for (int64_t k = 0, step; k < columns; k += step) {
                step = !kMx || columns - k < kChunkColumns ? columns - k : kChunkColumns;
                const Lanes sums = decode_columns<Tile>(tile, step, out);
                const __m256i once = _mm256_set1_epi16(1);
                Lanes factor = {once, once};
                if (kMx) factor = load_counts(*counts++);
                accumulate(start.lo, _mm256_madd_epi16(sums.lo, factor.lo));
                accumulate(start.hi, _mm256_madd_epi16(sums.hi, factor.hi));
            }
            const __m256i zero = _mm256_setzero_si256();
            const Lanes back = shift_left<7>(start);  // times kOffset
            store_lanes(block->start[i],
                        {_mm256_sub_epi32(zero, back.lo), _mm256_sub_epi32(zero, back.hi)});
        }
        return tile;
    }

    FP6LLM_AVX2_INLINE __m256i multiply_lanes(__m256i weights, __m256i x) {
        return _mm256_madd_epi16(_mm256_maddubs_epi16(x, weights), _mm256_set1_epi16(1));
    }

    /// sum += weights * *x, pairs `times` over instead of once. In one piece, so that the registers do
    /// that five tokens' sums leave.
    FP6LLM_AVX2_INLINE void accumulate_times(Lanes& sum, Lanes weights, const uint32_t* x,
                                             Lanes times) {
        __m256i lo, hi;
        asm("vpbroadcastd %4, %1\n\t"
            "vpmaddubsw %5, %1, %0\n\t"
            "vpmaddubsw %6, %1, %1\n\t"
            "vpmaddwd %7, %0, %0\n\t"
            "vpmaddwd %8, %1, %1\n\t"
            "vpaddd %0, %2, %2\n\t"
            "vpaddd %1, %3, %3"
            : "=&x"(lo), "=&x"(hi), "+&x"(sum.lo), "+&x"(sum.hi)
            : "m"(*x), "x"(weights.lo), "x"(weights.hi), "x"(times.lo), "x"(times.hi));
    }
};

/// Columns that are decoded at a time: whole activation blocks.
template <class Ops>
constexpr int64_t kDecodedColumns = kDecodedBytes / kStepBytes* Ops::kStepColumns;

/// part[t] += a step of weights * x[t], `times` over where kTimes.
template <class Ops, bool kTimes, int kTokens>
FP6LLM_AVX2_INLINE void multiply_step(const uint8_t* weights, const uint32_t* x, Lanes times,
                                      Lanes (&part)[kTokens]) {
    const Lanes w = load_lanes(weights);
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        if constexpr (kTimes) {
            Ops::accumulate_times(part[t], w, x + t, times);
        } else {
            const __m256i values = _mm256_set1_epi32(static_cast<int32_t>(x[t]));
            accumulate(part[t].lo, Ops::multiply_lanes(w.lo, values));
            accumulate(part[t].hi, Ops::multiply_lanes(w.hi, values));
        }
    }
}

/// sums [kTokens][16] += block * a packed tile, x and s its first step and scale; `unit` takes back
/// what spans of MX groups count more. Not inlined: its hot loop needs all registers.
template <class Ops, Scales kScales, int kTokens>
__attribute__((noinline)) void multiply_tile(Block& block, float unit, const uint32_t* x,
                                             const float* s, float* sums) {
    constexpr bool kTimes = Ops::kTimes && kScales == Scales::kMx;
    static_assert(!kTimes || kUnrolledSteps * Ops::kStepColumns == kChunkColumns);
    const uint8_t* weights = block.decoded;
    const int32_t(*counts)[16] = block.counts;
    [[maybe_unused]] alignas(32) int32_t of_groups[kMostSpanGroups][kTokens][16];
    for (int64_t i = 0; i < block.part_count; ++i) {
        const Part& part = block.parts[i];
        for (int64_t line = 0; line < block.ask_lines; ++line, block.ask += 64)
            _mm_prefetch(reinterpret_cast<const char*>(block.ask), _MM_HINT_T1);
        Lanes sum[kTokens];
        Lanes start = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        if (Ops::kStarts) start = load_lanes(reinterpret_cast<const uint8_t*>(block.start[i]));
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t)
            sum[t] = start;
        const uint8_t* last = weights + part.columns / Ops::kStepColumns * kStepBytes;
        for (; last - weights >= kUnrolledSteps * kStepBytes;
             ++counts, weights += kUnrolledSteps * kStepBytes, x += kUnrolledSteps * kTokens) {
            Lanes times{};
            if (kTimes) times = load_counts(*counts);
            FP6LLM_AVX2_UNROLL
            for (int step = 0; step < kUnrolledSteps; ++step) {
                multiply_step<Ops, kTimes>(weights + step * kStepBytes, x + step * kTokens, times,
                                           sum);
                FP6LLM_AVX2_BARRIER();
            }
        }
        Lanes times{};
        if (kTimes && weights != last) times = load_counts(*counts);
        for (; weights != last; weights += kStepBytes, x += kTokens)
            multiply_step<Ops, kTimes>(weights, x, times, sum);
        const float* of_block = s + part.block * kTokens;
        if (kScales == Scales::kMx && part.groups != 0) {
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t)
                store_lanes(of_groups[part.group][t], sum[t]);
            if (part.group + 1 == part.groups) {
                const WideSpan span = {of_groups[0][0], kTokens * 16, 16,
                                       part.powers,     part.groups,  part.scale};
                add_wide_span(span, of_block, kTokens, sums);
            }
        } else {
            add_part<kScales>(sum, of_block, unit, part.scale, sums);
        }
    }
}

template <class Ops, Scales kScales>
void multiply_tokens(Block& block, float unit, const uint32_t* packed, int64_t padded,
                     int64_t tokens, float* sums) {
    const uint32_t* x = packed + block.first / Ops::kStepColumns * tokens;
    const float* s =
        PackedTile<Ops>(padded).scales(packed, tokens) + block.first / Ops::kBlockColumns * tokens;
    switch (tokens) {
        case 1:
            return multiply_tile<Ops, kScales, 1>(block, unit, x, s, sums);
        case 2:
            return multiply_tile<Ops, kScales, 2>(block, unit, x, s, sums);
        case 3:
            return multiply_tile<Ops, kScales, 3>(block, unit, x, s, sums);
        case 4:
            return multiply_tile<Ops, kScales, 4>(block, unit, x, s, sums);
        default:
            return multiply_tile<Ops, kScales, 5>(block, unit, x, s, sums);
    }
}

/// Shares out the lines of the block that comes next, at `next`: processors' own prefetching starts anew at
/// each block, and decoding would wait.
inline void ask_for_next(Block* block, const uint8_t* next, int64_t tokens) {
    const int64_t lines = (block->end - block->first) / kTileCols * kTileBytes / 64;
    const int64_t turns = (tokens + kIntegerTile - 1) / kIntegerTile * block->part_count;
    block->ask = next;
    block->ask_lines = turns > 0 ? (lines + turns - 1) / turns : 0;
}

/// sums [x.count][16] of a panel, but for the factors that come last.
template <class Ops, class Tile, Scales kScales>
void multiply_panel(const CpuWeightView& weight, int64_t panel, const PackedTokens& x, float* sums,
                    Block* block) {
    constexpr int kRange = Ops::template kRange<Tile>;
    constexpr float kUnit = 1.0f / (1 << kRange);
    const int64_t padded = weight.k_tiles * kTileCols;
    const PackedTile<Ops> layout(padded);
    for (int64_t t = 0; t < x.count; ++t)
        store_values(sums + t * 16, zero_floats());
    const uint8_t* tile = weight.panel_tiles(panel);
    for (int64_t k = 0; k < padded; k = block->end) {
        block->first = k;
        block->end = padded - k < kDecodedColumns<Ops> ? padded : k + kDecodedColumns<Ops>;
        if (kScales == Scales::kMx) {
            cut_spans<Ops, Tile>(weight, panel, block);
        } else {
            cut_groups<Ops::kBlockColumns>(weight, panel, block);
        }
        tile = Ops::template decode<Tile, kScales == Scales::kMx>(tile, block);
        ask_for_next(block, block->end < padded ? tile : weight.next_tiles(panel, 1), x.count);
        for (int64_t t = 0; t < x.count; t += kIntegerTile) {
            const int64_t count = x.count - t < kIntegerTile ? x.count - t : kIntegerTile;
            multiply_tokens<Ops, kScales>(*block, kUnit, layout.at(x, t), padded, count,
                                          sums + t * 16);
        }
    }
}

size_t scratch_bytes(int64_t, int64_t) {
    return sizeof(Block);
}

template <class Ops, class Tile>
void multiply(const CpuWeightView& weight, int64_t panel, int, const PackedTokens& x, float* sums,
              void* scratch) {
    constexpr double kUnit = Tile::kFamily == TileFamily::kE3M2 ? 1.0 / 16 : 1.0 / 8;
    auto* block = static_cast<Block*>(scratch);
    double factors[16];
    row_factors(weight, panel, kUnit, factors);
    switch (weight.scale_mode) {
        case ScaleMode::kRow:
            multiply_panel<Ops, Tile, Scales::kRow>(weight, panel, x, sums, block);
            break;
        case ScaleMode::kGroup:
            multiply_panel<Ops, Tile, Scales::kGroup>(weight, panel, x, sums, block);
            break;
        case ScaleMode::kMx:
            multiply_panel<Ops, Tile, Scales::kMx>(weight, panel, x, sums, block);
            break;
    }
    finish_sums(factors, x.factors + x.first, x.count, sums);
}

template <Weights kWeights>
void multiply_i16(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                  float* sums, void* scratch) {
    const auto run = weight.family == TileFamily::kE3M2
                         ? &multiply<I16Ops, TileOf<E3M2Tile, kWeights>>
                         : &multiply<I16Ops, TileOf<E2M3Tile, kWeights>>;
    run(weight, panel, panels, x, sums, scratch);
}

template <Weights kWeights>
constexpr KernelFunctions kI16 = {packed_integer_bytes<I16Ops>,
                                  pack_integer_tokens<I16Ops, kIntegerTile>, scratch_bytes,
                                  multiply_i16<kWeights>};

template <class Tile>
constexpr KernelFunctions kI8 = {packed_integer_bytes<I8Ops>,
                                 pack_integer_tokens<I8Ops, kIntegerTile>, scratch_bytes,
                                 multiply<I8Ops, Tile>};

}  // namespace

constexpr KernelFunctions kGemmI16[] = {kI16<Weights::kPlaced>, kI16<Weights::kNormal>};
constexpr KernelFunctions kGemmI8 = kI8<E2M3Tile>, kS8GemmI8 = kI8<ByteTile>;

}  // namespace fp6llm::avx2
