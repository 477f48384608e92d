#include "core/prepack/blob.hpp"

#include "core/common/math.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm {

BlobGeometry blob_geometry(const QuantSpec& spec, int64_t rows, int64_t cols) {
    BlobGeometry geometry{};
    // No columns, no panels: such a matrix may have any number of rows.
    geometry.panels = cols > 0 ? ceil_div(rows, kTileRows) : 0;
    geometry.k_tiles = ceil_div(cols, kTileCols);
    geometry.groups = spec.groups(cols);
    const int64_t tile_bytes = checked_mul(checked_mul(geometry.panels, kTileBytes, "rows"),
                                           geometry.k_tiles, "rows * cols");
    const int64_t scale_bytes = spec.scale_mode == ScaleMode::kMx ? 1 : 4;
    const int64_t scales =
        checked_mul(checked_mul(geometry.panels, kTileRows * scale_bytes, "rows"), geometry.groups,
                    "rows * groups");
    geometry.tiles_offset = static_cast<int64_t>(sizeof(BlobHeader)) + kBlobPadding;
    geometry.scales_offset = geometry.tiles_offset + round_up(tile_bytes, 64);
    geometry.total_bytes = geometry.scales_offset + round_up(scales, 64) + kBlobPadding;
    return geometry;
}

uint64_t blob_checksum(const BlobHeader& header) noexcept {
    BlobHeader copy = header;
    copy.checksum = 0;
    const auto* bytes = reinterpret_cast<const uint8_t*>(&copy);
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < sizeof copy; ++i)
        hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

}  // namespace fp6llm
