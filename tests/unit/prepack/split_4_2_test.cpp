// SPLIT_4_2: every code's bits lie where the formula of docs/layouts.md puts them, padding is zero
// on export and ignored on import, and the result does not depend on the threads.
#include <gtest/gtest.h>

#include "core/common/thread_pool.hpp"
#include "tests/unit/prepack/layout_testing.hpp"

namespace fp6llm {
namespace {

constexpr PackedLayout kLayout = PackedLayout::kSplit42;

struct Shape {
    int64_t rows, cols;
    size_t bytes;
};

// Around the ends of bytes, planes and the 512 columns that the code handles at a time.
const Shape kShapes[] = {
    {1, 1, 65},          {1, 2, 65},
    {2, 4, 66},          {17, 3, 64 + 17},
    {5, 7, 64 + 10},     {64, 64, 3072},
    {3, 511, 768 + 384}, {3, 512, 768 + 384},
    {3, 513, 832 + 387}, {2, 1025, 1088 + 514},
    {576, 1536, 663552},
};

const FormatInfo& format() {
    return *find_format(DataType::kE3M2);
}

TEST(Split42, SizesAreAsDocumented) {
    for (const Shape& s : kShapes) {
        for (const DataType type : {DataType::kE3M2, DataType::kE2M3}) {
            EXPECT_EQ(packed_layout_bytes(kLayout, *find_format(type), s.rows, s.cols), s.bytes)
                << s.rows << " x " << s.cols;
        }
    }
    EXPECT_EQ(packed_layout_bytes(kLayout, format(), 0, 5), 0u);
    EXPECT_EQ(packed_layout_bytes(kLayout, format(), 5, 0), 0u);
    EXPECT_EQ(packed_layout_bytes(kLayout, format(), 151936, 896), 151936u * 448 + 151936u * 224);
}

TEST(Split42, EveryBitLiesWhereTheFormulaHasIt) {
    SerialExecutor serial;
    for (const Shape& s : kShapes) {
        const std::vector<uint8_t> codes = make_codes(6, s.rows * s.cols);
        const std::vector<uint8_t> packed = pack_layout_guarded(
            kLayout, format(), s.rows, s.cols, to_plain(codes, 6, s.rows, s.cols), serial);

        const int64_t first_row = (s.cols + 1) / 2, last_row = (s.cols + 3) / 4;
        const int64_t last_plane = (s.rows * first_row + 63) / 64 * 64;
        std::vector<uint8_t> expected(packed.size());  // zeros, as the padding must be
        for (int64_t r = 0; r < s.rows; ++r) {
            for (int64_t c = 0; c < s.cols; ++c) {
                const int code = codes[static_cast<size_t>(r * s.cols + c)];
                expected[static_cast<size_t>(r * first_row + c / 2)] |=
                    static_cast<uint8_t>((code >> 2) << (c % 2 * 4));
                expected[static_cast<size_t>(last_plane + r * last_row + c / 4)] |=
                    static_cast<uint8_t>((code & 3) << (c % 4 * 2));
            }
        }
        ASSERT_EQ(packed, expected) << s.rows << " x " << s.cols;
    }
}

TEST(Split42, TheWorkedExample) {
    SerialExecutor serial;
    const std::vector<uint8_t> plain = to_plain({0b110101, 0b001010, 0b111110}, 6, 1, 3);
    EXPECT_EQ(plain, (std::vector<uint8_t>{0xB5, 0xE2, 0x03}));
    const std::vector<uint8_t> packed = pack_layout_guarded(kLayout, format(), 1, 3, plain, serial);
    ASSERT_EQ(packed.size(), 65u);
    EXPECT_EQ(packed[0], 0x2D);
    EXPECT_EQ(packed[1], 0x0F);
    EXPECT_EQ(packed[64], 0x29);
}

TEST(Split42, ComesBack) {
    SerialExecutor serial;
    for (const Shape& s : kShapes) {
        const std::vector<uint8_t> plain =
            to_plain(make_codes(6, s.rows * s.cols), 6, s.rows, s.cols);
        const std::vector<uint8_t> packed =
            pack_layout_guarded(kLayout, format(), s.rows, s.cols, plain, serial);
        EXPECT_EQ(unpack_layout_guarded(kLayout, format(), s.rows, s.cols, packed, serial), plain);
    }
}

TEST(Split42, EachCodeAtEachColumnComesBack) {
    SerialExecutor serial;
    std::vector<uint8_t> codes(64 * 67);
    for (size_t i = 0; i < codes.size(); ++i)
        codes[i] = static_cast<uint8_t>((i / 67 + i % 67) & 63);
    const std::vector<uint8_t> plain = to_plain(codes, 6, 64, 67);
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format(), 64, 67, plain, serial);
    EXPECT_EQ(unpack_layout_guarded(kLayout, format(), 64, 67, packed, serial), plain);
}

TEST(Split42, ALanguageModelsHeadComesBack) {
    constexpr int64_t kRows = 151936, kCols = 896;
    PoolExecutor pool(default_thread_count());
    const std::vector<uint8_t> plain = make_codes(8, kRows * kCols * 6 / 8);
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format(), kRows, kCols, plain, pool);
    EXPECT_EQ(unpack_layout_guarded(kLayout, format(), kRows, kCols, packed, pool), plain);
}

TEST(Split42, PaddingIsIgnoredOnImport) {
    SerialExecutor serial;
    const std::vector<uint8_t> plain = to_plain(make_codes(6, 3), 6, 1, 3);
    std::vector<uint8_t> packed = pack_layout_guarded(kLayout, format(), 1, 3, plain, serial);
    packed[1] |= 0xF0;
    std::fill(packed.begin() + 2, packed.begin() + 64, uint8_t{0xFF});
    packed[64] |= 0xC0;
    EXPECT_EQ(unpack_layout_guarded(kLayout, format(), 1, 3, packed, serial), plain);
}

TEST(Split42, ThreadsDoNotMatter) {
    SerialExecutor serial;
    BackwardExecutor backward;
    PoolExecutor pool(4);
    const std::vector<uint8_t> plain = to_plain(make_codes(6, 131 * 777), 6, 131, 777);
    const std::vector<uint8_t> packed =
        pack_layout_guarded(kLayout, format(), 131, 777, plain, serial);
    for (Executor* executor : {static_cast<Executor*>(&backward), static_cast<Executor*>(&pool)}) {
        EXPECT_EQ(pack_layout_guarded(kLayout, format(), 131, 777, plain, *executor), packed);
        EXPECT_EQ(unpack_layout_guarded(kLayout, format(), 131, 777, packed, *executor), plain);
    }
}

TEST(Split42, RefusesWhatItCannotHold) {
    for (const DataType type : {DataType::kE2M2, DataType::kE3M1, DataType::kE2M1}) {
        expect_refused(kLayout, type, 64, 64, Status::kNotSupported, "E3M2 and E2M3");
    }
    expect_refused(kLayout, DataType::kE3M2, int64_t{1} << 40, int64_t{1} << 40,
                   Status::kInvalidValue, "overflows");
    expect_refused(kLayout, DataType::kE3M2, int64_t{1} << 30, int64_t{1} << 30,
                   Status::kInvalidValue, "overflows");
    expect_refused(static_cast<PackedLayout>(9), DataType::kE3M2, 64, 64, Status::kInvalidValue,
                   "layout = 9");
}

}  // namespace
}  // namespace fp6llm
