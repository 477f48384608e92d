// CPU tiles: every bit lies where docs/layouts.md draws it, everything packed comes back, and S16's
// fields are the floats that the AVX2 kernels take them for.
#include "core/prepack/cpu_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "core/common/float16.hpp"
#include "core/common/math.hpp"
#include "tests/unit/prepack/layout_testing.hpp"

namespace fp6llm {
namespace {

struct Layout {
    const char* name;
    CpuSwizzle swizzle;
    TileFamily family;
    /// The bits of A, B, C's half-words from bit 15 down to bit 0, as "pair.bit" of the codes.
    const char* diagram[3];
    /// What docs/layouts.md adds to the spare bits of A, B and C.
    void (*fold)(uint16_t& a, uint16_t& b, uint16_t& c);
    /// The number that the layout gives a code; the diagram's bits are of that.
    int (*number)(int code);
};

int bit_of(int word, int bit) {
    return word >> bit & 1;
}

void fold_nothing(uint16_t&, uint16_t&, uint16_t&) {}

void fold_e3m2(uint16_t& a, uint16_t& b, uint16_t& c) {
    c = static_cast<uint16_t>(c ^ bit_of(a, 15) << 11 ^ bit_of(b, 15) << 12);
    if (bit_of(c, 10) == 0) {
        a = static_cast<uint16_t>(a ^ bit_of(c, 6) << 13);
        b = static_cast<uint16_t>(b ^ bit_of(c, 5) << 13);
    }
}

void fold_e2m3(uint16_t& a, uint16_t& b, uint16_t& c) {
    c = static_cast<uint16_t>(c ^ bit_of(a, 11) << 3 ^ bit_of(b, 11) << 2 ^ bit_of(b, 4) << 1 ^
                              bit_of(a, 4));
}

void fold_bytes(uint16_t& a, uint16_t& b, uint16_t& c) {
    const uint16_t a0 = a, b0 = b, c0 = c;
    for (int i = 0; i < 2; ++i) {
        a = static_cast<uint16_t>(a ^ (bit_of(b0, 10 + i) ^ bit_of(c0, 8 + i)) << (4 + i));
        b = static_cast<uint16_t>(b ^ bit_of(c0, 2 + i) << (4 + i) ^
                                  (bit_of(c0, 10 + i) ^ bit_of(a0, 6 + i)) << (12 + i));
        c = static_cast<uint16_t>(c ^ (bit_of(a0, i) ^ bit_of(b0, 6 + i)) << (4 + i) ^
                                  (bit_of(a0, 8 + i) ^ bit_of(b0, 14 + i)) << (12 + i));
    }
}

int as_it_is(int code) {
    return code;
}

int renumbered(int code) {
    const int sign = code >> 5, q = code & 31, flag = q >= 1 && q <= 16;
    return sign << 5 | (sign ^ flag) << 4 | (flag ? 16 - q : q) % 16;
}

const Layout kLayouts[] = {
    {"P16_E3M2",
     CpuSwizzle::kP16,
     TileFamily::kE3M2,
     {"6.3 6.2 6.1 6.0 1.5 1.4 1.3 1.2 1.1 1.0 0.5 0.4 0.3 0.2 0.1 0.0",
      "7.3 7.2 7.1 7.0 3.5 3.4 3.3 3.2 3.1 3.0 2.5 2.4 2.3 2.2 2.1 2.0",
      "7.5 7.4 6.5 6.4 5.5 5.4 5.3 5.2 5.1 5.0 4.5 4.4 4.3 4.2 4.1 4.0"},
     fold_nothing,
     as_it_is},
    {"P16_E2M3",
     CpuSwizzle::kP16,
     TileFamily::kE2M3,
     {"6.3 6.2 6.1 6.0 1.5 1.4 1.3 1.2 1.1 1.0 0.5 0.4 0.3 0.2 0.1 0.0",
      "7.3 7.2 7.1 7.0 3.5 3.4 3.3 3.2 3.1 3.0 2.5 2.4 2.3 2.2 2.1 2.0",
      "7.5 7.4 6.5 6.4 5.5 5.4 5.3 5.2 5.1 5.0 4.5 4.4 4.3 4.2 4.1 4.0"},
     fold_nothing,
     as_it_is},
    {"S16_E3M2",
     CpuSwizzle::kS16,
     TileFamily::kE3M2,
     {"0.5 6.3 6.2 6.1 6.0 1.5 0.4 0.3 0.2 0.1 0.0 1.4 1.3 1.2 1.1 1.0",
      "2.5 7.3 7.2 7.1 7.0 3.5 2.4 2.3 2.2 2.1 2.0 3.4 3.3 3.2 3.1 3.0",
      "4.5 6.5 7.5 7.4 6.4 5.5 4.4 4.3 4.2 4.1 4.0 5.4 5.3 5.2 5.1 5.0"},
     fold_e3m2,
     as_it_is},
    {"S16_E2M3",
     CpuSwizzle::kS16,
     TileFamily::kE2M3,
     {"0.5 1.5 1.4 1.3 1.2 1.1 1.0 0.4 0.3 0.2 0.1 0.0 6.3 6.2 6.1 6.0",
      "2.5 3.5 3.4 3.3 3.2 3.1 3.0 2.4 2.3 2.2 2.1 2.0 7.3 7.2 7.1 7.0",
      "4.5 5.5 5.4 5.3 5.2 5.1 5.0 4.4 4.3 4.2 4.1 4.0 6.5 7.5 7.4 6.4"},
     fold_e2m3,
     as_it_is},
    {"S8_E2M3",
     CpuSwizzle::kS8,
     TileFamily::kE2M3,
     {"1.5 1.4 7.5 7.4 1.3 1.2 1.1 1.0 0.5 0.4 6.5 6.4 0.3 0.2 0.1 0.0",
      "3.5 3.4 7.1 7.0 3.3 3.2 3.1 3.0 2.5 2.4 6.1 6.0 2.3 2.2 2.1 2.0",
      "5.5 5.4 7.3 7.2 5.3 5.2 5.1 5.0 4.5 4.4 6.3 6.2 4.3 4.2 4.1 4.0"},
     fold_bytes,
     renumbered},
};

class CpuTile : public testing::TestWithParam<Layout> {
  protected:
    void pack(const uint8_t* codes, int64_t stride, int64_t cols, uint8_t* tiles) const {
        pack_panel(GetParam().swizzle, GetParam().family, codes, stride, cols, tiles);
    }
    void unpack(const uint8_t* tiles, int64_t cols, uint8_t* codes, int64_t stride) const {
        unpack_panel(GetParam().swizzle, GetParam().family, tiles, cols, codes, stride);
    }
};

INSTANTIATE_TEST_SUITE_P(Layouts, CpuTile, testing::ValuesIn(kLayouts),
                         [](const auto& test) { return std::string(test.param.name); });

/// Word and bit of a code's bit, read off the diagram.
struct Place {
    int word, bit;
};
std::vector<Place> places_of(const Layout& layout) {
    std::vector<Place> places(8 * 6, {-1, -1});
    for (int word = 0; word < 3; ++word) {
        std::istringstream diagram(layout.diagram[word]);
        std::string token;
        for (int bit = 15; diagram >> token; --bit) {
            places[static_cast<size_t>((token[0] - '0') * 6 + (token[2] - '0'))] = {word, bit};
        }
    }
    return places;
}

TEST_P(CpuTile, EachBitLiesWhereTheDiagramHasIt) {
    const std::vector<Place> places = places_of(GetParam());
    for (int row = 0; row < kTileRows; ++row) {
        for (int k = 0; k < kTileCols; ++k) {
            for (int bit = 0; bit < 6; ++bit) {
                uint8_t codes[kTileRows * kTileCols] = {};
                codes[row * kTileCols + k] = static_cast<uint8_t>(1 << bit);
                uint16_t tile[3][kTileRows][2];
                pack(codes, kTileCols, kTileCols, reinterpret_cast<uint8_t*>(tile));

                uint16_t expected[3][kTileRows][2] = {};
                const int number = GetParam().number(1 << bit);
                for (int i = 0; i < 6; ++i) {
                    const Place place = places[static_cast<size_t>(k / 2 * 6 + i)];
                    uint16_t& half = expected[place.word][row][k % 2];
                    half = static_cast<uint16_t>(half | bit_of(number, i) << place.bit);
                }
                GetParam().fold(expected[0][row][k % 2], expected[1][row][k % 2],
                                expected[2][row][k % 2]);
                ASSERT_EQ(std::memcmp(tile, expected, sizeof tile), 0)
                    << "row " << row << " k " << k << " bit " << bit;
            }
        }
    }
}

TEST_P(CpuTile, RandomTilesAreTheDiagramFolded) {
    const std::vector<Place> places = places_of(GetParam());
    const std::vector<uint8_t> codes = make_codes(6, kTileRows * kTileCols);
    uint16_t tile[3][kTileRows][2];
    pack(codes.data(), kTileCols, kTileCols, reinterpret_cast<uint8_t*>(tile));
    for (int row = 0; row < kTileRows; ++row) {
        for (int odd = 0; odd < 2; ++odd) {
            uint16_t expected[3] = {};
            for (int i = 0; i < 8 * 6; ++i) {
                const int code = GetParam().number(
                    codes[static_cast<size_t>(row * kTileCols + i / 6 * 2 + odd)]);
                const Place place = places[static_cast<size_t>(i)];
                expected[place.word] =
                    static_cast<uint16_t>(expected[place.word] | bit_of(code, i % 6) << place.bit);
            }
            GetParam().fold(expected[0], expected[1], expected[2]);
            for (int word = 0; word < 3; ++word)
                EXPECT_EQ(tile[word][row][odd], expected[word]) << row << " " << odd << " " << word;
        }
    }
}

TEST_P(CpuTile, EachCodeAtEachPositionComesBack) {
    for (int position = 0; position < kTileRows * kTileCols; ++position) {
        for (int code = 0; code < 64; ++code) {
            uint8_t codes[kTileRows * kTileCols] = {};
            codes[position] = static_cast<uint8_t>(code);
            uint8_t tile[kTileBytes], back[sizeof codes];
            pack(codes, kTileCols, kTileCols, tile);
            unpack(tile, kTileCols, back, kTileCols);
            ASSERT_EQ(std::memcmp(codes, back, sizeof codes), 0) << position << " " << code;
        }
    }
}

TEST_P(CpuTile, AnyWidthAndStrideComesBackWithinItsBounds) {
    for (const int64_t cols : {1, 2, 15, 16, 17, 31, 32, 33, 100, 576, 1536}) {
        const int64_t padded = round_up(cols, kTileCols);
        for (const int64_t stride : {padded, padded + 1, padded + 77}) {
            std::vector<uint8_t> codes = make_codes(6, kTileRows * stride);
            for (int64_t r = 0; r < kTileRows; ++r) {
                std::fill(&codes[static_cast<size_t>(r * stride + cols)],
                          codes.data() + r * stride + padded, uint8_t{0});
            }
            Guarded tiles(static_cast<size_t>(padded / kTileCols * kTileBytes));
            pack(codes.data(), stride, cols, tiles.data());
            // Codes between a row's end and the next row are not unpack_panel's to write.
            std::vector<uint8_t> expected = codes, back(codes.size(), 0xEE);
            for (int64_t r = 0; r < kTileRows; ++r) {
                std::fill(expected.begin() + r * stride + padded,
                          expected.begin() + (r + 1) * stride, uint8_t{0xEE});
            }
            unpack(tiles.data(), cols, back.data(), stride);
            ASSERT_EQ(back, expected) << cols << " columns, stride " << stride;
        }
    }
}

/// Packs and unpacks a matrix panel by panel.
void expect_matrix_comes_back(const Layout& layout, int64_t rows, int64_t cols) {
    const int64_t padded = round_up(cols, kTileCols);
    const int64_t pool_rows = 63;  // rows repeat with an odd period, so that panels differ
    const std::vector<uint8_t> pool = make_codes(6, pool_rows * cols);
    std::vector<uint8_t> codes(static_cast<size_t>(kTileRows * padded)), back(codes.size());
    std::vector<uint8_t> tiles(static_cast<size_t>(padded / kTileCols * kTileBytes));
    for (int64_t row = 0; row < rows; row += kTileRows) {
        std::fill(codes.begin(), codes.end(), uint8_t{0});
        for (int64_t r = 0; r < std::min<int64_t>(kTileRows, rows - row); ++r) {
            std::memcpy(&codes[static_cast<size_t>(r * padded)],
                        &pool[static_cast<size_t>((row + r) % pool_rows * cols)],
                        static_cast<size_t>(cols));
        }
        pack_panel(layout.swizzle, layout.family, codes.data(), padded, cols, tiles.data());
        unpack_panel(layout.swizzle, layout.family, tiles.data(), cols, back.data(), padded);
        ASSERT_EQ(codes, back) << rows << " x " << cols << ", row " << row;
    }
}

TEST_P(CpuTile, WholeMatricesComeBack) {
    expect_matrix_comes_back(GetParam(), 1, 1);
    expect_matrix_comes_back(GetParam(), 17, 3);
    expect_matrix_comes_back(GetParam(), 576, 1536);
}

TEST(CpuTileHead, ALanguageModelsHeadComesBack) {
    expect_matrix_comes_back(kLayouts[0], 151936, 896);  // P16
    expect_matrix_comes_back(kLayouts[2], 151936, 896);  // S16
    expect_matrix_comes_back(kLayouts[4], 151936, 896);  // S8
}

/// table[low four bits] of each byte of `half` below 128, 0 for others, as `vpshufb` has it.
uint32_t look_up(const uint8_t (&table)[16], uint32_t half) {
    const auto entry = [&](uint32_t byte) { return byte < 128 ? uint32_t{table[byte & 15]} : 0; };
    return entry(half >> 8 & 255) << 8 | entry(half & 255);
}

/// Of the panel `tiles`, the half-word of vector `word` that holds a column of a row.
uint32_t half_word(const std::vector<uint16_t>& tiles, int row, int column, int word) {
    const int at = column / kTileCols * 96 + word * 32 + row * 2 + column % 2;
    return tiles[static_cast<size_t>(at)];
}

// The identities behind the kernels' decoding: what a shift, a mask and, for pairs 6 and 7, a
// look-up make of a half-word is the upper half of an fp32.
TEST(CpuTileS16, FieldsAreFloats) {
    for (const TileFamily family : {TileFamily::kE3M2, TileFamily::kE2M3}) {
        const bool e3m2 = family == TileFamily::kE3M2;
        const uint32_t mask = e3m2 ? 0x83E0u : 0x81F0u;
        const uint8_t high = e3m2 ? 2 : 1;
        uint8_t tables[2][16];
        for (int i = 0; i < 16; ++i) {
            tables[0][i] = static_cast<uint8_t>(bit_of(i, 3) << 7 | bit_of(i, 0) * high);
            tables[1][i] = static_cast<uint8_t>(bit_of(i, 2) << 7 | bit_of(i, 1) * high);
        }
        const std::vector<uint8_t> codes = make_codes(6, kTileRows * 64 * kTileCols);
        const int64_t stride = 64 * kTileCols;
        std::vector<uint16_t> tiles(64 * kTileBytes / 2);
        pack_panel(CpuSwizzle::kS16, family, codes.data(), stride, stride,
                   reinterpret_cast<uint8_t*>(tiles.data()));
        for (int row = 0; row < kTileRows; ++row) {
            for (int column = 0; column < stride; ++column) {
                const int pair = column % kTileCols / 2;
                const auto half = [&](int word) { return half_word(tiles, row, column, word); };
                uint32_t bits = 0;
                if (pair >= 6) {
                    const uint32_t low = e3m2 ? half(pair - 6) >> 6 : half(pair - 6) << 4;
                    bits =
                        low ^ look_up(tables[pair - 6], e3m2 ? half(2) >> 3 : half(2) << 8 & 0xF00);
                } else if (pair % 2 == 0) {
                    bits = half(pair / 2);
                } else if (e3m2) {
                    bits = half(pair / 2) << 5;
                } else {
                    bits = static_cast<uint32_t>(static_cast<int16_t>(half(pair / 2) << 1) >> 6);
                }
                const float placed = float_from_bits((bits & mask) << 16);
                const uint8_t code = codes[static_cast<size_t>(row * stride + column)];
                ASSERT_EQ(float_bits(std::ldexp(placed, e3m2 ? 124 : 126)),
                          float_bits(tile_values(family)[code]))
                    << "row " << row << " column " << column;
            }
        }
    }
}

// What the int8 kernels take a byte of S8 for: sign, flag and n, of which a table makes the value; and the
// bytes of pairs 6 and 7.
TEST(CpuTileS8, BytesAreValues) {
    int table[16] = {-16};
    for (int n = 1; n < 16; ++n)
        table[n] = (n < 8 ? 16 + 2 * n : 32 + 4 * (n - 8)) + n - 16;
    const std::vector<uint8_t> codes = make_codes(6, kTileRows * 64 * kTileCols);
    const int64_t stride = 64 * kTileCols;
    std::vector<uint16_t> tiles(64 * kTileBytes / 2);
    pack_panel(CpuSwizzle::kS8, TileFamily::kE2M3, codes.data(), stride, stride,
               reinterpret_cast<uint8_t*>(tiles.data()));
    for (int row = 0; row < kTileRows; ++row) {
        for (int column = 0; column < stride; ++column) {
            const int pair = column % kTileCols / 2;
            const auto half = [&](int word) { return half_word(tiles, row, column, word); };
            const uint32_t both =
                pair < 6 ? half(pair / 2) : half(0) << 2 ^ half(1) >> 4 ^ half(2) >> 2;
            const int byte = static_cast<int>(both >> pair % 2 * 8 & 0xFF);
            const int sign = bit_of(byte, 7), flag = sign ^ bit_of(byte, 6), n = byte & 15;
            const int magnitude = (flag ? 0 : table[n]) + 16 - n;
            const uint8_t code = codes[static_cast<size_t>(row * stride + column)];
            ASSERT_EQ(sign ? -magnitude : magnitude,
                      static_cast<int>(8 * tile_values(TileFamily::kE2M3)[code]));
            ASSERT_EQ(sign, code >> 5);
            // The kernels negate where bit 7 is set, and take zero where the byte is zero.
            ASSERT_TRUE(byte != 0 || magnitude == 0);
        }
    }
}

// The example of docs/layouts.md: row 3 with 0x26 at k = 12 and 0x1B at k = 13, the two of pair 6.
TEST(CpuTileExample, Pair6) {
    struct Expected {
        CpuSwizzle swizzle;
        TileFamily family;
        uint32_t a, c;
        uint32_t b = 0;
    };
    for (const Expected& e :
         {Expected{CpuSwizzle::kP16, TileFamily::kE3M2, 0xB0006000u, 0x10002000u},
          {CpuSwizzle::kS16, TileFamily::kE3M2, 0x58003000u, 0x08004000u},
          {CpuSwizzle::kS16, TileFamily::kE2M3, 0x000B0006u, 0x00010008u},
          {CpuSwizzle::kS8, TileFamily::kE2M3, 0x00000020u, 0x00200020u, 0x00300020u}}) {
        uint8_t codes[kTileRows][kTileCols] = {};
        codes[3][12] = 0x26;
        codes[3][13] = 0x1B;
        uint32_t tile[3][kTileRows];
        pack_panel(e.swizzle, e.family, codes[0], kTileCols, kTileCols,
                   reinterpret_cast<uint8_t*>(tile));
        uint32_t expected[3][kTileRows] = {};
        expected[0][3] = e.a;
        expected[1][3] = e.b;
        expected[2][3] = e.c;
        EXPECT_EQ(std::memcmp(tile, expected, sizeof tile), 0);
    }
}

// P16's promise: the low six bits of these words are the codes of pairs 0 to 7.
TEST(CpuTileP16, ShiftsGiveTableIndices) {
    const std::vector<uint8_t> codes = make_codes(6, kTileRows * kTileCols);
    uint32_t tile[3][kTileRows];
    pack_panel(CpuSwizzle::kP16, TileFamily::kE2M3, codes.data(), kTileCols, kTileCols,
               reinterpret_cast<uint8_t*>(tile));
    for (int row = 0; row < kTileRows; ++row) {
        for (int odd = 0; odd < 2; ++odd) {
            const uint32_t a = tile[0][row] >> 16 * odd & 0xFFFF;
            const uint32_t b = tile[1][row] >> 16 * odd & 0xFFFF;
            const uint32_t c = tile[2][row] >> 16 * odd & 0xFFFF;
            const uint32_t index[8] = {a,
                                       a >> 6,
                                       b,
                                       b >> 6,
                                       c,
                                       c >> 6,
                                       a >> 12 | (c >> 8 & 0xFFF0),
                                       b >> 12 | (c >> 10 & 0xFFF0)};
            for (int pair = 0; pair < 8; ++pair) {
                EXPECT_EQ(index[pair] & 63, codes[static_cast<size_t>(row * 16 + pair * 2 + odd)])
                    << "row " << row << " pair " << pair;
            }
        }
    }
}

TEST(TileCoding, WideningKeepsEveryValue) {
    for (const FormatInfo& format : all_formats()) {
        const TileCoding coding = tile_coding(format);
        for (int code = 0; code < 1 << format.bits; ++code) {
            const int tile_code = code << coding.shift;
            ASSERT_LT(tile_code, 64) << format.name;
            EXPECT_EQ(float_bits(tile_values(coding.family)[tile_code]),
                      float_bits(format.values[code]))
                << format.name << " code " << code;
        }
    }
}

TEST(TileCoding, FamiliesAndShifts) {
    struct Row {
        DataType type;
        TileFamily family;
        int shift;
    };
    for (const Row& row : {Row{DataType::kE3M2, TileFamily::kE3M2, 0},
                           {DataType::kE3M1, TileFamily::kE3M2, 1},
                           {DataType::kE2M3, TileFamily::kE2M3, 0},
                           {DataType::kE2M2, TileFamily::kE2M3, 1},
                           {DataType::kE2M1, TileFamily::kE2M3, 2}}) {
        const TileCoding coding = tile_coding(*find_format(row.type));
        EXPECT_EQ(coding.family, row.family) << find_format(row.type)->name;
        EXPECT_EQ(coding.shift, row.shift) << find_format(row.type)->name;
    }
}

}  // namespace
}  // namespace fp6llm
