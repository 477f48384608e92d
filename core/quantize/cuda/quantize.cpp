#include "core/quantize/cuda/quantize.hpp"

#include <algorithm>
#include <vector>

#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/quantize/cuda/plain_rows.hpp"
#include "core/quantize/row_blocks.hpp"
#include "core/quantize/row_quantizer.hpp"

FP6LLM_DECLARE_FATBIN(quantize_dequantize);

namespace fp6llm::cuda {
namespace {

constexpr KernelNames kDequantize{"dequantize_f32", "dequantize_f16", "dequantize_bf16"};
constexpr int kThreads = 256;
constexpr int64_t kMaxGridY = 65535;

/// The rows' records, summed as the CPU does.
QuantStats sum_records(DataType format, const MatrixView& w, const std::vector<RowRecord>& rows) {
    const RowBlocks blocks(w.rows, w.cols);
    std::vector<RowStats> block_stats(static_cast<size_t>(blocks.count()));
    const FpEnvGuard fp_env;
    for (int64_t block = 0; block < blocks.count(); ++block) {
        const IndexRange range = blocks[block];
        for (int64_t row = range.begin; row < range.end; ++row) {
            const RowRecord& of = rows[static_cast<size_t>(row)];
            block_stats[static_cast<size_t>(block)].add({of.squared_error, of.squared_signal,
                                                         of.max_abs_error, of.saturated,
                                                         of.non_finite});
        }
    }
    return matrix_stats(format, w, block_stats);
}

}  // namespace

DataType quantize(const Queue& queue, const QuantSpec& spec, const MatrixView& w, uint8_t* codes,
                  void* scales, QuantStats* stats) {
    if (w.rows == 0 || w.cols == 0) {
        const DataType format = spec.format == DataType::kAuto6 ? DataType::kE3M2 : spec.format;
        if (stats != nullptr) *stats = matrix_stats(format, w, {});
        return format;
    }
    RowQuantizer quantizer(queue, spec, w);
    QuantParams params = quantizer.params();
    const bool checks = quantizer.must_check();
    if (checks) {
        // Outputs stay as they are if an element is bad, so all are looked at before; the kernel
        // that writes sees what came of it, and the host waits once.
        uint64_t* first_bad = quantizer.new_bad_element();
        quantizer.find_bad_element(first_bad);
        params.stop = first_bad;
    }
    DeviceBuffer records;
    const auto rows = static_cast<size_t>(w.rows);
    if (stats != nullptr) {
        records = queue.allocate(rows * sizeof(RowRecord));
        params.stats = static_cast<RowRecord*>(records.data());
    }
    launch_plain_rows(queue, quantizer, w, params,
                      {codes, spec.row_code_bytes(w.cols), static_cast<uint8_t*>(scales)});
    if (checks) quantizer.check_finite();
    if (stats != nullptr) {
        std::vector<RowRecord> host(rows);
        copy_to_host(host.data(), records.data(), rows * sizeof(RowRecord), queue.stream());
        queue.synchronize();
        *stats = sum_records(quantizer.spec().format, w, host);
    }
    return quantizer.spec().format;
}

void dequantize(const Queue& queue, const QuantSpec& spec, const uint8_t* codes, const void* scales,
                const MutableMatrixView& w) {
    if (w.rows == 0 || w.cols == 0) return;
    DequantParams params{};
    params.codes = codes;
    params.row_bytes = spec.row_code_bytes(w.cols);
    params.scales = static_cast<const uint8_t*>(scales);
    params.w = w.data;
    params.ld = w.ld;
    params.rows = w.rows;
    params.cols = w.cols;
    params.group = spec.scale_mode == ScaleMode::kRow ? w.cols : spec.group_size;
    params.groups = spec.groups(w.cols);
    params.format = format_params(*find_format(spec.format));
    params.scale_type = static_cast<int32_t>(spec.scale_type);

    const int64_t octets = ceil_div(w.cols, 8);
    LaunchConfig config;
    config.block.x = static_cast<uint32_t>(std::min<int64_t>(kThreads, round_up(octets, 32)));
    config.grid.x =
        static_cast<uint32_t>(std::min<int64_t>(ceil_div(octets, config.block.x), 1 << 20));
    config.grid.y = static_cast<uint32_t>(std::min(w.rows, kMaxGridY));
    config.stream = queue.stream();
    launch(queue.kernel(fatbin_quantize_dequantize, kDequantize.of(w.type)), config, params);
}

}  // namespace fp6llm::cuda
