// The blob of docs/layouts.md: header fields, and where tiles, scales and padding lie.
#include "core/prepack/blob.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "core/prepack/weight.hpp"
#include "tests/unit/prepack/layout_testing.hpp"

namespace fp6llm {
namespace {

TEST(Blob, HeaderFieldsAreWhereDocumented) {
    EXPECT_EQ(offsetof(BlobHeader, magic), 0u);
    EXPECT_EQ(offsetof(BlobHeader, version), 8u);
    EXPECT_EQ(offsetof(BlobHeader, backend), 12u);
    EXPECT_EQ(offsetof(BlobHeader, layout), 16u);
    EXPECT_EQ(offsetof(BlobHeader, format), 20u);
    EXPECT_EQ(offsetof(BlobHeader, scale_mode), 24u);
    EXPECT_EQ(offsetof(BlobHeader, scale_type), 28u);
    EXPECT_EQ(offsetof(BlobHeader, rows), 32u);
    EXPECT_EQ(offsetof(BlobHeader, cols), 40u);
    EXPECT_EQ(offsetof(BlobHeader, group_size), 48u);
    EXPECT_EQ(offsetof(BlobHeader, total_bytes), 56u);
    EXPECT_EQ(offsetof(BlobHeader, checksum), 64u);
    EXPECT_EQ(offsetof(BlobHeader, reserved), 72u);
}

float float_at(const uint8_t* bytes) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

TEST(Blob, TheWorkedExample) {
    constexpr int64_t kRows = 17, kCols = 3;
    const QuantSpec spec;  // E3M2, one F32 scale per row
    const std::vector<uint8_t> codes = make_codes(6, kRows * kCols);
    std::vector<float> scales(kRows);
    for (size_t r = 0; r < scales.size(); ++r)
        scales[r] = 0.5f + static_cast<float>(r);

    ASSERT_EQ(Weight::blob_bytes(spec, kRows, kCols), 896u);
    AlignedBuffer blob(896);
    std::memset(blob.data(), 0xEE, blob.size());
    SerialExecutor serial;
    Weight::pack_blob(spec, kRows, kCols, to_plain(codes, 6, kRows, kCols).data(), scales.data(),
                      blob.data(), serial);

    for (const int zeros : {256, 832}) {
        for (int i = 0; i < 64; ++i)
            EXPECT_EQ(blob.data()[zeros + i], 0) << zeros + i;
    }
    uint8_t padded[2 * kTileRows][kTileCols] = {};
    for (size_t r = 0; r < kRows; ++r)
        std::memcpy(padded[r], &codes[r * kCols], kCols);
    for (int panel = 0; panel < 2; ++panel) {
        uint8_t tile[kTileBytes];
        pack_panel(packed_swizzle(spec), TileFamily::kE3M2, padded[panel * kTileRows], kTileCols,
                   kCols, tile);
        EXPECT_EQ(std::memcmp(blob.data() + 320 + panel * kTileBytes, tile, sizeof tile), 0);
    }
    for (int r = 0; r < 2 * kTileRows; ++r) {
        EXPECT_EQ(float_at(blob.data() + 704 + r * 4),
                  r < kRows ? scales[static_cast<size_t>(r)] : 1.0f);
    }
}

}  // namespace
}  // namespace fp6llm
