// Launching the kernels of quantize_rows.cuh: what quantize() and the weight builder share. What
// depends on the whole matrix, AUTO's choice, is settled in the constructor; NaN and Inf are found
// by the device and reported by check_finite().
#pragma once

#include "core/device/queue.hpp"
#include "core/quantize/cuda/params.hpp"
#include "core/quantize/quantize.hpp"

namespace fp6llm::cuda {

FormatParams format_params(const FormatInfo& format) noexcept;

/// Names of the kernels of a family by element type.
struct KernelNames {
    const char *f32, *f16, *bf16;
    const char* of(DataType type) const noexcept {
        return type == DataType::kF32 ? f32 : type == DataType::kF16 ? f16 : bf16;
    }
};

/// What an output (quantize_rows.cuh) makes of a block.
struct OutputShape {
    int rows;            ///< side by side
    int64_t step;        ///< windows begin at multiples of it
    int bytes_per_warp;  ///< of shared memory
};

/// Block, shared memory and windows of a launch; no windows if the output cannot have such groups.
struct RowsLaunch {
    int window = 0;
    int64_t windows = 0;
    int threads = 0;
    size_t shared_bytes = 0;
};
RowsLaunch plan_rows(const QuantSpec& spec, int64_t cols, size_t element_bytes,
                     const OutputShape& output, size_t max_shared);

class RowQuantizer {
  public:
    /// Measures both 6-bit formats for kAuto6, for which it waits, and takes the one that the CPU
    /// takes. Neither rows nor columns are 0. Throws INVALID_VALUE for NaN and Inf if it has
    /// measured and NonFinite is kError.
    RowQuantizer(const Queue& queue, const QuantSpec& spec, const MatrixView& w);

    /// The spec with AUTO resolved.
    const QuantSpec& spec() const noexcept { return spec_; }
    const FormatInfo& format() const noexcept { return *find_format(spec_.format); }
    /// Whether NaN and Inf must still be looked for.
    bool must_check() const noexcept { return must_check_; }

    /// Parameters with all outputs unset.
    QuantParams params() const;
    /// Device memory that says kNoBadElement, once the stream is there.
    uint64_t* new_bad_element();
    /// Looks through the matrix. Enqueues only.
    void find_bad_element(uint64_t* first_bad) const;
    /// Waits for the stream; throws INVALID_VALUE naming the element that new_bad_element() holds.
    void check_finite() const;

    /// Enqueues a kernel of quantize_rows.cuh on `tasks` x output.rows rows.
    template <typename OutputParams>
    void launch_rows(const Kernel& kernel, QuantParams params, const RowsLaunch& rows,
                     int64_t tasks, const OutputParams& output) const {
        params.window = rows.window;
        params.windows = rows.windows;
        LaunchConfig config;
        config.grid.x = static_cast<uint32_t>(tasks < kMaxBlocks ? tasks : kMaxBlocks);
        config.block.x = static_cast<uint32_t>(rows.threads);
        config.dynamic_shared = rows.shared_bytes;
        config.stream = queue_.stream();
        launch(kernel, config, params, output);
    }

  private:
    static constexpr int64_t kMaxBlocks = int64_t{1} << 30;  ///< blocks take further rows in turn

    double squared_error(DataType format);

    const Queue& queue_;
    QuantSpec spec_;
    MatrixView w_;
    bool must_check_;
    DeviceBuffer bad_element_;
};

}  // namespace fp6llm::cuda
