// What does not depend on the instruction set, and which one packs.
#include "core/prepack/cpu_tile.hpp"

#include "core/common/cpu.hpp"
#include "core/prepack/tile_packing.hpp"

namespace fp6llm {
namespace {

const TilePacking& tile_packing() noexcept {
#ifdef FP6LLM_X86
    if (active_isa() >= Isa::kAvx2) return kAvx2TilePacking;
#endif
    return kPortableTilePacking;
}

}  // namespace

TileCoding tile_coding(const FormatInfo& format) noexcept {
    return format.exponent_bits == 3 ? TileCoding{TileFamily::kE3M2, 2 - format.mantissa_bits}
                                     : TileCoding{TileFamily::kE2M3, 3 - format.mantissa_bits};
}

const float* tile_values(TileFamily family) noexcept {
    return find_format(family == TileFamily::kE3M2 ? DataType::kE3M2 : DataType::kE2M3)->values;
}

void pack_panel(CpuSwizzle swizzle, TileFamily family, const uint8_t* codes, int64_t stride,
                int64_t cols, uint8_t* tiles) noexcept {
    tile_packing().pack(swizzle, family, codes, stride, cols, tiles);
}

void unpack_panel(CpuSwizzle swizzle, TileFamily family, const uint8_t* tiles, int64_t cols,
                  uint8_t* codes, int64_t stride) noexcept {
    tile_packing().unpack(swizzle, family, tiles, cols, codes, stride);
}

}  // namespace fp6llm
