// A weight in a GPU's memory, as code without CUDA headers sees it. What is behind it is
// core/prepack/cuda/weight.hpp.
#pragma once

#include "core/quantize/quantize.hpp"

namespace fp6llm {

class DeviceWeight {
  public:
    virtual ~DeviceWeight() = default;
    DeviceWeight(const DeviceWeight&) = delete;
    DeviceWeight& operator=(const DeviceWeight&) = delete;

    /// Format, scale mode, group size and scale type; the rest of the spec is default.
    const QuantSpec& spec() const noexcept { return spec_; }
    int64_t rows() const noexcept { return rows_; }
    int64_t cols() const noexcept { return cols_; }
    int ordinal() const noexcept { return ordinal_; }  ///< of the device
    /// Bytes held on the device: header, packed codes, scales, padding.
    size_t bytes() const noexcept { return bytes_; }
    /// Whether the memory is the caller's blob.
    virtual bool is_view() const noexcept = 0;
    /// Name and version of the layout, e.g. "cuda-l3/1"; static.
    virtual const char* layout_name() const noexcept = 0;

  protected:
    DeviceWeight() = default;

    QuantSpec spec_;
    int64_t rows_ = 0;
    int64_t cols_ = 0;
    int ordinal_ = 0;
    size_t bytes_ = 0;
};

}  // namespace fp6llm
