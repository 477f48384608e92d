// Asking for weights before they are read.
#pragma once

#include "core/gemm/cpu/avx2_lanes.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm::avx2 {

constexpr int kPrefetchBytes = 3072;  ///< ahead of the tile being decoded, for scratch
/// Where it is multiplied at once: Zen 5, in turns, 3 KiB 0.93 to 0.97 of 4.5 KiB at 1 and 2 tokens, 6 KiB
/// 1.00 to 1.02.
constexpr int kDirectAhead = 4608;

/// Asks for the tile that lies kPrefetchBytes ahead of `tile`.
FP6LLM_AVX2_INLINE void prefetch_tile(const uint8_t* tile) {
    FP6LLM_AVX2_UNROLL
    for (int line = 0; line < kTileBytes; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(tile + kPrefetchBytes + line), _MM_HINT_T0);
}

/// Asks for what is read kAhead bytes after `tile` in each of kPanels panels; past the first one's `end`,
/// that is the next call's, behind the other panels.
template <int kPanels, int kAhead>
FP6LLM_AVX2_INLINE void prefetch_panels(const uint8_t* tile, const uint8_t* end,
                                        int64_t panel_bytes) {
    const uint8_t* ahead = tile + kAhead;
    if (kPanels > 1 && ahead >= end) ahead += (kPanels - 1) * panel_bytes;
    FP6LLM_AVX2_UNROLL
    for (int p = 0; p < kPanels; ++p, ahead += panel_bytes) {
        FP6LLM_AVX2_UNROLL
        for (int line = 0; line < kTileBytes; line += 64)
            _mm_prefetch(reinterpret_cast<const char*>(ahead + line), _MM_HINT_T0);
    }
}

}  // namespace fp6llm::avx2
