// The weight object: an immutable quantized matrix, prepacked for one backend. On the CPU its memory
// is one blob, own or the caller's:
//
//   offset 0      BlobHeader (256 bytes, checksummed)
//   256           64 bytes of front padding (kernels may load up to 64 bytes before the first tile)
//   320           tiles, panel-major: [panels][k_tiles][192]
//   then          scales, 64-byte aligned:
//                   ROW    float [panels][16]
//                   GROUP  float [panels][groups][16]
//                   MX     uint8 [panels][groups][16]        E8M0
//                 padding rows have code 0 and scale 1
//   then          64 bytes of tail padding
#pragma once

#include <memory>

#include "core/common/aligned_buffer.hpp"
#include "core/prepack/cpu_tile.hpp"
#include "core/quantize/quantize.hpp"

namespace fp6llm {

struct BlobGeometry;

/// A CPU weight, or some columns of one, as kernels see it. All pointers are 64-byte aligned.
struct CpuWeightView {
    int64_t rows;     ///< OC
    int64_t cols;     ///< IC, or those of them that the view is of
    int64_t panels;   ///< ceil(rows / 16)
    int64_t k_tiles;  ///< ceil(cols / 16)
    int64_t
        tile_stride;  ///< tiles from a panel to the next; k_tiles where the view is of all columns
    int64_t first_tile;  ///< of a panel's tiles, the one that the view begins with
    const FormatInfo* format;
    TileFamily family;
    CpuSwizzle swizzle;
    ScaleMode scale_mode;
    int64_t group_size;  ///< columns per scale; 0 for kRow
    int64_t groups;      ///< scales per row
    int64_t
        group_stride;  ///< scales per row from a panel to the next; groups in a view of all columns
    const uint8_t* tiles;  ///< readable from 64 bytes before to 64 bytes after
    const float* scales;   ///< kRow [panels][16], kGroup [panels][group_stride][16]; else nullptr
    const uint8_t* e8m0;   ///< kMx [panels][group_stride][16]; else nullptr

    /// A panel's tiles [k_tiles].
    const uint8_t* panel_tiles(int64_t panel) const noexcept {
        return tiles + panel * tile_stride * kTileBytes;
    }
    /// Where a panel's memory ends, whatever of it the view is of.
    const uint8_t* panel_end(int64_t panel) const noexcept {
        return tiles + ((panel + 1) * tile_stride - first_tile) * kTileBytes;
    }
    /// The tiles that follow the view's in memory, behind `together` panels where the view ends one.
    const uint8_t* next_tiles(int64_t panel, int together) const noexcept {
        return first_tile + k_tiles < tile_stride ? panel_tiles(panel) + k_tiles * kTileBytes
                                                  : panel_end(panel + together - 1);
    }
    /// Where in a panel's scales, in floats or bytes, those of a group are.
    int64_t scale_index(int64_t panel, int64_t group) const noexcept {
        return (panel * group_stride + group) * kTileRows;
    }
    /// The view of columns [begin, end), both multiples of 16 and of group_size, or end = cols.
    CpuWeightView columns(int64_t begin, int64_t end) const noexcept;
};

/// The swizzle that weights of a spec are packed in: of those that the active ISA's kernels read, the best
/// for what its compute_hint says. spec.format must not be AUTO.
CpuSwizzle packed_swizzle(const QuantSpec& spec) noexcept;

class Weight {
  public:
    /// Bytes of a blob; throws INVALID_VALUE on overflow.
    static size_t blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols);

    /// Packs plain codes and scales into `blob` (64-byte aligned, blob_bytes()).
    static void pack_blob(const QuantSpec& spec, int64_t rows, int64_t cols, const uint8_t* codes,
                          const void* scales, uint8_t* blob, Executor& executor);

    static std::unique_ptr<Weight> from_codes(const QuantSpec& spec, int64_t rows, int64_t cols,
                                              const uint8_t* codes, const void* scales,
                                              Executor& executor);

    /// Quantizes and packs in one pass over panels, without a plain copy of the whole matrix.
    static std::unique_ptr<Weight> from_floats(const QuantSpec& spec, const MatrixView& w,
                                               Executor& executor);

    /// Checks the header against its checksum, this build's layout versions and `bytes`.
    static std::unique_ptr<Weight> from_blob(const uint8_t* blob, size_t bytes);

    const CpuWeightView& cpu() const noexcept { return view_; }
    /// Format, scale mode, group size, scale type and, where the layout is for it, compute_hint; the rest of
    /// the spec is default.
    const QuantSpec& spec() const noexcept { return spec_; }
    size_t bytes() const noexcept { return bytes_; }
    bool is_view() const noexcept { return own_.data() == nullptr; }
    const char* layout_name() const noexcept;

    /// Plain codes and scales, bit for bit as given; either may be nullptr.
    void export_codes(uint8_t* codes, void* scales, Executor& executor) const;

  private:
    Weight() = default;

    /// The view of `blob`, packed as spec_ says.
    void set_view(CpuSwizzle swizzle, int64_t rows, int64_t cols, const BlobGeometry& geometry,
                  const uint8_t* blob) noexcept;

    QuantSpec spec_;
    CpuWeightView view_{};
    AlignedBuffer own_;
    size_t bytes_ = 0;
};

}  // namespace fp6llm
