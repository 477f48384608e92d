// The weight object on a GPU. Its memory is one blob, own or the caller's; all pointers are device
// pointers. The functions that make a weight wait for the stream, so that a weight can be used on
// any other stream at once.
//
//   offset 0      BlobHeader (256 bytes, checksummed; backend 2, layout = L3Tag)
//   256           units of L3 (l3.hpp): [row_blocks][k_units][6144]
//   then          scales, 256-byte aligned:
//                   ROW    float [row_blocks][64]
//                   GROUP  float [row_blocks][groups][64]
//                   MX     uint8 [row_blocks][k_units][64][4]      E8M0, the groups of 32 of a unit
//                 zeros to the next multiple of 256
//
// Padding rows and columns have code 0; padding rows, and MX groups beyond the last, scale 1. F16
// scales are held as the floats they are and come back as they were.
#pragma once

#include <memory>

#include "core/device/queue.hpp"
#include "core/prepack/cuda/l3.hpp"
#include "core/prepack/device_weight.hpp"

namespace fp6llm::cuda {

/// A weight as kernels see it. Both pointers are device pointers, aligned as the blob is (64 bytes
/// at least).
struct CudaWeightView {
    int64_t rows;              ///< OC
    int64_t cols;              ///< IC
    int64_t row_blocks;        ///< ceil(rows / 64); 0 without columns
    int64_t k_units;           ///< ceil(cols / 128)
    const FormatInfo* format;  ///< of the plain codes
    L3Format held;             ///< what units hold: E2M2, E3M1, E2M1 are transcoded to E3M2
    L3Tag tag;
    ScaleMode scale_mode;
    DataType scale_type;   ///< as given: kF32, kF16 (held as floats) or kE8M0
    int64_t group_size;    ///< columns per scale; 0 for kRow
    int64_t groups;        ///< scales per row, those of padding not counted
    const uint8_t* units;  ///< [row_blocks][k_units][kUnitBytes]
    const void* scales;    ///< kRow, kGroup: float; kMx: uint8_t. See above
};

/// The tag of a weight made from floats: that of the activations that go with their type,
/// bfloat16's for bfloat16, else fp16's. Weights made from codes do not tell and have fp16's.
/// Either kind of unit multiplies either kind of activations; only the cost differs.
constexpr L3Tag l3_tag_for(DataType floats) noexcept {
    return floats == DataType::kBF16 ? L3Tag::kBF16 : L3Tag::kF16;
}

class Weight final : public DeviceWeight {
  public:
    const CudaWeightView& view() const noexcept { return view_; }

    /// Bytes of a blob; throws INVALID_VALUE on overflow.
    static size_t blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols);

    /// Packs plain codes and scales into `blob` (64-byte aligned, blob_bytes()). Enqueues only.
    static void pack_blob(const Queue& queue, const QuantSpec& spec, int64_t rows, int64_t cols,
                          const uint8_t* codes, const void* scales, uint8_t* blob);

    static std::unique_ptr<Weight> from_floats(const Queue& queue, const QuantSpec& spec,
                                               const MatrixView& w);
    static std::unique_ptr<Weight> from_codes(const Queue& queue, const QuantSpec& spec,
                                              int64_t rows, int64_t cols, const uint8_t* codes,
                                              const void* scales);
    static std::unique_ptr<Weight> from_packed(const Queue& queue, PackedLayout layout,
                                               const QuantSpec& spec, int64_t rows, int64_t cols,
                                               const uint8_t* packed, const void* scales);

    /// Copies the header to the host and checks it against its checksum, this build's layout
    /// versions and `bytes`.
    static std::unique_ptr<Weight> from_blob(const Queue& queue, const uint8_t* blob, size_t bytes);

    /// Throws INVALID_VALUE if the weight's own memory is of another context than the queue's. Whose
    /// memory a view is on is the caller's to know.
    void check_context(const Queue& queue) const;

    bool is_view() const noexcept override { return own_.data() == nullptr; }
    const char* layout_name() const noexcept override;

    /// Plain codes and scales, bit for bit as given; either may be nullptr. Enqueues only.
    void export_codes(const Queue& queue, uint8_t* codes, void* scales) const;
    void export_packed(const Queue& queue, PackedLayout layout, uint8_t* packed,
                       void* scales) const;

  private:
    Weight(const Queue& queue, const QuantSpec& spec, int64_t rows, int64_t cols, L3Tag tag);

    /// Allocates the blob and writes its frame; codes and scales are still missing.
    uint8_t* make_blob(const Queue& queue);

    DeviceBuffer own_;
    CudaWeightView view_{};
};

}  // namespace fp6llm::cuda
