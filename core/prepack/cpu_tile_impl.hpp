// Packing and unpacking of CPU tiles, compiled once per instruction set. A swizzle is a list of bit
// fields, its one definition: pack_rows moves each field from code to word, unpack_rows moves it back. The
// fields of a swizzle cover each of the 48 bits of a lane's half-words exactly once, which is checked at
// compile time; fold_spare then mixes some of them in place. S8's fields are those of renumbered codes.
//
// Include at global scope. Everything has internal linkage, so that the linker cannot share code of one
// instruction set with others.
#pragma once

#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/prepack/cpu_tile.hpp"
#include "core/prepack/tile_packing.hpp"

namespace fp6llm {
namespace {

/// `width` bits from bit `code_bit` of the code of pair `pair` lie at bit `word_bit` of the
/// half-words of vector `word` (0 = A, 1 = B, 2 = C).
struct Field {
    int pair, code_bit, width, word, word_bit;
};

// clang-format off
struct P16 {
    static constexpr Field kFields[] = {
        {0, 0, 6, 0, 0}, {1, 0, 6, 0, 6}, {6, 0, 4, 0, 12},                    // A
        {2, 0, 6, 1, 0}, {3, 0, 6, 1, 6}, {7, 0, 4, 1, 12},                    // B
        {4, 0, 6, 2, 0}, {5, 0, 6, 2, 6}, {6, 4, 2, 2, 12}, {7, 4, 2, 2, 14},  // C
    };
};

// The sign and the exponent+mantissa of A, B and C's first codes lie where they are in the upper half
// of an fp32: sign 15, exponent and mantissa 9..5 (bits 31 and 25..21 of the fp32).
struct S16E3M2 {
    static constexpr Field kFields[] = {
        {0, 5, 1, 0, 15}, {0, 0, 5, 0, 5}, {1, 5, 1, 0, 10}, {1, 0, 5, 0, 0}, {6, 0, 4, 0, 11},  // A
        {2, 5, 1, 1, 15}, {2, 0, 5, 1, 5}, {3, 5, 1, 1, 10}, {3, 0, 5, 1, 0}, {7, 0, 4, 1, 11},  // B
        {4, 5, 1, 2, 15}, {4, 0, 5, 2, 5}, {5, 5, 1, 2, 10}, {5, 0, 5, 2, 0},                    // C
        {6, 5, 1, 2, 14}, {7, 5, 1, 2, 13}, {7, 4, 1, 2, 12}, {6, 4, 1, 2, 11},
    };
};

// Likewise; two exponent and three mantissa bits are 8..4 of the upper half, 24..20 of the fp32.
struct S16E2M3 {
    static constexpr Field kFields[] = {
        {0, 5, 1, 0, 15}, {0, 0, 5, 0, 4}, {1, 0, 6, 0, 9}, {6, 0, 4, 0, 0},  // A
        {2, 5, 1, 1, 15}, {2, 0, 5, 1, 4}, {3, 0, 6, 1, 9}, {7, 0, 4, 1, 0},  // B
        {4, 5, 1, 2, 15}, {4, 0, 5, 2, 4}, {5, 0, 6, 2, 9},                   // C
        {6, 5, 1, 2, 3}, {7, 5, 1, 2, 2}, {7, 4, 1, 2, 1}, {6, 4, 1, 2, 0},
    };
};

// A byte is a renumbered code, its upper two bits at 7 and 6, with two bits of another one between.
struct S8 {
    static constexpr Field kFields[] = {
        {0, 4, 2, 0, 6}, {0, 0, 4, 0, 0}, {1, 4, 2, 0, 14}, {1, 0, 4, 0, 8}, {6, 4, 2, 0, 4}, {7, 4, 2, 0, 12},  // A
        {2, 4, 2, 1, 6}, {2, 0, 4, 1, 0}, {3, 4, 2, 1, 14}, {3, 0, 4, 1, 8}, {6, 0, 2, 1, 4}, {7, 0, 2, 1, 12},  // B
        {4, 4, 2, 2, 6}, {4, 0, 4, 2, 0}, {5, 4, 2, 2, 14}, {5, 0, 4, 2, 8}, {6, 2, 2, 2, 4}, {7, 2, 2, 2, 12},  // C
    };
};
// clang-format on

template <class Swizzle>
constexpr bool is_bijection() {
    uint32_t word_bits[3] = {}, code_bits[8] = {};
    for (const Field& f : Swizzle::kFields) {
        const uint32_t ones = (1u << f.width) - 1;
        if ((word_bits[f.word] & ones << f.word_bit) || (code_bits[f.pair] & ones << f.code_bit)) {
            return false;
        }
        word_bits[f.word] |= ones << f.word_bit;
        code_bits[f.pair] |= ones << f.code_bit;
    }
    for (uint32_t bits : word_bits) {
        if (bits != 0xFFFF) return false;
    }
    for (uint32_t bits : code_bits) {
        if (bits != 0x3F) return false;
    }
    return true;
}
static_assert(is_bijection<P16>() && is_bijection<S16E3M2>() && is_bijection<S16E2M3>() &&
              is_bijection<S8>());

// Some rows at a time, one per 32-bit lane; a compiler vector, which any processor has or emulates.
#if defined(__AVX2__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
typedef uint32_t FourRows __attribute__((vector_size(16)));
typedef uint32_t Rows __attribute__((vector_size(kRows * 4)));

constexpr uint32_t kHalves = 0x00010001;  // times a 16-bit mask: that mask in both half-words

inline Rows load(const uint8_t* from) noexcept {
    Rows rows;
    std::memcpy(&rows, from, sizeof rows);
    return rows;
}

inline void store(uint8_t* to, Rows rows) noexcept {
    std::memcpy(to, &rows, sizeof rows);
}

/// 16 codes of row r, and of row r + 4 where there are eight.
inline Rows load_codes(const uint8_t* codes, int64_t stride, int r) noexcept {
#if defined(__AVX2__)
    FourRows low, high;
    std::memcpy(&low, codes + r * stride, sizeof low);
    std::memcpy(&high, codes + (r + 4) * stride, sizeof high);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return load(codes + r * stride);
#endif
}

inline void store_codes(Rows rows, uint8_t* codes, int64_t stride, int r) noexcept {
#if defined(__AVX2__)
    const FourRows low = __builtin_shufflevector(rows, rows, 0, 1, 2, 3);
    const FourRows high = __builtin_shufflevector(rows, rows, 4, 5, 6, 7);
    std::memcpy(codes + r * stride, &low, sizeof low);
    std::memcpy(codes + (r + 4) * stride, &high, sizeof high);
#else
    store(codes + r * stride, rows);
#endif
}

// S16's spare bits are stored folded: with other bits of their lane added (exclusive or), those
// that meet them when the kernels put pairs 6 and 7 together, so that they cancel out there without
// masks (docs/layouts.md). Fold twice and the plain fields are back.
inline void fold_spare(P16, Rows (&)[3]) noexcept {}

inline void fold_spare(S16E3M2, Rows (&words)[3]) noexcept {
    Rows &a = words[0], &b = words[1], &c = words[2];
    c ^= (a >> 4 & (0x0800 * kHalves)) ^ (b >> 3 & (0x1000 * kHalves));
    a ^= (~c >> 10 & c >> 6 & kHalves) << 13;
    b ^= (~c >> 10 & c >> 5 & kHalves) << 13;
}

inline void fold_spare(S16E2M3, Rows (&words)[3]) noexcept {
    const Rows a = words[0], b = words[1];
    words[2] ^= (a >> 8 & (0x0008 * kHalves)) ^ (b >> 9 & (0x0004 * kHalves)) ^
                (b >> 3 & (0x0002 * kHalves)) ^ (a >> 4 & (0x0001 * kHalves));
}

// S8's likewise, for the exclusive or of A's, B's and C's words, shifted, that pairs 6 and 7 are.
inline void fold_spare(S8, Rows (&words)[3]) noexcept {
    Rows &a = words[0], &b = words[1], &c = words[2];
    const Rows a0 = a, b0 = b, c0 = c;
    a ^= (b0 >> 6 ^ c0 >> 4) & (0x0030 * kHalves);
    b ^= (c0 << 2 & (0x3030 * kHalves)) ^ (a0 << 6 & (0x3000 * kHalves));
    c ^= (a0 << 4 ^ b0 >> 2) & (0x3030 * kHalves);
}

// S8 numbers codes anew (docs/layouts.md): of magnitude q = 1..16 they have flag 1 and n = 16 - q, else
// flag 0 and n = q % 16; a renumbered code is the sign, sign ^ flag, and n. `codes` are one in each half-word.
template <class Swizzle>
inline Rows renumber(Swizzle, Rows codes) noexcept {
    return codes;
}

template <class Swizzle>
inline Rows number_back(Swizzle, Rows codes) noexcept {
    return codes;
}

inline Rows renumber(S8, Rows codes) noexcept {
    const Rows ones = Rows{} + kHalves;
    const Rows sign = codes >> 5 & ones, q = codes & (31 * kHalves);
    const Rows flag = (q + 15 * kHalves) >> 4 & ones;
    const Rows n = ((q ^ flag * 15) + flag) & (15 * kHalves);  // -q, or q
    return sign << 5 | (sign ^ flag) << 4 | n;
}

inline Rows number_back(S8, Rows codes) noexcept {
    const Rows ones = Rows{} + kHalves;
    const Rows sign = codes >> 5 & ones, flag = (codes >> 4 & ones) ^ sign;
    const Rows n = codes & (15 * kHalves);
    const Rows large = n | ((n + 15 * kHalves) & (16 * kHalves));  // 0, or 16 + n
    const Rows small = 16 * kHalves - n;
    return sign << 5 | (flag * 31 & small) | ((ones - flag) * 31 & large);
}

/// Of 4 x 4 lanes; with eight, of the lower and of the upper ones.
inline void transpose(Rows (&m)[4]) noexcept {
#if defined(__AVX2__)
#define FP6LLM_SHUFFLE(a, b, i, j, k, l) \
    __builtin_shufflevector(a, b, i, j, k, l, (i) + 4, (j) + 4, (k) + 4, (l) + 4)
    constexpr int b = 8;
#else
#define FP6LLM_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
    constexpr int b = 4;  // the first lane of the second operand
#endif
    const Rows lo01 = FP6LLM_SHUFFLE(m[0], m[1], 0, b + 0, 1, b + 1);
    const Rows hi01 = FP6LLM_SHUFFLE(m[0], m[1], 2, b + 2, 3, b + 3);
    const Rows lo23 = FP6LLM_SHUFFLE(m[2], m[3], 0, b + 0, 1, b + 1);
    const Rows hi23 = FP6LLM_SHUFFLE(m[2], m[3], 2, b + 2, 3, b + 3);
    m[0] = FP6LLM_SHUFFLE(lo01, lo23, 0, 1, b + 0, b + 1);
    m[1] = FP6LLM_SHUFFLE(lo01, lo23, 2, 3, b + 2, b + 3);
    m[2] = FP6LLM_SHUFFLE(hi01, hi23, 0, 1, b + 0, b + 1);
    m[3] = FP6LLM_SHUFFLE(hi01, hi23, 2, 3, b + 2, b + 3);
#undef FP6LLM_SHUFFLE
}

/// Shifts left by `distance`, right if it is negative.
template <int distance>
inline Rows shift(Rows rows) noexcept {
    if constexpr (distance >= 0) {
        return rows << distance;
    } else {
        return rows >> -distance;
    }
}

template <class Swizzle, size_t i>
inline void pack_field(const Rows (&pairs)[8], Rows (&words)[3]) noexcept {
    constexpr Field f = Swizzle::kFields[i];
    constexpr uint32_t mask = ((1u << f.width) - 1) << f.word_bit;
    words[f.word] |= shift<f.word_bit - f.code_bit>(pairs[f.pair]) & (mask * kHalves);
}

template <class Swizzle, size_t i>
inline void unpack_field(const Rows (&words)[3], Rows (&pairs)[8]) noexcept {
    constexpr Field f = Swizzle::kFields[i];
    constexpr uint32_t mask = ((1u << f.width) - 1) << f.code_bit;
    pairs[f.pair] |= shift<f.code_bit - f.word_bit>(words[f.word]) & (mask * kHalves);
}

/// Packs kRows rows of 16 codes into lanes of A, B and C.
template <class Swizzle, size_t... i>
inline void pack_rows(const uint8_t* codes, int64_t stride, uint8_t* lanes,
                      std::index_sequence<i...>) noexcept {
    Rows quads[4];  // quads[q]: codes 4q..4q+3 of each row, one per byte
    for (int r = 0; r < 4; ++r)
        quads[r] = load_codes(codes, stride, r);
    transpose(quads);
    Rows pairs[8];  // an even and an odd code at bits 0 and 16, among bits that the fields mask off
    for (int q = 0; q < 4; ++q) {
        const Rows low = quads[q] & 0xFFFF, high = quads[q] >> 16;
        pairs[2 * q] = renumber(Swizzle{}, low | low << 8);
        pairs[2 * q + 1] = renumber(Swizzle{}, high | high << 8);
    }
    Rows words[3] = {};
    (pack_field<Swizzle, i>(pairs, words), ...);
    fold_spare(Swizzle{}, words);
    for (int w = 0; w < 3; ++w)
        store(lanes + w * (kTileRows * 4), words[w]);
}

/// Inverse of pack_rows.
template <class Swizzle, size_t... i>
inline void unpack_rows(const uint8_t* lanes, uint8_t* codes, int64_t stride,
                        std::index_sequence<i...>) noexcept {
    Rows words[3];
    for (int w = 0; w < 3; ++w)
        words[w] = load(lanes + w * (kTileRows * 4));
    fold_spare(Swizzle{}, words);
    Rows pairs[8] = {};
    (unpack_field<Swizzle, i>(words, pairs), ...);
    for (Rows& pair : pairs)
        pair = number_back(Swizzle{}, pair);
    Rows quads[4];
    for (int q = 0; q < 4; ++q) {
        const Rows low = pairs[2 * q] | pairs[2 * q] >> 8;
        const Rows high = pairs[2 * q + 1] | pairs[2 * q + 1] >> 8;
        quads[q] = (low & 0xFFFF) | high << 16;
    }
    transpose(quads);
    for (int r = 0; r < 4; ++r)
        store_codes(quads[r], codes, stride, r);
}

template <class Swizzle>
using FieldIndices = std::make_index_sequence<std::size(Swizzle::kFields)>;

/// Calls body(row, k) for each kRows rows of each tile, a cache line's 64 columns at a time: rows a
/// power of two apart share cache sets, and then only kRows lines of codes must stay at once.
template <class Body>
inline void for_each_rows(int64_t cols, const Body& body) noexcept {
    constexpr int64_t kLine = 64;
    for (int64_t first = 0; first < cols; first += kLine) {
        const int64_t end = cols < first + kLine ? cols : first + kLine;
        for (int row = 0; row < kTileRows; row += kRows) {
            for (int64_t k = first; k < end; k += kTileCols)
                body(row, k);
        }
    }
}

/// Where kRows rows' lanes of a tile's A start.
inline int64_t lanes_offset(int row, int64_t k) noexcept {
    return k / kTileCols * kTileBytes + row * 4;
}

template <class Swizzle>
void pack_tiles(const uint8_t* codes, int64_t stride, int64_t cols, uint8_t* tiles) noexcept {
    for_each_rows(cols, [&](int row, int64_t k) {
        pack_rows<Swizzle>(codes + row * stride + k, stride, tiles + lanes_offset(row, k),
                           FieldIndices<Swizzle>{});
    });
}

template <class Swizzle>
void unpack_tiles(const uint8_t* tiles, int64_t cols, uint8_t* codes, int64_t stride) noexcept {
    for_each_rows(cols, [&](int row, int64_t k) {
        unpack_rows<Swizzle>(tiles + lanes_offset(row, k), codes + row * stride + k, stride,
                             FieldIndices<Swizzle>{});
    });
}

/// Calls visitor(P16{}), visitor(S16E3M2{}), visitor(S16E2M3{}) or visitor(S8{}).
template <class Visitor>
void visit(CpuSwizzle swizzle, TileFamily family, Visitor visitor) noexcept {
    if (swizzle == CpuSwizzle::kP16) {
        visitor(P16{});
    } else if (swizzle == CpuSwizzle::kS8) {
        visitor(S8{});
    } else if (family == TileFamily::kE3M2) {
        visitor(S16E3M2{});
    } else {
        visitor(S16E2M3{});
    }
}

void pack(CpuSwizzle swizzle, TileFamily family, const uint8_t* codes, int64_t stride, int64_t cols,
          uint8_t* tiles) noexcept {
    visit(swizzle, family,
          [&](auto which) { pack_tiles<decltype(which)>(codes, stride, cols, tiles); });
}

void unpack(CpuSwizzle swizzle, TileFamily family, const uint8_t* tiles, int64_t cols,
            uint8_t* codes, int64_t stride) noexcept {
    visit(swizzle, family,
          [&](auto which) { unpack_tiles<decltype(which)>(tiles, cols, codes, stride); });
}

}  // namespace

constexpr TilePacking FP6LLM_TILE_PACKING = {pack, unpack};

}  // namespace fp6llm
