#include "core/quantize/cuda/row_quantizer.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/common/float16.hpp"
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/quantize/cuda/plain_rows.hpp"
#include "core/quantize/row_blocks.hpp"
#include "core/quantize/scales.hpp"

FP6LLM_DECLARE_FATBIN(quantize_quantize);

namespace fp6llm::cuda {
namespace {

constexpr KernelNames kQuantize{"quantize_row_f32", "quantize_row_f16", "quantize_row_bf16"};
constexpr KernelNames kCheck{"check_finite_f32", "check_finite_f16", "check_finite_bf16"};
constexpr OutputShape kPlainShape{1, 8, kCodeBuffer};
constexpr int64_t kWindow = 4096;  ///< columns, where a row is more than one window
constexpr int kMaxThreads = 256, kTeam = 16, kResultBytes = 32;

}  // namespace

FormatParams format_params(const FormatInfo& format) noexcept {
    FormatParams params{};
    params.bits = format.bits;
    params.mantissa_bits = format.mantissa_bits;
    params.bias = format.bias;
    params.max_exponent = format.max_exponent;
    params.min_exponent = static_cast<int32_t>(float_bits(format.min_normal));
    params.mantissa_shift = 23 - format.mantissa_bits;
    params.adder = params.mantissa_shift << 23;
    params.tie = (format.mantissa_bits + 1) << 23;
    params.sign_shift = 32 - format.bits;
    params.max = format.max;
    params.min_normal = format.min_normal;
    params.saturated = format.max * (1.0f + 0x1p-22f);
    return params;
}

RowsLaunch plan_rows(const QuantSpec& spec, int64_t cols, size_t element_bytes,
                     const OutputShape& output, size_t max_shared) {
    const bool one_scale = spec.scale_mode == ScaleMode::kRow;
    const int64_t step = one_scale ? output.step : std::lcm(output.step, spec.group_size);
    const int64_t whole = round_up(cols, step);
    // quantize_rows.cuh's SharedSizes.
    const auto plan = [&](int64_t window) {
        RowsLaunch launch;
        const int64_t octets = round_up(ceil_div(window, 8), 16);
        const int64_t groups = one_scale ? 1 : ceil_div(window, spec.group_size);
        launch.window = static_cast<int>(window);
        launch.windows = ceil_div(cols, window);
        launch.threads = static_cast<int>(std::min<int64_t>(kMaxThreads, round_up(octets, 32)));
        const int64_t staged = (octets + octets / 16) * 8 * static_cast<int64_t>(element_bytes);
        launch.shared_bytes = static_cast<size_t>(output.rows * (staged + round_up(groups, 2) * 8) +
                                                  launch.threads / kTeam * kResultBytes +
                                                  launch.threads / 32 * output.bytes_per_warp);
        return launch;
    };
    const int64_t several = std::max(step, kWindow / step * step);
    RowsLaunch launch;
    if (one_scale && whole < (int64_t{1} << 24)) {
        launch = plan(whole);
        if (launch.shared_bytes <= max_shared) return launch;
    }
    launch = plan(std::min(whole, several));
    return launch.shared_bytes <= max_shared ? launch : RowsLaunch{};
}

RowQuantizer::RowQuantizer(const Queue& queue, const QuantSpec& spec, const MatrixView& w)
    : queue_(queue), spec_(spec), w_(w), must_check_(spec.non_finite == NonFinite::kError) {
    if (spec.format != DataType::kAuto6) return;
    const double e3m2 = squared_error(DataType::kE3M2);  // finds NaN and Inf, too
    spec_.format = e3m2 <= squared_error(DataType::kE2M3) ? DataType::kE3M2 : DataType::kE2M3;
}

double RowQuantizer::squared_error(DataType format) {
    spec_.format = format;
    QuantParams params = this->params();
    if (must_check_) params.first_bad = new_bad_element();
    const auto rows = static_cast<size_t>(w_.rows);
    const DeviceBuffer errors = queue_.allocate(rows * sizeof(double));
    params.errors = static_cast<double*>(errors.data());
    params.measures_only = 1;
    launch_plain_rows(queue_, *this, w_, params, {});
    std::vector<double> host(rows);
    copy_to_host(host.data(), errors.data(), rows * sizeof(double), queue_.stream());
    queue_.synchronize();
    if (must_check_) check_finite();
    must_check_ = false;

    const FpEnvGuard fp_env;
    const RowBlocks blocks(w_.rows, w_.cols);
    double sum = 0.0;
    for (int64_t block = 0; block < blocks.count(); ++block) {
        const IndexRange range = blocks[block];
        double of_block = 0.0;
        for (int64_t row = range.begin; row < range.end; ++row)
            of_block += host[static_cast<size_t>(row)];
        sum += of_block;
    }
    return sum;
}

QuantParams RowQuantizer::params() const {
    QuantParams params{};
    params.w = w_.data;
    params.ld = w_.ld;
    params.rows = w_.rows;
    params.cols = w_.cols;
    params.format = format_params(format());
    params.scale.mode = static_cast<int32_t>(spec_.scale_mode);
    params.scale.type = static_cast<int32_t>(spec_.scale_type);
    params.scale.mx_rule = static_cast<int32_t>(spec_.mx_rule);
    params.scale.search = spec_.scale_search;
    params.scale.candidates = scale_candidates(spec_);
    params.group = spec_.scale_mode == ScaleMode::kRow ? w_.cols : spec_.group_size;
    params.groups = spec_.groups(w_.cols);
    params.rounding = static_cast<int32_t>(spec_.rounding);
    return params;
}

uint64_t* RowQuantizer::new_bad_element() {
    bad_element_ = queue_.allocate(sizeof(uint64_t));
    fill_bytes(bad_element_.data(), 0xFF, sizeof(uint64_t), queue_.stream());
    static_assert(kNoBadElement == ~uint64_t{0}, "all bytes are 255");
    return static_cast<uint64_t*>(bad_element_.data());
}

void RowQuantizer::find_bad_element(uint64_t* first_bad) const {
    QuantParams params = this->params();
    params.first_bad = first_bad;
    LaunchConfig config;
    config.block.x =
        static_cast<uint32_t>(std::min<int64_t>(kMaxThreads, round_up(ceil_div(w_.cols, 8), 32)));
    config.grid.x = static_cast<uint32_t>(std::min(w_.rows, kMaxBlocks));
    config.stream = queue_.stream();
    launch(queue_.kernel(fatbin_quantize_quantize, kCheck.of(w_.type)), config, params);
}

void RowQuantizer::check_finite() const {
    uint64_t first_bad;
    copy_to_host(&first_bad, bad_element_.data(), sizeof first_bad, queue_.stream());
    queue_.synchronize();
    if (first_bad == kNoBadElement) return;
    const auto cols = static_cast<uint64_t>(w_.cols);
    fail(Status::kInvalidValue, "W[%llu, %llu] is NaN or infinite",
         static_cast<unsigned long long>(first_bad / cols),
         static_cast<unsigned long long>(first_bad % cols));
}

void launch_plain_rows(const Queue& queue, const RowQuantizer& quantizer, const MatrixView& w,
                       const QuantParams& params, const PlainOutputParams& output) {
    const Kernel& kernel = queue.kernel(fatbin_quantize_quantize, kQuantize.of(w.type));
    const RowsLaunch rows = plan_rows(quantizer.spec(), w.cols, float_bytes(w.type), kPlainShape,
                                      kernel.dynamic_shared);
    if (rows.windows == 0) fail(Status::kInternalError, "no window fits into shared memory");
    quantizer.launch_rows(kernel, params, rows, w.rows, output);
}

}  // namespace fp6llm::cuda
