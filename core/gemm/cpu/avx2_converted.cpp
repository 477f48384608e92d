// S8, which is made for int8 activations, to S16, and float and int16 kernels by it: each panel is turned into S16
// in scratch, and S16's kernel multiplies it. At one token that takes longer than the product, from 16 on
// a fraction of it.
#include "core/gemm/cpu/avx2.hpp"
#include "core/gemm/cpu/avx2_bytes.hpp"
#include "core/gemm/cpu/avx2_prefetch.hpp"

namespace fp6llm::avx2 {
namespace {

constexpr int kMostPanels = 2;  // per call

FP6LLM_AVX2_INLINE __m256i masked(__m256i a, int half_word) {
    return _mm256_and_si256(a, _mm256_set1_epi16(static_cast<int16_t>(half_word)));
}

/// The codes of `bytes`.
FP6LLM_AVX2_INLINE __m256i codes_of(__m256i bytes) {
    return _mm256_or_si256(ByteTile::code_magnitudes(bytes),
                           masked(_mm256_srli_epi16(bytes, 2), 0x2020));
}

/// S16's half-word of a pair of codes, the spare bits zero.
FP6LLM_AVX2_INLINE __m256i placed(__m256i codes) {
    const __m256i sign = masked(_mm256_slli_epi16(codes, 10), 0x8000);
    const __m256i first = masked(_mm256_slli_epi16(codes, 4), 0x01F0);
    const __m256i second = masked(_mm256_slli_epi16(codes, 1), 0x7E00);
    return _mm256_or_si256(_mm256_or_si256(sign, first), second);
}

/// Half the rows of a tile.
FP6LLM_AVX2_INLINE void convert_half(const uint8_t* tile, uint8_t* out) {
    __m256i codes[kTileSteps];
    ByteTile::load(tile, codes);
    FP6LLM_AVX2_UNROLL
    for (__m256i& step : codes)
        step = codes_of(step);
    const __m256i last = codes[3];  // of pair 6, and of pair 7 in the upper bytes
    const __m256i a = _mm256_or_si256(placed(codes[0]), masked(last, 0x000F));
    const __m256i b = _mm256_or_si256(placed(codes[1]), masked(_mm256_srli_epi16(last, 8), 0x000F));
    const __m256i spare = _mm256_or_si256(_mm256_or_si256(masked(_mm256_srli_epi16(last, 2), 8),
                                                          masked(_mm256_srli_epi16(last, 11), 6)),
                                          masked(_mm256_srli_epi16(last, 4), 1));
    const __m256i fold = _mm256_or_si256(
        _mm256_or_si256(masked(_mm256_srli_epi16(a, 8), 8), masked(_mm256_srli_epi16(b, 9), 4)),
        _mm256_or_si256(masked(_mm256_srli_epi16(b, 3), 2), masked(_mm256_srli_epi16(a, 4), 1)));
    const __m256i c = _mm256_or_si256(placed(codes[2]), _mm256_xor_si256(spare, fold));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), a);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + 64), b);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + 128), c);
}

/// Of the converted panels.
int64_t converted_bytes(int64_t k) {
    const int64_t tiles = (k + kTileCols - 1) / kTileCols;
    return kMostPanels * tiles * kTileBytes + 2 * kS16Padding;
}

/// The panels' view in S16, of which `tiles` are all.
CpuWeightView convert(const CpuWeightView& weight, int64_t panel, int panels, uint8_t* tiles) {
    for (int p = 0; p < panels; ++p) {
        convert_tiles(weight.panel_tiles(panel + p), weight.k_tiles,
                      tiles + p * weight.k_tiles * kTileBytes);
    }
    CpuWeightView view = weight;
    view.swizzle = CpuSwizzle::kS16;
    view.rows = panels * kTileRows;
    view.panels = panels;
    view.tile_stride = weight.k_tiles;
    view.first_tile = 0;
    view.tiles = tiles;
    const int64_t scales = weight.scale_index(panel, 0);
    if (weight.scale_mode == ScaleMode::kMx) {
        view.e8m0 += scales;
    } else {
        view.scales += scales;
    }
    return view;
}

/// One of S16's kernels, by Weights, behind the conversion. Read when it is called: what the registry reads
/// on any processor are constants.
template <const KernelFunctions (&kS16)[2], Weights kWeights>
struct Converting {
    static const KernelFunctions& inner() { return kS16[static_cast<int>(kWeights)]; }

    static size_t packed_bytes(int64_t k, int64_t tokens) {
        return inner().packed_bytes(k, tokens);
    }
    static void pack_tokens(const TokenSource& x, int64_t token, const PackedTokens& out) {
        inner().pack_tokens(x, token, out);
    }
    static void pack_columns(const TokenSource& x, int64_t token, int64_t k0, int64_t k1,
                             const PackedTokens& out) {
        inner().pack_columns(x, token, k0, k1, out);
    }
    static size_t scratch_bytes(int64_t k, int64_t tokens) {
        return static_cast<size_t>(converted_bytes(k)) + inner().scratch_bytes(k, tokens);
    }
    static void multiply(const CpuWeightView& weight, int64_t panel, int panels,
                         const PackedTokens& x, float* sums, void* scratch) {
        uint8_t* own = static_cast<uint8_t*>(scratch);
        const CpuWeightView view = convert(weight, panel, panels, own + kS16Padding);
        inner().multiply(view, 0, panels, x, sums, own + converted_bytes(weight.cols));
    }
};

template <const KernelFunctions (&kS16)[2], Weights kWeights>
constexpr KernelFunctions kInt = {
    Converting<kS16, kWeights>::packed_bytes, Converting<kS16, kWeights>::pack_tokens,
    Converting<kS16, kWeights>::scratch_bytes, Converting<kS16, kWeights>::multiply};

/// Those of fp32 pack columns, too.
template <const KernelFunctions (&kS16)[2], Weights kWeights>
constexpr KernelFunctions kFloat = {
    Converting<kS16, kWeights>::packed_bytes, Converting<kS16, kWeights>::pack_tokens,
    Converting<kS16, kWeights>::scratch_bytes, Converting<kS16, kWeights>::multiply,
    Converting<kS16, kWeights>::pack_columns};

}  // namespace

void convert_tiles(const uint8_t* tile, int64_t count, uint8_t* out) {
    for (int64_t i = 0; i < count; ++i, tile += kTileBytes, out += kTileBytes) {
        prefetch_tile(tile);
        convert_half(tile, out);
        convert_half(tile + 32, out + 32);
    }
}

constexpr KernelFunctions kS8GemvF32[] = {kFloat<kGemvF32, Weights::kPlaced>,
                                          kFloat<kGemvF32, Weights::kNormal>};
constexpr KernelFunctions kS8FusedF32[] = {kFloat<kFusedF32, Weights::kPlaced>,
                                           kFloat<kFusedF32, Weights::kNormal>};
constexpr KernelFunctions kS8Fused5F32[] = {kFloat<kFused5F32, Weights::kPlaced>,
                                            kFloat<kFused5F32, Weights::kNormal>};
constexpr KernelFunctions kS8GemmF32[] = {kFloat<kGemmF32, Weights::kPlaced>,
                                          kFloat<kGemmF32, Weights::kNormal>};
constexpr KernelFunctions kS8GemmI16[] = {kInt<kGemmI16, Weights::kPlaced>,
                                          kInt<kGemmI16, Weights::kNormal>};

}  // namespace fp6llm::avx2
