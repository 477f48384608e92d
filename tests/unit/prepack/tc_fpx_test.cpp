// TC_FPX: bit for bit the original fp6_llm packer's buffer, both ways (golden vectors of
// tests/data/tc_fpx), and the formula of docs/layouts.md for every format.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "core/common/thread_pool.hpp"
#include "tests/unit/prepack/layout_testing.hpp"

namespace fp6llm {
namespace {

constexpr PackedLayout kLayout = PackedLayout::kTcFpx;

struct Golden {
    const char* file;
    DataType type;
    int64_t rows, cols;
};

class TcFpxGolden : public testing::TestWithParam<Golden> {};

INSTANTIATE_TEST_SUITE_P(Original, TcFpxGolden,
                         testing::Values(Golden{"e3m2_64x64", DataType::kE3M2, 64, 64},
                                         Golden{"e3m2_128x192", DataType::kE3M2, 128, 192},
                                         Golden{"e3m2_256x64", DataType::kE3M2, 256, 64},
                                         Golden{"e2m2_64x64", DataType::kE2M2, 64, 64},
                                         Golden{"e2m2_128x192", DataType::kE2M2, 128, 192},
                                         Golden{"e2m2_256x64", DataType::kE2M2, 256, 64}),
                         [](const auto& test) { return std::string(test.param.file); });

TEST_P(TcFpxGolden, EqualsTheOriginalBothWays) {
    const Golden& golden = GetParam();
    const FormatInfo& format = *find_format(golden.type);
    std::ifstream file(std::string(FP6LLM_TEST_DATA "/tc_fpx/") + golden.file + ".bin",
                       std::ios::binary);
    ASSERT_TRUE(file);
    const std::vector<uint8_t> original((std::istreambuf_iterator<char>(file)), {});
    const std::vector<uint8_t> plain = to_plain(make_codes(format.bits, golden.rows * golden.cols),
                                                format.bits, golden.rows, golden.cols);

    SerialExecutor serial;
    ASSERT_EQ(packed_layout_bytes(kLayout, format, golden.rows, golden.cols), original.size());
    EXPECT_EQ(pack_layout_guarded(kLayout, format, golden.rows, golden.cols, plain, serial),
              original);
    EXPECT_EQ(unpack_layout_guarded(kLayout, format, golden.rows, golden.cols, original, serial),
              plain);
}

/// Where the documented formula puts a piece of a code: byte of the buffer, lowest bit in that
/// byte.
struct Place {
    size_t byte;
    int shift;
};
Place place_of(int64_t row, int64_t col, int64_t cols, int64_t plane, int bits) {
    const int64_t block = row / 64 * (cols / 16) + col / 16;
    const int64_t lane = row % 8 * 4 + col % 8 / 2;
    const int64_t m = row / 8 % 2 * 2 + col % 2, r = row / 16 % 4 * 2 + col / 8 % 2;
    const int64_t word = block * bits + r * bits / 8;
    const int byte_of_member[] = {1, 3, 0, 2};
    return {static_cast<size_t>(plane + (word * 32 + lane) * 4 + byte_of_member[m]),
            8 - bits * static_cast<int>(r % (8 / bits) + 1)};
}

class TcFpxFormat : public testing::TestWithParam<DataType> {
  protected:
    const FormatInfo& format() const { return *find_format(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Formats, TcFpxFormat,
                         testing::Values(DataType::kE3M2, DataType::kE2M3, DataType::kE2M2,
                                         DataType::kE3M1),
                         [](const auto& test) { return find_format(test.param)->name; });

TEST_P(TcFpxFormat, EveryBitLiesWhereTheFormulaHasIt) {
    constexpr int64_t kRows = 128, kCols = 192;
    const int top_bits = format().bits - 4;
    const std::vector<uint8_t> codes = make_codes(format().bits, kRows * kCols, 7);
    std::vector<uint8_t> expected(static_cast<size_t>(kRows * kCols * format().bits / 8));
    for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = 0; c < kCols; ++c) {
            const int code = codes[static_cast<size_t>(r * kCols + c)];
            const Place top = place_of(r, c, kCols, 0, top_bits);
            const Place low = place_of(r, c, kCols, kRows * kCols * top_bits / 8, 4);
            expected[top.byte] |= static_cast<uint8_t>((code >> 4) << top.shift);
            expected[low.byte] |= static_cast<uint8_t>((code & 15) << low.shift);
        }
    }
    SerialExecutor serial;
    EXPECT_EQ(pack_layout_guarded(kLayout, format(), kRows, kCols,
                                  to_plain(codes, format().bits, kRows, kCols), serial),
              expected);
}

TEST_P(TcFpxFormat, EachCodeAtEachPositionComesBack) {
    // Shifting the codes by one from matrix to matrix brings each code to each position.
    const int count = 1 << format().bits;
    SerialExecutor serial;
    for (int first = 0; first < count; ++first) {
        std::vector<uint8_t> codes(64 * 64);
        for (size_t i = 0; i < codes.size(); ++i) {
            codes[i] =
                static_cast<uint8_t>((i + static_cast<size_t>(first)) % static_cast<size_t>(count));
        }
        const std::vector<uint8_t> plain = to_plain(codes, format().bits, 64, 64);
        const std::vector<uint8_t> packed =
            pack_layout_guarded(kLayout, format(), 64, 64, plain, serial);
        ASSERT_EQ(unpack_layout_guarded(kLayout, format(), 64, 64, packed, serial), plain);
    }
}

TEST_P(TcFpxFormat, ThreadsDoNotMatter) {
    SerialExecutor serial;
    BackwardExecutor backward;
    PoolExecutor pool(4);
    const int bits = format().bits;
    const std::vector<uint8_t> plain = to_plain(make_codes(bits, 576 * 1536), bits, 576, 1536);
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format(), 576, 1536, plain, serial);
    EXPECT_EQ(unpack_layout_guarded(kLayout, format(), 576, 1536, packed, serial), plain);
    for (Executor* executor : {static_cast<Executor*>(&backward), static_cast<Executor*>(&pool)}) {
        EXPECT_EQ(pack_layout_guarded(kLayout, format(), 576, 1536, plain, *executor), packed);
        EXPECT_EQ(unpack_layout_guarded(kLayout, format(), 576, 1536, packed, *executor), plain);
    }
}

TEST(TcFpx, TheWorkedExample) {
    const FormatInfo& format = *find_format(DataType::kE3M2);
    std::vector<uint8_t> codes(64 * 64);
    codes[25 * 64 + 10] = 0b100110;  // row 25, column 10
    SerialExecutor serial;
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format, 64, 64, to_plain(codes, 6, 64, 64), serial);
    std::vector<uint8_t> expected(3072);
    expected[20] = 0x02;
    expected[1024 + 148] = 0x06;
    EXPECT_EQ(packed, expected);
}

TEST(TcFpx, ALanguageModelsHeadComesBack) {
    constexpr int64_t kRows = 151936, kCols = 896;
    const FormatInfo& format = *find_format(DataType::kE3M2);
    PoolExecutor pool(default_thread_count());
    const std::vector<uint8_t> plain = make_codes(8, kRows * kCols * 6 / 8);
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format, kRows, kCols, plain, pool);
    EXPECT_EQ(unpack_layout_guarded(kLayout, format, kRows, kCols, packed, pool), plain);
}

TEST(TcFpx, RefusesWhatItCannotHold) {
    expect_refused(kLayout, DataType::kE2M1, 64, 64, Status::kNotSupported, "not E2M1");
    for (const int64_t size : {1, 63, 65, 96}) {
        expect_refused(kLayout, DataType::kE3M2, size, 64, Status::kNotSupported,
                       "multiples of 64");
        expect_refused(kLayout, DataType::kE2M2, 64, size, Status::kNotSupported,
                       "multiples of 64");
    }
    expect_refused(kLayout, DataType::kE3M2, int64_t{1} << 40, int64_t{1} << 40,
                   Status::kInvalidValue, "overflows");
    EXPECT_EQ(packed_layout_bytes(kLayout, *find_format(DataType::kE3M2), 0, 64), 0u);
    EXPECT_EQ(packed_layout_bytes(kLayout, *find_format(DataType::kE2M2), 64, 0), 0u);
}

}  // namespace
}  // namespace fp6llm
