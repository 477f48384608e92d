// How the 32 lanes of a warp hold a matrix, for ldmatrix, stmatrix, movmatrix, mma and wgmma.
//
// Source: PTX ISA, sections "Matrix fragments for mma.m16n8k..." and "ldmatrix". All of them are one
// picture. With g = lane / 4 and t = lane % 4, lanes 4g..4g+3 of one 32-bit register hold 16
// consecutive bytes of row g of an 8-row tile; so the 128 bytes of a register slot are that tile,
// row after row:
//
//   slot bytes   0..15    16..31       112..127
//   lanes        0 1 2 3   4 5 6 7  ..  28 29 30 31
//                row 0     row 1        row 7        (of B: column 0, 1, .. 7: k runs along the row)
//
//   A, 16 rows: register 0 = rows 0-7, 1 = rows 8-15 of the first 16 bytes of k; 2, 3 the next 16 bytes
//   B,  8 columns: register j = bytes 16 j .. 16 j + 15 of k
//   C, D with 32-bit elements: register 2 r + i = rows 8 r + g, columns 2 t + i: the even columns of
//      the tile in one slot, the odd ones in the next; with 16-bit elements register r = rows 8 r + g
//   64-bit elements (f64): the same with lanes of 8 bytes
#pragma once

#include <immintrin.h>

#include <string>
#include <vector>

#include "tests/emulator/exec/op.hpp"
#include "tests/emulator/exec/warp.hpp"

namespace emulator {

/// The elements of "{a, b}", or the operand itself where PTX lets the braces out.
inline std::vector<ptx::Operand> elements_of(const ptx::Operand& operand) {
    if (operand.kind == ptx::Operand::Kind::kVector) return operand.elements;
    return {operand};
}

/// For `.sync.aligned` operations of a whole warp: kBlocked while live lanes of the warp are elsewhere
/// (they may still arrive here; the scheduler reports those that never do), else kNext. A warp that is
/// not whole is a finding: PTX leaves the result undefined.
inline Outcome whole_warp(Warp& warp, const Op& op, LaneMask lanes) {
    if (__builtin_expect(lanes == kAllLanes, 1)) return Outcome::kNext;
    if (warp.gather(op, lanes, warp.live()) != lanes) return Outcome::kBlocked;
    warp.report(op, lanes, FindingKind::kDivergentBarrier,
                "a matrix operation of a warp with fewer than 32 live lanes");
    return Outcome::kNext;
}

/// Rows of an 8-row tile that have a lane in `lanes`, as 8 bits.
inline uint32_t rows_with(LaneMask lanes) noexcept {
    lanes |= lanes >> 1;
    lanes |= lanes >> 2;
    lanes &= 0x11111111u;
    uint32_t rows = 0;
    for (int row = 0; row < 8; ++row)
        rows |= (lanes >> (4 * row) & 1u) << row;
    return rows;
}

/// The lanes that hold the rows of an 8-bit set.
inline LaneMask lanes_of_rows(uint32_t rows) noexcept {
    LaneMask lanes = 0;
    for (int row = 0; row < 8; ++row)
        if (rows >> row & 1u) lanes |= 0xFu << (4 * row);
    return lanes;
}

/// The lanes that hold columns 2 t + parity of an 8-bit set of columns (32-bit elements).
inline LaneMask lanes_of_columns(uint32_t columns, int parity) noexcept {
    LaneMask lanes = 0;
    for (int t = 0; t < 4; ++t)
        if (columns >> (2 * t + parity) & 1u) lanes |= 0x11111111u << t;
    return lanes;
}

/// Transposes an 8 x 8 tile of 16-bit elements, 128 bytes row after row; in and out may be the same.
inline void transpose_8x8_b16(const uint8_t* in, uint8_t* out) noexcept {
    const __m128i* rows = reinterpret_cast<const __m128i*>(in);
    __m128i r[8], s[8];
    for (int i = 0; i < 8; ++i)
        r[i] = _mm_loadu_si128(rows + i);
    for (int i = 0; i < 4; ++i) {
        s[2 * i] = _mm_unpacklo_epi16(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm_unpackhi_epi16(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        r[4 * i + 0] = _mm_unpacklo_epi32(s[4 * i], s[4 * i + 2]);
        r[4 * i + 1] = _mm_unpackhi_epi32(s[4 * i], s[4 * i + 2]);
        r[4 * i + 2] = _mm_unpacklo_epi32(s[4 * i + 1], s[4 * i + 3]);
        r[4 * i + 3] = _mm_unpackhi_epi32(s[4 * i + 1], s[4 * i + 3]);
    }
    __m128i* to = reinterpret_cast<__m128i*>(out);
    for (int i = 0; i < 4; ++i) {
        _mm_storeu_si128(to + 2 * i, _mm_unpacklo_epi64(r[i], r[i + 4]));
        _mm_storeu_si128(to + 2 * i + 1, _mm_unpackhi_epi64(r[i], r[i + 4]));
    }
}

/// Copies a register slot's new value to the lanes that are active.
inline void write_slot(Warp& warp, Slot slot, const void* value, LaneMask lanes) noexcept {
    const uint32_t* from = static_cast<const uint32_t*>(value);
    uint32_t* to = warp.u32(slot);
    for_lanes(lanes, [&](int lane) { to[lane] = from[lane]; });
}

}  // namespace emulator
