#include "core/common/math.hpp"

#include <gtest/gtest.h>

#include <string>

#include "core/common/parallel.hpp"

namespace fp6llm {
namespace {

TEST(Math, DividesAndRoundsUp) {
    EXPECT_EQ(ceil_div(0, 16), 0);
    EXPECT_EQ(ceil_div(1, 16), 1);
    EXPECT_EQ(ceil_div(16, 16), 1);
    EXPECT_EQ(ceil_div(17, 16), 2);
    EXPECT_EQ(ceil_div(INT64_MAX, 2), (int64_t{1} << 62));  // no a + b - 1 that overflows
    EXPECT_EQ(round_up(17, 16), 32);
}

TEST(Math, CheckedMulNamesWhatOverflows) {
    constexpr int64_t kLimit = int64_t{1} << 62;
    EXPECT_EQ(checked_mul(kLimit - 1, 1, "size"), kLimit - 1);
    EXPECT_EQ(checked_mul(INT64_MAX, 0, "size"), 0);
    for (const int64_t factor : {int64_t{2}, kLimit, INT64_MAX}) {
        try {
            checked_mul(kLimit / 2, factor, "rows * cols");
            FAIL() << factor;
        } catch (const Error& error) {
            EXPECT_EQ(error.status(), Status::kInvalidValue);
            EXPECT_NE(std::string(error.what()).find("rows * cols"), std::string::npos);
        }
    }
}

TEST(SplitRange, CoversAllInOrderAndEvenly) {
    for (const int64_t count : {0, 1, 5, 64, 1001}) {
        for (const int64_t parts : {1, 2, 3, 64}) {
            int64_t next = 0;
            for (int64_t part = 0; part < parts; ++part) {
                const IndexRange range = split_range(count, part, parts);
                EXPECT_EQ(range.begin, next);
                EXPECT_LE(range.end - range.begin, ceil_div(count, parts));
                EXPECT_GE(range.end - range.begin, count / parts);
                next = range.end;
            }
            EXPECT_EQ(next, count);
        }
    }
}

TEST(Fail, FormatsItsMessage) {
    try {
        fail(Status::kNotSupported, "ldb = %d < k = %d", 512, 576);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::kNotSupported);
        EXPECT_STREQ(error.what(), "ldb = 512 < k = 576");
    }
}

}  // namespace
}  // namespace fp6llm
