// The GPU layout L3 on the host: the picture in core/prepack/cuda/l3.hpp, bit for bit; each code at
// each place; what makes the layout worth its while: masked, an E3M2 code is a half or a bfloat16.
// And the transcoding of narrow formats.
#include "core/prepack/cuda/l3.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/common/float16.hpp"
#include "core/formats/format.hpp"
#include "core/prepack/cuda/held_codes.hpp"

namespace fp6llm::cuda {
namespace {

constexpr L3Tag kTags[] = {L3Tag::kF16, L3Tag::kBF16};

/// The picture, from bit 15 down. Upper case: the weight; then s or the number of its bit.
constexpr const char* kF16Word = "As .. .. A4 A3 A2 A1 A0 Bs .. .. B4 B3 B2 B1 B0";
constexpr const char* kF16Spare = "Cs .. .. C4 C3 C2 C1 C0 Ds .. .. D4 D3 D2 D1 D0";
constexpr const char* kBF16Word = "As .. .. .. .. Bs A4 A3 A2 A1 A0 B4 B3 B2 B1 B0";
constexpr const char* kBF16Spare = "Cs .. .. .. .. Ds C4 C3 C2 C1 C0 D4 D3 D2 D1 D0";

const char* word_picture(L3Tag tag) {
    return tag == L3Tag::kF16 ? kF16Word : kBF16Word;
}
const char* spare_picture(L3Tag tag) {
    return tag == L3Tag::kF16 ? kF16Spare : kBF16Spare;
}

/// A triple by the header's picture and nothing else: rotations 2, 4, 6 (4, 8, 12) bring the spare
/// bits home, and each bit of T has one word.
uint32_t rotate_left(uint32_t word, int by) {
    return word << by | word >> (32 - by);
}

uint16_t draw(const char* picture, uint32_t first, uint32_t second) {
    uint16_t half = 0;
    for (int bit = 15; bit >= 0; --bit) {
        const char* at = picture + 3 * (15 - bit);
        if (at[0] == '.') continue;
        const uint32_t code = (at[0] == 'A' || at[0] == 'C') ? first : second;
        const int of_code = at[1] == 's' ? 5 : at[1] - '0';
        half = static_cast<uint16_t>(half | (code >> of_code & 1u) << bit);
    }
    return half;
}

std::array<uint8_t, 16> random_codes(std::mt19937& random) {
    std::array<uint8_t, 16> codes;
    for (uint8_t& code : codes)
        code = static_cast<uint8_t>(random() & 63u);
    return codes;
}

uint32_t drawn_bits(const char* picture) {
    uint32_t bits = 0;
    for (int bit = 15; bit >= 0; --bit) {
        if (picture[3 * (15 - bit)] != '.') bits |= 0x10001u << bit;
    }
    return bits;
}

TEST(L3, WordsAreThePicture) {
    std::mt19937 random(1);
    for (const L3Tag tag : kTags) {
        const int step = tag == L3Tag::kF16 ? 2 : 4;
        const uint32_t taken = drawn_bits(word_picture(tag));
        for (int round = 0; round < 1000; ++round) {
            const auto codes = random_codes(random);
            uint32_t words[3];
            l3_pack_triple(tag, codes.data(), words);
            uint32_t spare = 0, spare_seen = 0;
            for (int p = 0; p < 3; ++p) {
                uint32_t expected = 0;
                for (int half = 0; half < 2; ++half) {
                    expected |= uint32_t{draw(word_picture(tag), codes[4 * p + half],
                                              codes[4 * p + 2 + half])}
                                << (16 * half);
                }
                ASSERT_EQ(words[p] & taken, expected);
                const uint32_t brought = rotate_left(words[p] & ~taken, step * (p + 1));
                ASSERT_EQ(spare & brought, 0u);  // each bit of T has one home
                spare |= brought;
                spare_seen |= rotate_left(~taken, step * (p + 1));
            }
            uint32_t expected = 0;
            for (int half = 0; half < 2; ++half) {
                expected |= uint32_t{draw(spare_picture(tag), codes[12 + half], codes[14 + half])}
                            << (16 * half);
            }
            ASSERT_EQ(spare, expected);
            ASSERT_EQ(spare_seen & drawn_bits(spare_picture(tag)), drawn_bits(spare_picture(tag)));
        }
    }
}

TEST(L3, EachCodeAtEachPlaceComesBack) {
    for (const L3Tag tag : kTags) {
        for (int place = 0; place < 16; ++place) {
            for (int code = 0; code < 64; ++code) {
                for (const int others : {0, 63}) {
                    uint8_t codes[16], back[16];
                    std::fill(codes, codes + 16, static_cast<uint8_t>(others));
                    codes[place] = static_cast<uint8_t>(code);
                    uint32_t words[3];
                    l3_pack_triple(tag, codes, words);
                    l3_unpack_triple(tag, words, back);
                    ASSERT_TRUE(std::equal(codes, codes + 16, back)) << place << " " << code;
                }
            }
        }
    }
}

TEST(L3, TheExampleOfTheDocs) {
    const L3Place first = l3_place(0, 0), second = l3_place(0, 1);
    EXPECT_EQ(first.thread + first.triple + first.pair + first.half, 0);
    EXPECT_EQ(second.thread + second.triple + second.pair, 0);
    EXPECT_EQ(second.half, 1);
    const uint8_t codes[16] = {0b100110, 0b000001};
    uint32_t words[3];
    l3_pack_triple(L3Tag::kF16, codes, words);
    EXPECT_EQ(words[0], 0x01008600u);
    EXPECT_EQ(words[1] | words[2], 0u);
}

TEST(L3, AllBitsOfATripleAreUsed) {
    for (const L3Tag tag : kTags) {
        uint8_t codes[16];
        uint32_t words[3];
        std::fill(codes, codes + 16, uint8_t{63});
        l3_pack_triple(tag, codes, words);
        for (const uint32_t word : words)
            EXPECT_EQ(word, 0xFFFFFFFFu);
    }
}

TEST(L3, PlacesAreTheFragmentsOfMma) {
    std::vector<int> seen(kUnitBytes * 8 / 6, 0);
    for (int row = 0; row < kUnitRows; ++row) {
        for (int col = 0; col < kUnitCols; ++col) {
            const L3Place at = l3_place(row, col);
            EXPECT_EQ(l3_row(at), row);
            EXPECT_EQ(l3_col(at), col);
            // PTX ISA, fragment A of m16n8k16: register 0 (row g, k 2j..), 1 (row g + 8), 2 (k +
            // 8), 3.
            const int lane = at.thread % 32, step = 2 * at.triple + at.pair / 4, a = at.pair % 4;
            EXPECT_EQ(row, 16 * (at.thread / 32) + lane / 4 + (a % 2) * 8);
            EXPECT_EQ(col, 16 * step + lane % 4 * 2 + at.half + (a / 2) * 8);
            seen[static_cast<size_t>(((at.thread * 4 + at.triple) * 8 + at.pair) * 2 + at.half)]++;
        }
    }
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
    EXPECT_EQ(l3_word_offset(2, 127, 3), kUnitBytes - 4);
}

/// Bits 15..0 of a place's half after the mask, pattern B shifted up to A's place first.
uint16_t masked(L3Tag tag, int pair, int half, uint8_t code) {
    uint8_t codes[16];
    std::fill(codes, codes + 16, uint8_t{63});
    codes[2 * pair + half] = code;
    uint32_t words[3];
    l3_pack_triple(tag, codes, words);
    const L3Pattern pattern = l3_pattern(tag);
    uint32_t word = pair < 6 ? words[pair / 2] : 0;
    for (int p = 0; p < 3 && pair >= 6; ++p)
        word |= rotate_left(words[p], pattern.rotation[p]) & pattern.mask[p];
    if (pair % 2 != 0) word <<= pattern.sign_a - pattern.sign_b;
    return static_cast<uint16_t>((word & l3_mask(tag)) >> (16 * half));
}

TEST(L3, AMaskedE3M2CodeIsAFloat) {
    const FormatInfo& e3m2 = *find_format(DataType::kE3M2);
    for (int pair = 0; pair < 8; ++pair) {
        for (int half = 0; half < 2; ++half) {
            for (unsigned code = 0; code < 64; ++code) {
                const auto byte = static_cast<uint8_t>(code);
                const uint16_t f16 = masked(L3Tag::kF16, pair, half, byte);
                const uint16_t bf16 = masked(L3Tag::kBF16, pair, half, byte);
                EXPECT_EQ(half_to_float(f16), std::ldexp(e3m2.values[code], -12));
                EXPECT_EQ(std::signbit(half_to_float(f16)), (code & 32) != 0);
                EXPECT_EQ(bf16_to_float(bf16), std::ldexp(e3m2.values[code], -124));
                EXPECT_EQ(std::signbit(bf16_to_float(bf16)), (code & 32) != 0);
            }
        }
    }
}

TEST(L3, HeldCodesHaveTheSameValue) {
    for (const FormatInfo& format : all_formats()) {
        const Holding holding = holding_of(format.type);
        const FormatInfo& held = *find_format(
            held_format(format.type) == L3Format::kE2M3 ? DataType::kE2M3 : DataType::kE3M2);
        for (uint32_t code = 0; code < (1u << format.bits); ++code) {
            const uint32_t six = hold_code(holding, code);
            ASSERT_LT(six, 64u);
            EXPECT_EQ(held.values[six], format.values[code]) << format.name << " " << code;
            EXPECT_EQ(std::signbit(held.values[six]), std::signbit(format.values[code]));
            EXPECT_EQ(release_code(holding, six), code) << format.name;
        }
        for (uint32_t six = 0; six < 64; ++six)
            EXPECT_LT(release_code(holding, six), 1u << format.bits) << format.name;
    }
}

}  // namespace
}  // namespace fp6llm::cuda
