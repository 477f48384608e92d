// The weight object on a GPU. Its memory is one blob, own or the caller's; all pointers are device
// pointers. The functions that make a weight wait for the stream, so that a weight can be used on any
// other stream at once.
#pragma once

#include <memory>

#include "core/device/queue.hpp"
#include "core/prepack/device_weight.hpp"

namespace fp6llm::cuda {

class Weight final : public DeviceWeight {
  public:
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

    bool is_view() const noexcept override { return own_.data() == nullptr; }
    const char* layout_name() const noexcept override;

    /// Plain codes and scales, bit for bit as given; either may be nullptr. Enqueues only.
    void export_codes(const Queue& queue, uint8_t* codes, void* scales) const;
    void export_packed(const Queue& queue, PackedLayout layout, uint8_t* packed,
                       void* scales) const;

  private:
    Weight() = default;

    DeviceBuffer own_;
};

}  // namespace fp6llm::cuda
