#include "core/prepack/blob.hpp"

#include <cstring>

#include "core/common/math.hpp"
#include "core/prepack/cpu_tile.hpp"

namespace fp6llm {
namespace {

constexpr char kMagic[8] = "FP6LLMB";

/// A header's fields as a spec, if they are ones that pack_blob() writes.
QuantSpec checked_spec(const BlobHeader& header) {
    QuantSpec spec;
    spec.format = static_cast<DataType>(header.format);
    spec.scale_mode = static_cast<ScaleMode>(header.scale_mode);
    spec.scale_type = static_cast<DataType>(header.scale_type);
    spec.group_size = header.group_size;
    const bool has_float_scales =
        spec.scale_type == DataType::kF32 || spec.scale_type == DataType::kF16;
    bool valid = find_format(spec.format) != nullptr && header.rows >= 0 && header.cols >= 0;
    switch (spec.scale_mode) {
        case ScaleMode::kRow:
            valid = valid && spec.group_size == 0 && has_float_scales;
            break;
        case ScaleMode::kGroup:
            valid = valid && spec.group_size >= 16 && spec.group_size <= 4096 &&
                    spec.group_size % 8 == 0 && has_float_scales;
            break;
        case ScaleMode::kMx:
            valid = valid && spec.group_size == 32 && spec.scale_type == DataType::kE8M0;
            break;
        default:
            valid = false;
    }
    if (!valid) fail(Status::kInvalidValue, "blob: its header holds an impossible matrix");
    return spec;
}

}  // namespace

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

BlobHeader make_blob_header(uint32_t backend, uint32_t layout, const QuantSpec& spec, int64_t rows,
                            int64_t cols, int64_t total_bytes) noexcept {
    BlobHeader header{};
    std::memcpy(header.magic, kMagic, sizeof header.magic);
    header.version = kBlobVersion;
    header.backend = backend;
    header.layout = layout;
    header.format = static_cast<int32_t>(spec.format);
    header.scale_mode = static_cast<int32_t>(spec.scale_mode);
    header.scale_type = static_cast<int32_t>(spec.scale_type);
    header.rows = rows;
    header.cols = cols;
    header.group_size = spec.group_size;
    header.total_bytes = static_cast<uint64_t>(total_bytes);
    header.checksum = blob_checksum(header);
    return header;
}

QuantSpec check_blob_header(const BlobHeader& header, size_t bytes, uint32_t backend,
                            const char* backend_name) {
    if (bytes < sizeof header) {
        fail(Status::kInvalidValue, "bytes = %zu < the blob header's %zu", bytes, sizeof header);
    }
    if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0) {
        fail(Status::kInvalidValue, "blob does not begin with a blob header");
    }
    if (header.checksum != blob_checksum(header)) {
        fail(Status::kInvalidValue, "blob: its header's checksum does not match");
    }
    if (header.version != kBlobVersion) {
        fail(Status::kNotSupported, "blob has version %u; version %u is supported", header.version,
             kBlobVersion);
    }
    if (header.backend != backend) {
        fail(Status::kArchMismatch, "blob is of backend %u; the handle is of the %s backend",
             header.backend, backend_name);
    }
    return checked_spec(header);
}

void check_blob_size(const BlobHeader& header, int64_t total, size_t bytes) {
    const auto needed = static_cast<uint64_t>(total);
    if (header.total_bytes != needed || bytes < needed) {
        fail(Status::kInvalidValue, "blob of %lld x %lld takes %llu bytes; bytes = %zu",
             static_cast<long long>(header.rows), static_cast<long long>(header.cols),
             static_cast<unsigned long long>(needed), bytes);
    }
}

/// The parts of the spec that codes and scales carry; what only quantizing needs is reset.
QuantSpec stored_spec(const QuantSpec& spec) {
    QuantSpec stored;
    stored.format = spec.format;
    stored.scale_mode = spec.scale_mode;
    stored.group_size = spec.group_size;
    stored.scale_type = spec.scale_type;
    return stored;
}

}  // namespace fp6llm
