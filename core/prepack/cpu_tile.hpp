// The CPU tile: 16 rows x 16 columns (k) of 6-bit codes in three vectors A, B, C of 64 bytes.
//
//   panel  = 16 rows; its tiles follow each other in k, so a panel is one stream of 12 bytes per k
//   tile   = 192 bytes: A[16], B[16], C[16] of uint32
//   lane i = row i of the panel; low half-word: even k, high half-word: odd k
//   pair j = k / 2 within the tile, j = 0..7; c_j is its code, in a 16-bit word
//
// What lies where inside the 16-bit words is the swizzle, chosen per instruction set; geometry,
// blocking, scales and padding are shared. docs/layouts.md has the bit diagrams:
//
//   P16 (AVX-512, portable; any format): codes in bits 0-5 and 6-11, parts of two more in 12-15
//   S16 (AVX2; E3M2 and E2M3 differ): sign and exponent+mantissa fields where one shift and one mask
//       make them the bits of an fp32
//   S8 (AVX2, for int8 activations; E2M3 only): a code in a byte, renumbered so that one look-up and two
//       additions make it an integer
//
// Tiles hold codes of one of two families. Narrower formats are widened exactly by zero mantissa
// bits: E3M1 << 1 in E3M2; E2M2 << 1 and E2M1 << 2 in E2M3.
#pragma once

#include <cstdint>

#include "core/formats/format.hpp"

namespace fp6llm {

constexpr int kTileRows = 16;
constexpr int kTileCols = 16;
constexpr int kTileBytes = 192;

enum class CpuSwizzle : uint8_t { kP16 = 1, kS16 = 2, kS8 = 3 };
constexpr int kS8Columns = 32;  ///< groups of a weight in S8 have a multiple of so many columns
enum class TileFamily : uint8_t { kE3M2 = 0, kE2M3 = 1 };

/// Family of a format, and how far its codes are shifted left in the tile.
struct TileCoding {
    TileFamily family;
    int shift;
};
TileCoding tile_coding(const FormatInfo& format) noexcept;

/// Value of each 6-bit tile code of a family, [64].
const float* tile_values(TileFamily family) noexcept;

/// Packs one panel. `codes` holds one tile code per byte (already shifted), row-major
/// [16, stride], stride >= round_up(cols, 16), with zeros in the padding. Writes
/// ceil(cols / 16) * kTileBytes bytes.
void pack_panel(CpuSwizzle swizzle, TileFamily family, const uint8_t* codes, int64_t stride,
                int64_t cols, uint8_t* tiles) noexcept;

/// Inverse of pack_panel; writes all round_up(cols, 16) codes of each of the 16 rows.
void unpack_panel(CpuSwizzle swizzle, TileFamily family, const uint8_t* tiles, int64_t cols,
                  uint8_t* codes, int64_t stride) noexcept;

}  // namespace fp6llm
