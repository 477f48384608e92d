// Registry rows of the AVX-512 kernels (kernel.hpp). Baseline code: the registry may be read on any
// processor.
#include "core/gemm/cpu/avx512.hpp"

namespace fp6llm {
namespace FP6LLM_AVX512_NAMESPACE {
namespace {

/// Token counts with which a row wins over more exact rows; see CpuGemmKernel.
struct Wins {
    int64_t from = 1, up_to = 0, yields_from = 0, yields_up_to = 0;
};

constexpr CpuGemmKernel make_row(int32_t algo, const char* name, Isa isa, Arithmetic arithmetic,
                                 int panels, int64_t max_tokens, int token_tile, int group_multiple,
                                 const KernelFunctions& f, Wins wins = {}) {
    return {f,
            algo,
            name,
            isa,
            CpuSwizzle::kP16,
            arithmetic,
            panels,
            max_tokens,
            group_multiple,
            token_tile,
            wins.from,
            wins.up_to,
            wins.yields_from,
            wins.yields_up_to};
}

constexpr Arithmetic kF32 = Arithmetic::kF32, kBf16 = Arithmetic::kBf16,
                     kBf16x2 = Arithmetic::kBf16x2, kI16 = Arithmetic::kI16, kI8 = Arithmetic::kI8;
constexpr Isa kAvx512 = Isa::kAvx512, kVnni = Isa::kAvx512Vnni, kBf16Isa = Isa::kAvx512Bf16;
constexpr int64_t kNever = INT64_MAX;

/// Address streams that a thread of gemv reads.
constexpr int streams(CpuMaker maker) {
    return maker == CpuMaker::kAmd ? 1 : 2;
}

// Instructions of the hot loops per 256 weights and call of so many tokens (gcc 12), multiplications
// in brackets:
//
//                 1 token     16 tokens, fused     12 tokens, wide     12 tokens, gemm
//   f32           65 (16)     337 (256)                                344 (192)
//   bf16          41 (8)      161 (128)            180 (96)            172 (96)
//   bf16x2        51 (16)     318 (256)                                316 (192)
//   i16           41 (8)      169 (128)                                200 (96)
//   i8            28 (4)      86 (64)                                  100 (48)
//   i8, AMD's     34 (4)      92 (64)                                  100 (48)
//
// Where AMD's processors and others differ, the former are as Zen 5 measured, the latter as Emerald Rapids
// did. Speeds on one core, 4096 x 4096, row scales where nothing else is said:
//
//   One address stream a thread, read 7 to 9 KiB ahead, against two, read 3 KiB ahead: Zen 5 1.05 to 1.12 at
//   1 to 3 tokens and, one panel either way, 1.1 to 1.35 at 4 to 12; Emerald Rapids 0.92 with one stream
//   read 3 KiB ahead.
//   f32 fused over gemm: Zen 5 1.03 to 1.11 at 17 to 512 tokens; Emerald Rapids 1.04, 0.98, 1.01, 0.97 at
//   24, 32, 48, 64 tokens, before gemm won 7 % by prefetching.
//   bf16 wide over gemm and over fused (Zen 5): 1.31 and 1.12 at 17 tokens, 1.05 and 1.03 at 512. Over
//   fused, 1.03 to 1.09 at 8 to 12 (MX 0.99 to 1.05); at 13 to 16, where fused has one tile and wide has two,
//   1.00 to 0.97 (MX 0.89 to 0.96); at 4 to 7, 0.95 to 1.02 (MX 0.94 to 1.00). f32 has too few registers for
//   it, int8 and int16 lose by it: 0.96 at 512.
//   i16 fused over gemm: Zen 5 1.09, 1.06, 1.03, 0.98 at 24, 32, 48, 64 tokens (MX 1.33, 1.11, 1.06 at 16,
//   24, 48); Emerald Rapids 0.98, 1.02, 0.95.
//   i8 fused over gemm: Zen 5 1.16, 0.99, 1.01, 0.97 at 16, 24, 32, 48 tokens (MX 1.29, 0.97, 1.00, 0.94);
//   Emerald Rapids 1.08, 1.07, 1.08 at 24, 32, 48, before gemm won 15 %.
//   i8 codes by shifts of words over vpmultishiftqb, fused: Zen 5 1.00, 1.04, 1.05 at 8, 12, 16 tokens (MX
//   1.02, 1.05, 1.15). Where nothing multiplies the latter are the fewer instructions.
//   bf16x2 (Zen 5) ties with f32 where decoding counts little: it is for few tokens.
struct Set {
    CpuGemmKernel rows[16];
    CpuKernelSet set;
    explicit Set(CpuMaker maker) noexcept;
    Set(const Set&) = delete;
    Set& operator=(const Set&) = delete;
};

Set::Set(CpuMaker maker) noexcept
    // Token blocks of the last rows keep packed activations of common widths within a few MiB.
    : rows{make_row(200, "avx512_fp6_gemv_f32", kAvx512, kF32, streams(maker), kGemvTokens, 0,
                    kTileCols, kGemvF32),
           make_row(201, "avx512_fp6_fused_f32", kAvx512, kF32, 1,
                    maker == CpuMaker::kAmd ? 192 : 16, kFusedTokens, kTileCols, kFusedF32),
           make_row(202, "avx512_fp6_gemm_f32", kAvx512, kF32, 2,
                    maker == CpuMaker::kAmd ? 192 : 96, kGemmTokens, 8, kGemmF32),
           make_row(210, "avx512bf16_fp6_gemv_bf16", kBf16Isa, kBf16, streams(maker), kGemvTokens,
                    0, kTileCols, kGemvBf16),
           make_row(211, "avx512bf16_fp6_fused_bf16", kBf16Isa, kBf16, 1, kFusedTokens, 0,
                    kTileCols, kFusedBf16,
                    maker == CpuMaker::kAmd ? Wins{1, 0, 8, kGemmTokens} : Wins{}),
           make_row(213, "avx512bf16_fp6_wide_bf16", kBf16Isa, kBf16, 2, 192, kGemmTokens,
                    kTileCols, kWideBf16),
           make_row(212, "avx512bf16_fp6_gemm_bf16", kBf16Isa, kBf16, 2, 192, kGemmTokens, 8,
                    kGemmBf16),
           make_row(220, "avx512bf16_fp6_gemv_bf16x2", kBf16Isa, kBf16x2, streams(maker),
                    kGemvTokens, 0, kTileCols, kGemvBf16x2, Wins{1, kGemvTokens}),
           make_row(221, "avx512bf16_fp6_fused_bf16x2", kBf16Isa, kBf16x2, 1, 96, kFusedTokens,
                    kTileCols, kFusedBf16x2, Wins{kNever}),
           make_row(222, "avx512bf16_fp6_gemm_bf16x2", kBf16Isa, kBf16x2, 2, 96, kGemmTokens, 8,
                    kGemmBf16x2, Wins{kNever}),
           make_row(230, "avx512vnni_fp6_gemv_i16", kVnni, kI16, streams(maker), kGemvTokens, 0,
                    kTileCols, kGemvI16),
           make_row(231, "avx512vnni_fp6_fused_i16", kVnni, kI16, 1,
                    maker == CpuMaker::kAmd ? 48 : 32, kFusedTokens, kTileCols, kFusedI16),
           make_row(232, "avx512vnni_fp6_gemm_i16", kVnni, kI16, 2, 192, kGemmTokens, 8, kGemmI16),
           make_row(240, "avx512vnni_e2m3_gemv_i8", kVnni, kI8, streams(maker), kGemvTokens, 0,
                    kTileCols, maker == CpuMaker::kAmd ? kGemvI8Words : kGemvI8),
           make_row(241, "avx512vnni_e2m3_fused_i8", kVnni, kI8, 1,
                    maker == CpuMaker::kAmd ? 32 : kFusedTokens, kFusedTokens, kTileCols,
                    maker == CpuMaker::kAmd ? kFusedI8Words : kFusedI8),
           make_row(242, "avx512vnni_e2m3_gemm_i8", kVnni, kI8, 2, 384, kGemmTokens, kTileCols,
                    maker == CpuMaker::kAmd ? kGemmI8Words : kGemmI8)},
      set{Isa::kAvx512, rows, sizeof rows / sizeof rows[0], decode_panel, store} {}

}  // namespace

int64_t prefetch_bytes(int panels, int64_t far) noexcept {
    return panels == 1 && cpu_maker() == CpuMaker::kAmd ? far : 3072;
}

const CpuKernelSet* kernels(CpuMaker maker) noexcept {
    static const Set amd(CpuMaker::kAmd);
    static const Set other(CpuMaker::kOther);
    return maker == CpuMaker::kAmd ? &amd.set : &other.set;
}

}  // namespace FP6LLM_AVX512_NAMESPACE

#ifndef FP6LLM_AVX512_EMULATED
const CpuKernelSet* avx512_kernels() noexcept {
    return avx512::kernels(cpu_maker());
}
#endif

}  // namespace fp6llm
