// Packing of plain codes, eight at a time inside one 64-bit register: three rounds join neighbours
// into fields twice as wide, so any code width takes the same few instructions. Little endian.
#include "core/formats/plain_codes.hpp"

#include <cstring>

namespace fp6llm {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "codes are loaded as little-endian words");

constexpr int kBlock = 8;  // codes that make a whole number of bytes, whatever their width

/// `width` low bits set in every `period` bits.
constexpr uint64_t mask(int width, int period) noexcept {
    uint64_t bits = 0;
    for (int at = 0; at < 64; at += period)
        bits |= ((uint64_t{1} << width) - 1) << at;
    return bits;
}

template <int Bits>
uint64_t join(uint64_t x) noexcept {
    constexpr int kGap = 8 - Bits;
    x = (x & mask(Bits, 16)) | ((x >> kGap) & (mask(Bits, 16) << Bits));
    x = (x & mask(2 * Bits, 32)) | ((x >> 2 * kGap) & (mask(2 * Bits, 32) << 2 * Bits));
    return (x & mask(4 * Bits, 64)) | ((x >> 4 * kGap) & (mask(4 * Bits, 64) << 4 * Bits));
}

template <int Bits>
uint64_t spread(uint64_t x) noexcept {
    constexpr int kGap = 8 - Bits;
    x = (x & mask(4 * Bits, 64)) | ((x & (mask(4 * Bits, 64) << 4 * Bits)) << 4 * kGap);
    x = (x & mask(2 * Bits, 32)) | ((x & (mask(2 * Bits, 32) << 2 * Bits)) << 2 * kGap);
    return (x & mask(Bits, 16)) | ((x & (mask(Bits, 16) << Bits)) << kGap);
}

// All blocks but the last move whole words: the bytes beyond a block belong to the next one, which
// exists and is written later (pack) or simply masked off (unpack).

template <int Bits>
void pack(const uint8_t* codes, int64_t count, uint8_t* packed) noexcept {
    uint64_t x;
    for (; count >= 2 * kBlock; count -= kBlock, codes += kBlock, packed += Bits) {
        std::memcpy(&x, codes, sizeof x);
        x = join<Bits>(x);
        std::memcpy(packed, &x, sizeof x);
    }
    while (count > 0) {
        const int64_t part = count < kBlock ? count : kBlock;
        x = 0;
        std::memcpy(&x, codes, static_cast<size_t>(part));
        x = join<Bits>(x);
        std::memcpy(packed, &x, static_cast<size_t>((part * Bits + 7) / 8));
        count -= part, codes += part, packed += Bits;
    }
}

template <int Bits>
void unpack(const uint8_t* packed, int64_t count, uint8_t* codes) noexcept {
    uint64_t x;
    for (; count >= 2 * kBlock; count -= kBlock, codes += kBlock, packed += Bits) {
        std::memcpy(&x, packed, sizeof x);
        x = spread<Bits>(x);
        std::memcpy(codes, &x, sizeof x);
    }
    while (count > 0) {
        const int64_t part = count < kBlock ? count : kBlock;
        x = 0;
        std::memcpy(&x, packed, static_cast<size_t>((part * Bits + 7) / 8));
        x = spread<Bits>(x);
        std::memcpy(codes, &x, static_cast<size_t>(part));
        count -= part, codes += part, packed += Bits;
    }
}

}  // namespace

void pack_codes(const uint8_t* codes, int bits, int64_t count, uint8_t* packed) noexcept {
    if (bits == 6) return pack<6>(codes, count, packed);
    if (bits == 5) return pack<5>(codes, count, packed);
    pack<4>(codes, count, packed);
}

void unpack_codes(const uint8_t* packed, int bits, int64_t count, uint8_t* codes) noexcept {
    if (bits == 6) return unpack<6>(packed, count, codes);
    if (bits == 5) return unpack<5>(packed, count, codes);
    unpack<4>(packed, count, codes);
}

}  // namespace fp6llm
