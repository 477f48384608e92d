// Plain codes against the bit-by-bit definition of the stream, in exactly sized buffers.
#include "core/formats/plain_codes.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace fp6llm {
namespace {

/// Bit b of code i is bit i * bits + b of the stream, lowest bits of a byte first.
std::vector<uint8_t> pack_bit_by_bit(const std::vector<uint8_t>& codes, int bits) {
    std::vector<uint8_t> packed((codes.size() * static_cast<size_t>(bits) + 7) / 8);
    for (size_t i = 0; i < codes.size(); ++i) {
        for (int b = 0; b < bits; ++b) {
            const size_t at = i * static_cast<size_t>(bits) + static_cast<size_t>(b);
            packed[at / 8] |= static_cast<uint8_t>((codes[i] >> b & 1) << at % 8);
        }
    }
    return packed;
}

TEST(PlainCodes, EveryLengthMatchesTheBitStream) {
    std::mt19937 random(1);
    for (const int bits : {4, 5, 6}) {
        for (int64_t count = 0; count < 200; ++count) {
            std::vector<uint8_t> codes(static_cast<size_t>(count));
            for (uint8_t& code : codes)
                code = static_cast<uint8_t>(random() & ((1u << bits) - 1));
            const std::vector<uint8_t> expected = pack_bit_by_bit(codes, bits);

            std::vector<uint8_t> packed(expected.size(), 0xAA);
            pack_codes(codes.data(), bits, count, packed.data());
            EXPECT_EQ(packed, expected) << bits << " bits, " << count << " codes";

            std::vector<uint8_t> unpacked(codes.size(), 0xAA);
            unpack_codes(packed.data(), bits, count, unpacked.data());
            EXPECT_EQ(unpacked, codes) << bits << " bits, " << count << " codes";
        }
    }
}

TEST(PlainCodes, EachCodeAtEachPositionComesBack) {
    for (const int bits : {4, 5, 6}) {
        for (size_t position = 0; position < 40; ++position) {
            for (int code = 0; code < 1 << bits; ++code) {
                std::vector<uint8_t> codes(40), unpacked(40);
                codes[position] = static_cast<uint8_t>(code);
                std::vector<uint8_t> packed(static_cast<size_t>(5 * bits));
                pack_codes(codes.data(), bits, 40, packed.data());
                ASSERT_EQ(packed, pack_bit_by_bit(codes, bits)) << position << " " << code;
                unpack_codes(packed.data(), bits, 40, unpacked.data());
                ASSERT_EQ(unpacked, codes) << position << " " << code;
            }
        }
    }
}

TEST(PlainCodes, TouchNothingAround) {
    for (const int bits : {4, 5, 6}) {
        for (int64_t count = 0; count < 40; ++count) {
            const size_t bytes = static_cast<size_t>((count * bits + 7) / 8);
            const std::vector<uint8_t> codes(static_cast<size_t>(count), 1);
            std::vector<uint8_t> packed(bytes + 16, 0xAA);
            pack_codes(codes.data(), bits, count, packed.data());
            for (size_t i = bytes; i < packed.size(); ++i)
                ASSERT_EQ(packed[i], 0xAA) << count;
            std::vector<uint8_t> unpacked(codes.size() + 16, 0xAA);
            unpack_codes(packed.data(), bits, count, unpacked.data());
            for (size_t i = codes.size(); i < unpacked.size(); ++i)
                ASSERT_EQ(unpacked[i], 0xAA);
        }
    }
}

// AMD Quark's MXFP6 order, as in its checkpoints.
TEST(PlainCodes, SixBitsAreQuarksOrder) {
    const uint8_t v[4] = {0x3A, 0x15, 0x2C, 0x07};
    uint8_t packed[3];
    pack_codes(v, 6, 4, packed);
    EXPECT_EQ(packed[0], static_cast<uint8_t>(v[0] | (v[1] & 3) << 6));
    EXPECT_EQ(packed[1], static_cast<uint8_t>(v[1] >> 2 | (v[2] & 15) << 4));
    EXPECT_EQ(packed[2], static_cast<uint8_t>(v[2] >> 4 | v[3] << 2));
}

}  // namespace
}  // namespace fp6llm
