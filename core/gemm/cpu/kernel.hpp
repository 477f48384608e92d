// The contract of a CPU GEMM kernel, and the registry of all of them.
//
// A kernel computes, for `panels_per_call` panels of 16 output channels and a block of T tokens,
//
//   sums[t][r] = token_factor[t] * sum over k of scale[r, k] * value[r, k] * x[t, k]    (fp32 sums)
//
//            k ->                           tokens ->
//   +--------------------+              +-----+-----+
//   | panel: 16 rows     |   times      | x[t, k]   |   = sums [T][16 * panels_per_call]
//   +--------------------+              +-----+-----+
//
// Activations are packed once per call and token block by the kernel's own pack_tokens, into a
// layout only that kernel knows; pack_tokens may scale a token by a power of two, which
// token_factor undoes. The sum over k runs in an order that depends on the shape and the kernel
// only, never on threads: a result is bitwise the same for any thread count. With few tokens and panels, k
// is cut in segments (SplitK in core/common/work_split.hpp); to a kernel each is a product of its own, by a
// view of some columns of the weight.
//
// Kernels are noexcept; plan.cpp establishes the preconditions. They run under FpEnvGuard.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/common/cpu.hpp"
#include "core/gemm/problem.hpp"
#include "core/prepack/weight.hpp"

namespace fp6llm {

/// What a kernel does to activations before it multiplies.
enum class Arithmetic : uint8_t {
    kF32,     ///< fp32 FMA: exact products for any activation type
    kBf16,    ///< bf16 dot products: exact for bf16 activations, rounds others (FAST_16BF)
    kBf16x2,  ///< bf16 dot products of two parts: exact for fp16, too; fp32 keeps 16 bits (FAST_16F)
    kI16,     ///< int16 activations, integer weights (FAST_16I)
    kI8,      ///< int8 activations, integer weights of the E2M3 family (FAST_8I)
};

// Integer arithmetic. A token's columns are cut into blocks of kI16Columns (kI8Columns). With
// most = 32767 (127) and amax the largest magnitude of a block, each operation in fp32:
//
//   q[k] = to nearest even (x[k] * (most / amax))      s = amax / most
//
// q = 0 and s = 0 where amax < 2^-100: such blocks count as zero. q = 0 and s = NaN in a block with
// an infinity or NaN, so that all outputs of its token are NaN. token_factor is 1. Weights are the
// integers v[r, k] = value * 16 (E3M2 family), value * 8 (E2M3). Within a part, the columns of one
// activation block and one scale group, sums of v * q are exact integers; parts are added in fp32 to
// a sum that starts at +0, in ascending order of columns; unit is 1/16 or 1/8:
//
//   row scales     sum = fma(float(part), s, sum)              at the end  (sum * unit) * scale
//   group scales   sum = fma(float(part) * s, scale, sum)      at the end   sum * unit
//   MX scales      sum = fma(float(joined) * s, scale, sum)    at the end   sum * unit
//
// MX scales are powers of two: the parts of a span of i16_span() (kI8Span) columns are joined before
// they are rounded. scale is the largest of the row's in the span, and joined the sum of
// part * (its own / the largest), in fp64 and ascending order. Mostly that is an exact integer times a
// power of two, which kernels get by other means.
//
// Where k is cut in segments, each is such a sum, and they are added.
//
// float(part) * s is 1/unit times what fp32 kernels multiply by a scale, so that no scale can take
// it out of range before it does so there. Every kernel of an arithmetic gives the same bits
// (tests/unit/gemm/integer_reference.hpp).
constexpr int64_t kI16Columns = 128;  // 448 * 32767 * 128 < 2^31
constexpr int64_t kI8Columns = 128;
constexpr int64_t kI8Span = 128;
/// E3M2's integers have three bits more, which leaves none for exponents of 128 columns.
constexpr int64_t i16_span(TileFamily family) {
    return family == TileFamily::kE3M2 ? 64 : 128;
}

constexpr int64_t kPackStep = 256;  ///< columns; see KernelFunctions::pack_columns

/// Some tokens of a packed block: [first, first + count), whole tiles of it (CpuGemmKernel::token_tile).
struct PackedTokens {
    void* data;      ///< of the block, packed_bytes(k, block_tokens); layout: the kernel's own
    float* factors;  ///< [block_tokens]
    int64_t block_tokens;  ///< all tokens of the block
    int64_t first, count;
};

/// What a kernel does.
struct KernelFunctions {
    /// Bytes of a packed block.
    size_t (*packed_bytes)(int64_t k, int64_t tokens);
    /// Packs tokens [token, token + out.count) of `x` and writes their factors.
    void (*pack_tokens)(const TokenSource& x, int64_t token, const PackedTokens& out);
    /// Bytes of scratch, 64-byte aligned, that one thread needs to multiply so many tokens.
    size_t (*scratch_bytes)(int64_t k, int64_t tokens);
    /// Writes sums [x.count][16 * panels], panels <= panels_per_call.
    void (*multiply)(const CpuWeightView& weight, int64_t panel, int panels, const PackedTokens& x,
                     float* sums, void* scratch);
    /// Not null: does a part of what pack_tokens does for the tokens of one tile (of one block where
    /// token_tile is 0), columns [k0, k1), k0 a multiple of kPackStep, k1 as well or x.k. Threads pack
    /// different parts at once; that of k0 = 0 writes the factors.
    void (*pack_columns)(const TokenSource& x, int64_t token, int64_t k0, int64_t k1,
                         const PackedTokens& out) = nullptr;
};

/// A row of the registry.
struct CpuGemmKernel : KernelFunctions {
    /// Public `algo` value; unique; never reused. 0 reference, 1 transposed product, 10-99
    /// portable, 100-199 AVX2, 200-299 AVX-512.
    int32_t algo;
    const char* name;  ///< "avx2_fp6_gemv_f32"
    Isa isa;
    CpuSwizzle swizzle;
    Arithmetic arithmetic;
    int panels_per_call;  ///< 1 or 2; the last call of a range may get fewer
    int64_t max_tokens;   ///< largest useful token block; the plan cuts calls into blocks
    int group_multiple;   ///< group_size must be a multiple: 8 (any weight's), 16 or 32
    /// Non-zero: packed blocks are made of tiles of so many tokens, the last of what is left, and a
    /// token's sums depend on nothing outside its tile. Then the plan cuts blocks at its multiples, and
    /// parts of a block are packed and multiplied in parallel, each of at most max_tokens. 0: no such
    /// structure; PackedTokens are whole blocks.
    int token_tile = 0;
    /// Fewest tokens from which it wins over more exact kernels of its set.
    int64_t min_tokens = 1;
    /// Most tokens up to which it does; 0: no limit.
    int64_t wins_up_to = 0;
    /// Tokens in between with which another kernel of its arithmetic wins.
    int64_t yields_from = 0, yields_up_to = 0;

    /// Whether it is meant for so many tokens, or only there for who asks for it.
    bool wins(int64_t tokens) const noexcept {
        return tokens >= min_tokens && (wins_up_to == 0 || tokens <= wins_up_to) &&
               !(tokens >= yields_from && tokens <= yields_up_to);
    }
};

/// Sums as the store takes them: of row r and token t, data[t * ld + r] and, of a product whose k is cut
/// (SplitK), those of further segments behind it, which the store adds in fp32 in ascending order.
struct KernelSums {
    const float* data;
    int64_t ld;
    int64_t segments = 1;
    int64_t segment_stride = 0;  ///< from a segment's sums to the next one's
};

/// One instruction set's row block in the registry.
struct CpuKernelSet {
    Isa isa;
    const CpuGemmKernel* kernels;  ///< best first for small token counts
    int count;
    /// out[k - k0][16] = scale * value of one panel, k in [k0, k0 + count), both multiples of 16
    /// within the padded columns. For the transposed product.
    void (*decode_panel)(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                         float* out);
    /// Applies alpha, beta, bias, activation and residual to sums of rows [row, row + rows) and tokens
    /// [token, token + tokens), and stores them.
    void (*store)(const OutputSink& out, const KernelSums& sums, int64_t row, int64_t rows,
                  int64_t token, int64_t tokens);
};

/// Kernel sets that this build has. avx2 and avx512 return nullptr where not built.
const CpuKernelSet* portable_kernels() noexcept;
const CpuKernelSet* avx2_kernels() noexcept;
const CpuKernelSet* avx512_kernels() noexcept;  ///< rows of isa kAvx512 and above

}  // namespace fp6llm
