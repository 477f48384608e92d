// The header of a prepacked blob, and where things lie behind it (the picture is in weight.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quantize/quantize.hpp"

namespace fp6llm {

constexpr uint32_t kBlobVersion = 1;
constexpr uint32_t kBlobBackendCpu = 1;
constexpr uint32_t kBlobBackendCuda = 2;
constexpr int64_t kBlobPadding = 64;

/// Little-endian, as the processors that read it. Everything the kernels rely on follows from the
/// shape fields; the sizes are stored to be compared, never to be used.
struct BlobHeader {
    char magic[8];       ///< "FP6LLMB" and NUL
    uint32_t version;    ///< kBlobVersion
    uint32_t backend;    ///< kBlobBackendCpu, kBlobBackendCuda
    uint32_t layout;     ///< CpuSwizzle; L3Tag
    int32_t format;      ///< DataType
    int32_t scale_mode;  ///< ScaleMode
    int32_t scale_type;  ///< DataType
    int64_t rows;
    int64_t cols;
    int64_t group_size;
    uint64_t total_bytes;
    uint64_t checksum;      ///< FNV-1a of the header with this field 0
    uint8_t reserved[184];  ///< 0
};
static_assert(sizeof(BlobHeader) == 256);

/// Offsets in bytes from the blob's start.
struct BlobGeometry {
    int64_t panels;
    int64_t k_tiles;
    int64_t groups;
    int64_t tiles_offset;
    int64_t scales_offset;
    int64_t total_bytes;
};

/// Throws INVALID_VALUE on overflow.
BlobGeometry blob_geometry(const QuantSpec& spec, int64_t rows, int64_t cols);

/// FNV-1a over the header as if its checksum were 0.
uint64_t blob_checksum(const BlobHeader& header) noexcept;

/// A complete header, checksum included.
BlobHeader make_blob_header(uint32_t backend, uint32_t layout, const QuantSpec& spec, int64_t rows,
                            int64_t cols, int64_t total_bytes) noexcept;

/// The spec in the header of a blob of `bytes`. Throws INVALID_VALUE unless it is one that
/// make_blob_header() writes, NOT_SUPPORTED for another version, ARCH_MISMATCH for another backend
/// (`backend_name` is the handle's). Layout and total bytes are left to the caller.
QuantSpec check_blob_header(const BlobHeader& header, size_t bytes, uint32_t backend,
                            const char* backend_name);

/// Throws INVALID_VALUE if the header's size is not `total`, or `bytes` are less.
void check_blob_size(const BlobHeader& header, int64_t total, size_t bytes);

/// The parts of the spec that codes and scales carry; what only quantizing needs is reset.
QuantSpec stored_spec(const QuantSpec& spec);

}  // namespace fp6llm
