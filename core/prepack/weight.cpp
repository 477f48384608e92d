#include "core/prepack/weight.hpp"

#include <atomic>
#include <cstring>

#include "core/common/cpu.hpp"
#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/common/work_split.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/blob.hpp"
#include "core/quantize/row_quantizer.hpp"

namespace fp6llm {
namespace {

/// Columns handled at a time where codes pass through a buffer on the stack.
constexpr int64_t kChunkCols = 1024;

/// Whether weights of a spec can be in S8.
bool has_s8(const QuantSpec& spec) noexcept {
    return tile_coding(*find_format(spec.format)).family == TileFamily::kE2M3 &&
           spec.group_size % kS8Columns == 0;
}

/// Panels that kernels for one token read side by side (CpuGemmKernel::panels_per_call).
int64_t panel_step() noexcept {
    return active_isa() >= Isa::kAvx512 && cpu_maker() == CpuMaker::kAmd ? 1 : 2;
}

/// Deals panels out as a multiplication of one token does, so that each part of the blob is first
/// touched by the thread that will read it.
class PanelLoop {
  public:
    PanelLoop(const BlobGeometry& geometry, int64_t cols, int64_t group_size,
              Executor& executor) noexcept
        : panels_(geometry.panels),
          step_(panel_step()),
          split_(split_packing(panels_, step_, geometry.k_tiles * kTileBytes,
                               split_k(ceil_div(panels_, step_), cols, group_size, /*tokens=*/1),
                               executor.concurrency())),
          executor_(executor) {}

    int parts() const noexcept { return split_.threads; }

    /// task(slot, panel) for every panel, slot < parts().
    template <typename Task>
    void run(Task&& task) const {
        executor_.run(parts(), [&](int64_t slot) {
            const FpEnvGuard fp_env;
            const IndexRange steps = split_.calls_of(slot);
            const int64_t stop = steps.end * step_, end = stop < panels_ ? stop : panels_;
            for (int64_t panel = steps.begin * step_; panel < end; ++panel)
                task(slot, panel);
        });
    }

  private:
    int64_t panels_;
    int64_t step_;
    WorkSplit split_;
    Executor& executor_;
};

/// Where the scales of one row go: element g of row r lies at [panel][g][r], 16 rows side by side.
class ScaleStore {
  public:
    ScaleStore(const QuantSpec& spec, const BlobGeometry& geometry, uint8_t* blob) noexcept
        : spec_(spec), groups_(geometry.groups), base_(blob + geometry.scales_offset) {}

    /// `scales`: [groups] of spec.scale_type.
    void put_row(int64_t row, const uint8_t* scales) const noexcept {
        const int64_t groups = groups_;  // for all that gcc knows, stores change *this
        const int64_t first = row / kTileRows * groups * kTileRows + row % kTileRows;
        if (spec_.scale_mode == ScaleMode::kMx) {
            uint8_t* to = base_ + first;
            for (int64_t g = 0; g < groups; ++g)
                to[g * kTileRows] = scales[g];
            return;
        }
        uint8_t* to = base_ + first * 4;
        const bool wide = spec_.scale_type == DataType::kF32;
        for (int64_t g = 0; g < groups; ++g, to += kTileRows * 4) {
            if (wide) {
                std::memcpy(to, scales + g * 4, 4);
            } else {
                uint16_t half;
                std::memcpy(&half, scales + g * 2, 2);
                const float value = half_to_float(half);
                std::memcpy(to, &value, 4);
            }
        }
    }

    /// Scale 1 for a padding row.
    void pad_row(int64_t row) const noexcept {
        const int64_t first = row / kTileRows * groups_ * kTileRows + row % kTileRows;
        const float one = 1.0f;
        for (int64_t g = 0; g < groups_; ++g) {
            const int64_t at = first + g * kTileRows;
            if (spec_.scale_mode == ScaleMode::kMx) {
                base_[at] = 127;
            } else {
                std::memcpy(base_ + at * 4, &one, 4);
            }
        }
    }

  private:
    const QuantSpec& spec_;
    int64_t groups_;
    uint8_t* base_;
};

/// Inverse of half_to_float() bit for bit, NaN payloads included, for floats that came from it.
uint16_t exact_half(float value) noexcept {
    const uint32_t bits = float_bits(value);
    if ((bits & 0x7F800000u) != 0x7F800000u) return float_to_half(value);
    return static_cast<uint16_t>(((bits >> 16) & 0x8000u) | 0x7C00u | ((bits >> 13) & 0x3FFu));
}

/// Header, padding and the scales of padding rows: everything that no row of codes writes.
void write_frame(const QuantSpec& spec, CpuSwizzle swizzle, int64_t rows, int64_t cols,
                 const BlobGeometry& geometry, uint8_t* blob) noexcept {
    const BlobHeader header = make_blob_header(kBlobBackendCpu, static_cast<uint32_t>(swizzle),
                                               spec, rows, cols, geometry.total_bytes);
    std::memcpy(blob, &header, sizeof header);
    std::memset(blob + sizeof header, 0, kBlobPadding);
    const int64_t scale_bytes =
        geometry.panels * geometry.groups * kTileRows * (spec.scale_mode == ScaleMode::kMx ? 1 : 4);
    const int64_t scales_end = geometry.scales_offset + scale_bytes;
    std::memset(blob + scales_end, 0, static_cast<size_t>(geometry.total_bytes - scales_end));
    const ScaleStore store(spec, geometry, blob);
    for (int64_t row = rows; row < geometry.panels * kTileRows; ++row)
        store.pad_row(row);
}

/// Turns codes of the format into tile codes, in place.
void widen(uint8_t* codes, int64_t count, int shift) noexcept {
    if (shift == 0) return;
    for (int64_t i = 0; i < count; ++i)
        codes[i] = static_cast<uint8_t>(codes[i] << shift);
}

CpuWeightView make_view(const QuantSpec& spec, CpuSwizzle swizzle, int64_t rows, int64_t cols,
                        const BlobGeometry& geometry, const uint8_t* blob) noexcept {
    CpuWeightView view{};
    view.rows = rows;
    view.cols = cols;
    view.panels = geometry.panels;
    view.k_tiles = view.tile_stride = geometry.k_tiles;
    view.format = find_format(spec.format);
    view.family = tile_coding(*view.format).family;
    view.swizzle = swizzle;
    view.scale_mode = spec.scale_mode;
    view.group_size = spec.group_size;
    view.groups = view.group_stride = geometry.groups;
    view.tiles = blob + geometry.tiles_offset;
    const uint8_t* scales = blob + geometry.scales_offset;
    if (spec.scale_mode == ScaleMode::kMx) {
        view.e8m0 = scales;
    } else {
        view.scales = reinterpret_cast<const float*>(scales);
    }
    return view;
}

}  // namespace

CpuWeightView CpuWeightView::columns(int64_t begin, int64_t end) const noexcept {
    CpuWeightView view = *this;
    view.cols = end - begin;
    view.k_tiles = ceil_div(view.cols, kTileCols);
    view.first_tile = first_tile + begin / kTileCols;
    view.tiles = tiles + begin / kTileCols * kTileBytes;
    if (scale_mode == ScaleMode::kRow) return view;
    view.groups = ceil_div(view.cols, group_size);
    const int64_t first_scale = scale_index(0, begin / group_size);
    if (scale_mode == ScaleMode::kMx) {
        view.e8m0 = e8m0 + first_scale;
    } else {
        view.scales = scales + first_scale;
    }
    return view;
}

CpuSwizzle packed_swizzle(const QuantSpec& spec) noexcept {
    if (active_isa() != Isa::kAvx2) return CpuSwizzle::kP16;
    return spec.compute_hint == ComputeType::kF32FastI8 && has_s8(spec) ? CpuSwizzle::kS8
                                                                        : CpuSwizzle::kS16;
}

size_t Weight::blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols) {
    return static_cast<size_t>(blob_geometry(spec, rows, cols).total_bytes);
}

void Weight::pack_blob(const QuantSpec& spec, int64_t rows, int64_t cols, const uint8_t* codes,
                       const void* scales, uint8_t* blob, Executor& executor) {
    const BlobGeometry geometry = blob_geometry(spec, rows, cols);
    const FormatInfo& format = *find_format(spec.format);
    const TileCoding coding = tile_coding(format);
    const CpuSwizzle swizzle = packed_swizzle(spec);
    const int64_t row_bytes = spec.row_code_bytes(cols);
    const int64_t row_scale_bytes =
        geometry.groups * static_cast<int64_t>(spec.scale_element_bytes());
    const ScaleStore store(spec, geometry, blob);

    PanelLoop(geometry, cols, spec.group_size, executor).run([&](int64_t, int64_t panel) {
        const int64_t row0 = panel * kTileRows;
        const int64_t row_count = rows - row0 < kTileRows ? rows - row0 : kTileRows;
        uint8_t* tiles = blob + geometry.tiles_offset + panel * geometry.k_tiles * kTileBytes;
        uint8_t buffer[kTileRows][kChunkCols];
        for (int64_t k = 0; k < cols; k += kChunkCols) {
            const int64_t count = cols - k < kChunkCols ? cols - k : kChunkCols;
            const int64_t padded = round_up(count, kTileCols);
            for (int64_t r = 0; r < kTileRows; ++r) {
                const int64_t given = r < row_count ? count : 0;
                if (given != 0) {
                    unpack_codes(codes + (row0 + r) * row_bytes + k * format.bits / 8, format.bits,
                                 given, buffer[r]);
                    widen(buffer[r], given, coding.shift);
                }
                std::memset(buffer[r] + given, 0, static_cast<size_t>(padded - given));
            }
            pack_panel(swizzle, coding.family, buffer[0], kChunkCols, count,
                       tiles + k / kTileCols * kTileBytes);
        }
        for (int64_t r = 0; r < row_count; ++r) {
            store.put_row(row0 + r,
                          static_cast<const uint8_t*>(scales) + (row0 + r) * row_scale_bytes);
        }
    });
    write_frame(spec, swizzle, rows, cols, geometry, blob);
}

std::unique_ptr<Weight> Weight::from_codes(const QuantSpec& spec, int64_t rows, int64_t cols,
                                           const uint8_t* codes, const void* scales,
                                           Executor& executor) {
    std::unique_ptr<Weight> weight(new Weight);
    const BlobGeometry geometry = blob_geometry(spec, rows, cols);
    weight->bytes_ = static_cast<size_t>(geometry.total_bytes);
    weight->own_ = AlignedBuffer(weight->bytes_);
    weight->spec_ = stored_spec(spec);
    pack_blob(spec, rows, cols, codes, scales, weight->own_.data(), executor);
    weight->set_view(packed_swizzle(spec), rows, cols, geometry, weight->own_.data());
    return weight;
}

std::unique_ptr<Weight> Weight::from_floats(const QuantSpec& spec, const MatrixView& w,
                                            Executor& executor) {
    std::unique_ptr<Weight> weight(new Weight);
    const BlobGeometry geometry = blob_geometry(spec, w.rows, w.cols);
    weight->bytes_ = static_cast<size_t>(geometry.total_bytes);
    weight->own_ = AlignedBuffer(weight->bytes_);
    uint8_t* blob = weight->own_.data();
    const int64_t stride =
        (ceil_div(w.cols, 64) | 1) * 64;  // 2^n apart, rows would share cache sets
    const int64_t scale_bytes = round_up(geometry.groups * 4, 64);
    const int64_t slot_bytes = checked_mul(kTileRows, stride, "cols") + scale_bytes;
    const PanelLoop loop(geometry, w.cols, spec.group_size, executor);
    const AlignedBuffer scratch(static_cast<size_t>(checked_mul(slot_bytes, loop.parts(), "cols")));

    const RowQuantizer quantizer(spec, w, executor, active_quant_kernels(), FiniteCheck::kByRows);
    std::atomic<bool> is_allowed{true};
    weight->spec_ = stored_spec(quantizer.spec());
    const TileCoding coding = tile_coding(quantizer.format());
    const CpuSwizzle swizzle = packed_swizzle(quantizer.spec());
    const ScaleStore store(weight->spec_, geometry, blob);

    loop.run([&](int64_t slot, int64_t panel) {
        uint8_t* scales = scratch.data() + slot * slot_bytes;
        uint8_t* codes = scales + scale_bytes;
        for (int64_t r = 0; r < kTileRows; ++r) {
            uint8_t* row_codes = codes + r * stride;
            const int64_t row = panel * kTileRows + r;
            int64_t given = 0;
            if (row < w.rows) {
                if (!quantizer.quantize_row(row, row_codes, scales, nullptr)) is_allowed = false;
                store.put_row(row, scales);
                widen(row_codes, w.cols, coding.shift);
                given = w.cols;
            }
            std::memset(row_codes + given, 0, static_cast<size_t>(stride - given));
        }
        pack_panel(swizzle, coding.family, codes, stride, w.cols,
                   blob + geometry.tiles_offset + panel * geometry.k_tiles * kTileBytes);
    });
    if (!is_allowed) quantizer.require_finite(executor);
    write_frame(weight->spec_, swizzle, w.rows, w.cols, geometry, blob);
    weight->set_view(swizzle, w.rows, w.cols, geometry, blob);
    return weight;
}

std::unique_ptr<Weight> Weight::from_blob(const uint8_t* blob, size_t bytes) {
    BlobHeader header;
    if (bytes >= sizeof header) std::memcpy(&header, blob, sizeof header);
    const QuantSpec spec = check_blob_header(header, bytes, kBlobBackendCpu, "CPU");
    const auto swizzle = static_cast<CpuSwizzle>(header.layout);
    if (swizzle != CpuSwizzle::kP16 && swizzle != CpuSwizzle::kS16 && swizzle != CpuSwizzle::kS8) {
        fail(Status::kNotSupported, "blob has layout %u; this version knows P16, S16 and S8",
             header.layout);
    }
    if (swizzle == CpuSwizzle::kS8 && !has_s8(spec)) {
        fail(Status::kInvalidValue,
             "blob has layout S8, which is not for its format or group size");
    }
    const BlobGeometry geometry = blob_geometry(spec, header.rows, header.cols);
    check_blob_size(header, geometry.total_bytes, bytes);
    std::unique_ptr<Weight> weight(new Weight);
    weight->spec_ = spec;
    weight->bytes_ = static_cast<size_t>(geometry.total_bytes);
    weight->set_view(swizzle, header.rows, header.cols, geometry, blob);
    return weight;
}

void Weight::set_view(CpuSwizzle swizzle, int64_t rows, int64_t cols, const BlobGeometry& geometry,
                      const uint8_t* blob) noexcept {
    view_ = make_view(spec_, swizzle, rows, cols, geometry, blob);
    spec_.compute_hint = swizzle == CpuSwizzle::kS8 ? ComputeType::kF32FastI8 : ComputeType{};
}

const char* Weight::layout_name() const noexcept {
    switch (view_.swizzle) {
        case CpuSwizzle::kP16:
            return "cpu-p16/1";
        case CpuSwizzle::kS16:
            return "cpu-s16/1";
        case CpuSwizzle::kS8:
            return "cpu-s8/1";
    }
    return "";
}

void Weight::export_codes(uint8_t* codes, void* scales, Executor& executor) const {
    const FormatInfo& format = *view_.format;
    const int shift = tile_coding(format).shift;
    const int64_t row_bytes = spec_.row_code_bytes(view_.cols);
    const auto scale_bytes = static_cast<int64_t>(spec_.scale_element_bytes());
    auto* scale_out = static_cast<uint8_t*>(scales);

    const BlobGeometry geometry = blob_geometry(spec_, view_.rows, view_.cols);
    PanelLoop(geometry, view_.cols, view_.group_size, executor).run([&](int64_t, int64_t panel) {
        const int64_t row0 = panel * kTileRows;
        const int64_t row_count = view_.rows - row0 < kTileRows ? view_.rows - row0 : kTileRows;
        uint8_t buffer[kTileRows][kChunkCols];
        for (int64_t k = 0; codes != nullptr && k < view_.cols; k += kChunkCols) {
            const int64_t count = view_.cols - k < kChunkCols ? view_.cols - k : kChunkCols;
            unpack_panel(view_.swizzle, view_.family,
                         view_.panel_tiles(panel) + k / kTileCols * kTileBytes, count, buffer[0],
                         kChunkCols);
            for (int64_t r = 0; r < row_count; ++r) {
                for (int64_t i = 0; shift != 0 && i < count; ++i) {
                    buffer[r][i] = static_cast<uint8_t>(buffer[r][i] >> shift);
                }
                pack_codes(buffer[r], format.bits, count,
                           codes + (row0 + r) * row_bytes + k * format.bits / 8);
            }
        }
        for (int64_t r = 0; scale_out != nullptr && r < row_count; ++r) {
            for (int64_t g = 0; g < view_.groups; ++g) {
                const int64_t at = view_.scale_index(panel, g) + r;
                uint8_t* out = scale_out + ((row0 + r) * view_.groups + g) * scale_bytes;
                if (view_.e8m0 != nullptr) {
                    *out = view_.e8m0[at];
                } else if (spec_.scale_type == DataType::kF32) {
                    std::memcpy(out, view_.scales + at, 4);
                } else {
                    const uint16_t half = exact_half(view_.scales[at]);
                    std::memcpy(out, &half, 2);
                }
            }
        }
    });
}

}  // namespace fp6llm
