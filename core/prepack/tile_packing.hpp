// pack_panel and unpack_panel (cpu_tile.hpp) of an instruction set.
#pragma once

#include "core/prepack/cpu_tile.hpp"

namespace fp6llm {

struct TilePacking {
    void (*pack)(CpuSwizzle swizzle, TileFamily family, const uint8_t* codes, int64_t stride,
                 int64_t cols, uint8_t* tiles) noexcept;
    void (*unpack)(CpuSwizzle swizzle, TileFamily family, const uint8_t* tiles, int64_t cols,
                   uint8_t* codes, int64_t stride) noexcept;
};

extern const TilePacking kPortableTilePacking;
extern const TilePacking kAvx2TilePacking;  ///< x86-64 only

}  // namespace fp6llm
