// Plain codes <-> one code per byte, row by row. LSB-first bit stream, each row padded to a byte:
//
//   6 bits: byte 0 = v0 | (v1 & 3) << 6      5 bits: byte 0 = v0 | (v1 & 7) << 5 ...
//           byte 1 = v1 >> 2 | (v2 & 15) << 4  4 bits: byte 0 = v0 | v1 << 4
//           byte 2 = v2 >> 4 | v3 << 2
//
// For 6 bits this is AMD Quark's MXFP6 order and the operand order of CDNA4's MFMA.
#pragma once

#include <cstdint>

namespace fp6llm {

/// Unpacks `count` codes of `bits` (4, 5 or 6) bits. Reads exactly ceil(count * bits / 8) bytes.
void unpack_codes(const uint8_t* packed, int bits, int64_t count, uint8_t* codes) noexcept;

/// Packs `count` codes; padding bits of the last byte are zero. Bits above `bits` must be zero.
void pack_codes(const uint8_t* codes, int bits, int64_t count, uint8_t* packed) noexcept;

}  // namespace fp6llm
