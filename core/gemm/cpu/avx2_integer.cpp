// AVX2 kernels with integer arithmetic, for many tokens: decode a block of columns of a panel to
// integers in the L1 cache and multiply it with all tokens, four at a time.
//
//   I16   int16 values: pmaddwd adds two columns' products per 32-bit lane
//   I8    value + 64 as uint8, E2M3 only: pmaddubsw cannot saturate (2 * 124 * 127 < 2^15), pmaddwd by
//         ones adds its halves; packing knows what the offset adds (avx2_integer_pack.hpp)
//
// Either way a step of weights is 64 bytes, one 32-bit lane for each of the 16 rows.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_decode.hpp"
#include "core/gemm/cpu/avx2_integer_pack.hpp"
#include "core/gemm/cpu/avx2_scales.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int64_t kStepBytes = 64;
constexpr int kUnrolledSteps = 8;  // where cores are shared, the end of a loop is rarely foreseen
constexpr int64_t kDecodedBytes = 16 * 1024;  // half of a small L1 cache

FP6LLM_AVX2_INLINE void store_lanes(uint8_t* to, Lanes a) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), a.lo);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + 32), a.hi);
}

FP6LLM_AVX2_INLINE void prefetch_tile(const uint8_t* tile) {
    for (int line = 0; line < kTileBytes; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(tile + kPrefetchBytes + line), _MM_HINT_T0);
}

struct I16Ops : I16Steps {
    /// Low half-words of value * unit for placed values: the addend makes it the last bits of an fp32.
    template <class Tile>
    FP6LLM_AVX2_INLINE Lanes integers(Floats placed) {
        constexpr float kAddend = Tile::kPlacedExponent == -124 ? 0x1.8p22f : 0x1.8p21f;
        const Floats sum = multiply_add(placed, all_floats(0x1p127f), all_floats(kAddend));
        return {_mm256_castps_si256(sum.lo), _mm256_castps_si256(sum.hi)};
    }

    /// out: 8 steps.
    template <class Tile>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, uint8_t* out) {
        Lanes even{};
        Tile::decode(tile, [&](int k, Floats placed) FP6LLM_AVX2_INLINE_LAMBDA {
            const Lanes value = integers<Tile>(placed);
            if (k % 2 == 0) {  // always comes right before its odd neighbour
                even = value;
                return;
            }
            const Lanes odd = shift_left<16>(value);
            store_lanes(out + k / 2 * kStepBytes, {_mm256_blend_epi16(even.lo, odd.lo, 0xAA),
                                                   _mm256_blend_epi16(even.hi, odd.hi, 0xAA)});
        });
    }

    FP6LLM_AVX2_INLINE __m256i multiply_lanes(__m256i weights, __m256i x) {
        return _mm256_madd_epi16(weights, x);
    }
};

struct I8Ops : I8Steps {
    /// value + 64 from the five bits of magnitude at the bottom of each byte of `codes` and the top bits of
    /// `signs`. With n the lower four bits, a magnitude is n below 16, else n + 16 + table[n].
    FP6LLM_AVX2_INLINE __m256i bytes(__m256i codes, __m256i signs) {
        const __m256i table = nibble_table(0x0706050403020100, 0x1D1A1714110E0B08);
        const __m256i five = _mm256_and_si256(codes, _mm256_set1_epi8(31));
        const __m256i index = _mm256_sub_epi8(five, _mm256_set1_epi8(16));  // looks up 0 below 16
        const __m256i magnitude = _mm256_add_epi8(five, _mm256_shuffle_epi8(table, index));
        const __m256i sign = _mm256_or_si256(signs, _mm256_set1_epi8(1));  // never zero
        return _mm256_add_epi8(_mm256_sign_epi8(magnitude, sign), _mm256_set1_epi8(64));
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

    /// out: 4 steps.
    template <class Tile>
    FP6LLM_AVX2_INLINE void decode(const uint8_t* tile, uint8_t* out) {
        FP6LLM_AVX2_UNROLL
        for (int word = 0; word < 3; ++word) {
            const Lanes lanes = load_lanes(tile + 64 * word);
            store_lanes(out + word * kStepBytes, {direct(lanes.lo), direct(lanes.hi)});
        }
        const Lanes spare = Tile::spare_bits(tile);
        const Lanes pair6 = Tile::assemble(tile, spare, 0), pair7 = Tile::assemble(tile, spare, 1);
        store_lanes(out + 3 * kStepBytes,
                    {assembled(pair6.lo, pair7.lo), assembled(pair6.hi, pair7.hi)});
    }

    FP6LLM_AVX2_INLINE __m256i multiply_lanes(__m256i weights, __m256i x) {
        return _mm256_madd_epi16(_mm256_maddubs_epi16(weights, x), _mm256_set1_epi16(1));
    }
};

/// Columns that are decoded at a time: whole activation blocks.
template <class Ops>
constexpr int64_t kDecodedColumns = kDecodedBytes / kStepBytes* Ops::kStepColumns;

/// A block of decoded columns [first, end) and what multiplying it takes.
struct Block {
    const uint8_t* decoded;
    int64_t first, end;
    const PanelScales* scales;
    int64_t group, groups, group_size;  ///< group of column `first`
};

/// sums[t][16] += part[t] * s[t] * scale.
template <bool kGrouped, int kTokens>
FP6LLM_AVX2_INLINE void add_part(const Lanes (&part)[kTokens], const float* s,
                                 const PanelScales& scales, int64_t group, float* sums) {
    Floats scale;
    if (kGrouped) scale = scales.at(group);
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        const Floats values = {_mm256_cvtepi32_ps(part[t].lo), _mm256_cvtepi32_ps(part[t].hi)};
        const Floats of_token = all_floats(s[t]), sum = load_values(sums + t * 16);
        store_values(sums + t * 16, kGrouped ? multiply_add(multiply(values, of_token), scale, sum)
                                             : multiply_add(values, of_token, sum));
    }
}

/// part[t] += a step of weights * x[t].
template <class Ops, int kTokens>
FP6LLM_AVX2_INLINE void multiply_step(const uint8_t* weights, const uint32_t* x,
                                      Lanes (&part)[kTokens]) {
    const Lanes w = load_lanes(weights);
    FP6LLM_AVX2_UNROLL
    for (int t = 0; t < kTokens; ++t) {
        const __m256i values = _mm256_set1_epi32(static_cast<int32_t>(x[t]));
        accumulate(part[t].lo, Ops::multiply_lanes(w.lo, values));
        accumulate(part[t].hi, Ops::multiply_lanes(w.hi, values));
    }
}

/// sums [kTokens][16] += block * a packed tile. Not inlined: its hot loop needs all registers.
template <class Ops, bool kGrouped, int kTokens>
__attribute__((noinline)) void multiply_tile(const Block& block, const uint32_t* x, const float* s,
                                             const int32_t* offsets, float* sums) {
    const uint8_t* weights = block.decoded;
    int64_t group = block.group, group_end = (group + 1) * block.group_size;
    int64_t activation_end = block.first + Ops::kBlockColumns;
    for (int64_t k = block.first; k < block.end;) {
        int64_t stop = activation_end < block.end ? activation_end : block.end;
        if (kGrouped) {
            if (group == block.groups) return;  // columns past the last group are padding
            stop = group_end < stop ? group_end : stop;
        }
        Lanes part[kTokens];
        FP6LLM_AVX2_UNROLL
        for (int t = 0; t < kTokens; ++t) {
            __m256i first = _mm256_setzero_si256();
            if (Ops::kOffset) first = _mm256_set1_epi32(offsets[t]);
            part[t] = {first, first};
        }
        if (Ops::kOffset) offsets += kTokens;
        for (int64_t c = k + kChunkColumns; Ops::kOffset && kGrouped && c < stop;
             c += kChunkColumns) {
            FP6LLM_AVX2_UNROLL
            for (int t = 0; t < kTokens; ++t) {
                const __m256i more = _mm256_set1_epi32(offsets[t]);
                accumulate(part[t].lo, more);
                accumulate(part[t].hi, more);
            }
            offsets += kTokens;
        }
        const uint8_t* last = weights + (stop - k) / Ops::kStepColumns * kStepBytes;
        for (; last - weights >= kUnrolledSteps * kStepBytes;
             weights += kUnrolledSteps * kStepBytes, x += kUnrolledSteps * kTokens) {
            FP6LLM_AVX2_UNROLL
            for (int i = 0; i < kUnrolledSteps; ++i) {
                multiply_step<Ops>(weights + i * kStepBytes, x + i * kTokens, part);
                FP6LLM_AVX2_BARRIER();
            }
        }
        for (; weights != last; weights += kStepBytes, x += kTokens)
            multiply_step<Ops>(weights, x, part);
        add_part<kGrouped>(part, s, *block.scales, group, sums);
        k = stop;
        if (k == activation_end) s += kTokens, activation_end += Ops::kBlockColumns;
        if (kGrouped && k == group_end) ++group, group_end += block.group_size;
    }
}

template <class Ops, bool kGrouped>
void multiply_tokens(const Block& block, const uint32_t* packed, int64_t padded, int64_t tokens,
                     float* sums) {
    const PackedTile<Ops> layout(padded);
    const uint32_t* x = packed + block.first / Ops::kStepColumns * tokens;
    const float* s = layout.scales(packed, tokens) + block.first / Ops::kBlockColumns * tokens;
    const int32_t* offsets =
        kGrouped ? layout.chunk_offsets(packed, tokens) + block.first / kChunkColumns * tokens
                 : layout.block_offsets(packed, tokens) + block.first / Ops::kBlockColumns * tokens;
    switch (tokens) {
        case 1:
            return multiply_tile<Ops, kGrouped, 1>(block, x, s, offsets, sums);
        case 2:
            return multiply_tile<Ops, kGrouped, 2>(block, x, s, offsets, sums);
        case 3:
            return multiply_tile<Ops, kGrouped, 3>(block, x, s, offsets, sums);
        case 4:
            return multiply_tile<Ops, kGrouped, 4>(block, x, s, offsets, sums);
        default:
            return multiply_tile<Ops, kGrouped, 5>(block, x, s, offsets, sums);
    }
}

/// Decodes columns [block.first, block.end), which start at `tile`; returns the tile after them.
template <class Ops, class Tile>
const uint8_t* decode_block(const uint8_t* tile, int64_t columns, uint8_t* out) {
    for (int64_t k = 0; k < columns; k += kTileCols, tile += kTileBytes) {
        prefetch_tile(tile);
        Ops::template decode<Tile>(tile, out);
        out += kTileCols / Ops::kStepColumns * kStepBytes;
    }
    return tile;
}

template <class Ops, class Tile>
void multiply_panel(const CpuWeightView& weight, int64_t panel, const uint32_t* packed,
                    const float* factor, int64_t tokens, float* sums, uint8_t* decoded,
                    void* scratch) {
    constexpr double kUnit = Tile::kPlacedExponent == -124 ? 1.0 / 16 : 1.0 / 8;
    PanelScales scales;
    plain_scales(weight, panel, kUnit, scratch, &scales);
    const int64_t padded = weight.k_tiles * kTileCols, words = PackedTile<Ops>(padded).words();
    const bool grouped = weight.scale_mode != ScaleMode::kRow;
    const auto multiply_some = grouped ? multiply_tokens<Ops, true> : multiply_tokens<Ops, false>;
    for (int64_t t = 0; t < tokens; ++t)
        store_values(sums + t * 16, zero_floats());
    const uint8_t* tile = weight.tiles + panel * weight.k_tiles * kTileBytes;
    for (int64_t k = 0, end; k < padded; k = end) {
        end = padded - k < kDecodedColumns<Ops> ? padded : k + kDecodedColumns<Ops>;
        tile = decode_block<Ops, Tile>(tile, end - k, decoded);
        const int64_t group_size = grouped ? weight.group_size : padded;
        const Block block = {decoded, k, end, &scales, k / group_size, weight.groups, group_size};
        for (int64_t t = 0; t < tokens; t += kIntegerTile) {
            const int64_t count = tokens - t < kIntegerTile ? tokens - t : kIntegerTile;
            multiply_some(block, packed + t * words, padded, count, sums + t * 16);
        }
    }
    finish_sums(scales.factor, factor, tokens, sums);
}

template <class Ops>
size_t packed_bytes(int64_t k, int64_t tokens) {
    return static_cast<size_t>(PackedTile<Ops>(padded_columns(k)).words() * tokens) *
           sizeof(uint32_t);
}

size_t scratch_bytes(int64_t k, int64_t) {
    return kDecodedBytes + scale_scratch_bytes(k);
}

template <class Ops, class Tile>
void multiply(const CpuWeightView& weight, int64_t panel, int, const void* packed,
              const float* factor, int64_t tokens, float* sums, void* scratch) {
    auto* decoded = static_cast<uint8_t*>(scratch);
    multiply_panel<Ops, Tile>(weight, panel, static_cast<const uint32_t*>(packed), factor, tokens,
                              sums, decoded, decoded + kDecodedBytes);
}

void multiply_i16(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                  const float* factor, int64_t tokens, float* sums, void* scratch) {
    const auto run = weight.family == TileFamily::kE3M2 ? &multiply<I16Ops, E3M2Tile>
                                                        : &multiply<I16Ops, E2M3Tile>;
    run(weight, panel, panels, packed, factor, tokens, sums, scratch);
}

}  // namespace

constexpr KernelFunctions kGemmI16 = {
    packed_bytes<I16Ops>, pack_integer_tokens<I16Ops, kIntegerTile>, scratch_bytes, multiply_i16};
constexpr KernelFunctions kGemmI8 = {packed_bytes<I8Ops>, pack_integer_tokens<I8Ops, kIntegerTile>,
                                     scratch_bytes, multiply<I8Ops, E2M3Tile>};

}  // namespace fp6llm::avx2
