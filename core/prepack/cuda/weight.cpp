#include "core/prepack/cuda/weight.hpp"

#include <algorithm>
#include <cstring>

#include "core/common/math.hpp"
#include "core/prepack/blob.hpp"
#include "core/prepack/cuda/params.hpp"
#include "core/quantize/cuda/quantize.hpp"
#include "core/quantize/cuda/row_quantizer.hpp"

FP6LLM_DECLARE_FATBIN(prepack_units);
FP6LLM_DECLARE_FATBIN(prepack_quantize_units);

namespace fp6llm::cuda {
namespace {

constexpr KernelNames kQuantizeUnits{"quantize_units_f32", "quantize_units_f16",
                                     "quantize_units_bf16"};
/// Of quantize_units.cu: rows r and r + 8, whole units.
constexpr OutputShape kUnitShape{2, kUnitCols, 0};
constexpr int64_t kSectionAlignment = 256;
constexpr int64_t kMaxBlocks = int64_t{1} << 30;
constexpr int kScaleThreads = 256;

/// Where things lie in a blob; weight.hpp has the picture.
struct Geometry {
    int64_t row_blocks, k_units, groups;
    int64_t units_offset, scales_offset, scales_end, total_bytes;
};

Geometry geometry_of(const QuantSpec& spec, int64_t rows, int64_t cols) {
    Geometry g{};
    // No columns, no blocks: such a matrix may have any number of rows.
    g.row_blocks = cols > 0 ? ceil_div(rows, kUnitRows) : 0;
    g.k_units = ceil_div(cols, kUnitCols);
    g.groups = spec.groups(cols);
    const int64_t unit_bytes =
        checked_mul(checked_mul(g.row_blocks, kUnitBytes, "rows"), g.k_units, "rows * cols");
    const bool is_mx = spec.scale_mode == ScaleMode::kMx;
    const int64_t scale_bytes = checked_mul(checked_mul(g.row_blocks, kUnitRows * 4, "rows"),
                                            is_mx ? g.k_units : g.groups, "rows * groups");
    g.units_offset = static_cast<int64_t>(sizeof(BlobHeader));
    g.scales_offset = g.units_offset + unit_bytes;
    g.scales_end = g.scales_offset + scale_bytes;
    g.total_bytes = round_up(g.scales_end, kSectionAlignment);
    return g;
}

CudaWeightView make_view(const QuantSpec& spec, L3Tag tag, int64_t rows, int64_t cols,
                         const uint8_t* blob) {
    const Geometry g = geometry_of(spec, rows, cols);
    CudaWeightView view{};
    view.rows = rows;
    view.cols = cols;
    view.row_blocks = g.row_blocks;
    view.k_units = g.k_units;
    view.format = find_format(spec.format);
    view.held = held_format(spec.format);
    view.tag = tag;
    view.scale_mode = spec.scale_mode;
    view.scale_type = spec.scale_type;
    view.group_size = spec.group_size;
    view.groups = g.groups;
    view.units = blob + g.units_offset;
    view.scales = blob + g.scales_offset;
    return view;
}

/// A view's memory, by whoever may write to it.
uint8_t* writable(const void* memory) noexcept {
    return static_cast<uint8_t*>(const_cast<void*>(memory));
}

LaunchConfig config_for(const Queue& queue, int64_t blocks, int threads) {
    LaunchConfig config;
    config.grid.x = static_cast<uint32_t>(std::min(blocks, kMaxBlocks));
    config.block.x = static_cast<uint32_t>(threads);
    config.stream = queue.stream();
    return config;
}

void write_frame(const Queue& queue, const QuantSpec& spec, L3Tag tag, int64_t rows, int64_t cols,
                 uint8_t* blob) {
    const Geometry g = geometry_of(spec, rows, cols);
    FrameParams params{};
    params.blob = blob;
    params.scales_end = g.scales_end;
    params.total_bytes = g.total_bytes;
    params.header = make_blob_header(kBlobBackendCuda, static_cast<uint32_t>(tag), spec, rows, cols,
                                     g.total_bytes);
    launch(queue.kernel(fatbin_prepack_units, "l3_write_frame"),
           config_for(queue, 1, kScaleThreads), params);
}

UnitParams unit_params(const CudaWeightView& view) {
    UnitParams params{};
    params.units = writable(view.units);
    params.row_blocks = view.row_blocks;
    params.k_units = view.k_units;
    params.rows = view.rows;
    params.cols = view.cols;
    params.tag = view.tag;
    params.holding = holding_of(view.format->type);
    params.bits = view.format->bits;
    return params;
}

/// Runs a kernel of units.cu.
void move_codes(const Queue& queue, const char* kernel, const UnitParams& params) {
    const int64_t units = params.row_blocks * params.k_units;
    if (units == 0) return;
    launch(queue.kernel(fatbin_prepack_units, kernel), config_for(queue, units, kUnitThreads),
           params);
}

/// Codes between units and the plain format.
void move_plain(const Queue& queue, const char* kernel, const CudaWeightView& view, void* codes) {
    UnitParams params = unit_params(view);
    params.packed = static_cast<uint8_t*>(codes);
    params.row_bytes = view.cols / 8 * params.bits + ceil_div(view.cols % 8 * params.bits, 8);
    move_codes(queue, kernel, params);
}

/// Codes between units and a published layout.
void move_packed(const Queue& queue, PackedLayout layout, bool imports, const CudaWeightView& view,
                 void* packed) {
    UnitParams params = unit_params(view);
    params.packed = static_cast<uint8_t*>(packed);
    if (layout == PackedLayout::kTcFpx) {
        params.last_offset = view.rows * view.cols / 8 * (params.bits - 4);
        return move_codes(queue, imports ? "l3_import_tc_fpx" : "l3_export_tc_fpx", params);
    }
    params.row_bytes = ceil_div(view.cols, 2);
    const int64_t first_bytes = view.rows * params.row_bytes;
    params.last_offset = round_up(first_bytes, 64);
    if (!imports) {
        fill_bytes(params.packed + first_bytes, 0,
                   static_cast<size_t>(params.last_offset - first_bytes), queue.stream());
    }
    move_codes(queue, imports ? "l3_import_split_4_2" : "l3_export_split_4_2", params);
}

void move_scales(const Queue& queue, const char* kernel, const CudaWeightView& view, void* plain) {
    UnitScaleParams params{};
    params.held = writable(view.scales);
    params.plain = static_cast<uint8_t*>(plain);
    params.row_blocks = view.row_blocks;
    params.k_units = view.k_units;
    params.rows = view.rows;
    params.groups = view.groups;
    params.type = static_cast<int32_t>(view.scale_type);
    params.mx = view.scale_mode == ScaleMode::kMx ? 1 : 0;
    const int64_t scales =
        view.row_blocks * kUnitRows * (params.mx != 0 ? 4 * view.k_units : view.groups);
    if (scales == 0) return;
    launch(queue.kernel(fatbin_prepack_units, kernel),
           config_for(queue, ceil_div(scales, kScaleThreads), kScaleThreads), params);
}

/// Quantizes straight into units, if the groups allow it; enqueues only.
bool quantize_units(const Queue& queue, const RowQuantizer& quantizer, const MatrixView& w,
                    uint64_t* first_bad, const CudaWeightView& view) {
    const Kernel& kernel = queue.kernel(fatbin_prepack_quantize_units, kQuantizeUnits.of(w.type));
    const RowsLaunch rows =
        plan_rows(quantizer.spec(), w.cols, float_bytes(w.type), kUnitShape, kernel.dynamic_shared);
    if (rows.windows == 0) return false;
    QuantParams params = quantizer.params();
    params.first_bad = first_bad;
    UnitOutputParams output{};
    output.units = writable(view.units);
    output.scales = writable(view.scales);
    output.row_blocks = view.row_blocks;
    output.k_units = view.k_units;
    output.holding = holding_of(view.format->type);
    quantizer.launch_rows(kernel, params, rows, view.row_blocks * kUnitRows / kUnitShape.rows,
                          output);
    return true;
}

}  // namespace

Weight::Weight(const Queue& queue, const QuantSpec& spec, int64_t rows, int64_t cols, L3Tag tag) {
    spec_ = stored_spec(spec);
    rows_ = rows;
    cols_ = cols;
    ordinal_ = queue.device().ordinal;
    bytes_ = blob_bytes(spec, rows, cols);
    view_.tag = tag;
}

uint8_t* Weight::make_blob(const Queue& queue) {
    own_ = queue.allocate(bytes_);
    auto* blob = static_cast<uint8_t*>(own_.data());
    view_ = make_view(spec_, view_.tag, rows_, cols_, blob);
    write_frame(queue, spec_, view_.tag, rows_, cols_, blob);
    return blob;
}

size_t Weight::blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols) {
    return static_cast<size_t>(geometry_of(spec, rows, cols).total_bytes);
}

void Weight::pack_blob(const Queue& queue, const QuantSpec& spec, int64_t rows, int64_t cols,
                       const uint8_t* codes, const void* scales, uint8_t* blob) {
    const CudaWeightView view = make_view(spec, L3Tag::kF16, rows, cols, blob);
    write_frame(queue, spec, view.tag, rows, cols, blob);
    move_plain(queue, "l3_pack", view, writable(codes));
    move_scales(queue, "l3_pack_scales", view, writable(scales));
}

std::unique_ptr<Weight> Weight::from_floats(const Queue& queue, const QuantSpec& spec,
                                            const MatrixView& w) {
    const L3Tag tag = l3_tag_for(w.type);
    if (w.rows == 0 || w.cols == 0) {
        QuantSpec settled = spec;
        if (spec.format == DataType::kAuto6) settled.format = DataType::kE3M2;
        std::unique_ptr<Weight> weight(new Weight(queue, settled, w.rows, w.cols, tag));
        weight->make_blob(queue);
        queue.synchronize();
        return weight;
    }
    RowQuantizer quantizer(queue, spec, w);
    std::unique_ptr<Weight> weight(new Weight(queue, quantizer.spec(), w.rows, w.cols, tag));
    weight->make_blob(queue);
    // NaN and Inf are found on the way: what they spoil is a blob that nobody gets.
    const bool checks = quantizer.must_check();
    uint64_t* first_bad = checks ? quantizer.new_bad_element() : nullptr;
    DeviceBuffer codes, scales;
    if (!quantize_units(queue, quantizer, w, first_bad, weight->view_)) {
        // Groups that fit neither units nor shared memory, of 72 or 4088 columns say, go by way of
        // plain codes.
        const QuantSizes sizes = quant_sizes(quantizer.spec(), w.rows, w.cols);
        codes = queue.allocate(sizes.code_bytes);
        scales = queue.allocate(sizes.scale_bytes);
        quantize(queue, quantizer.spec(), w, static_cast<uint8_t*>(codes.data()), scales.data(),
                 nullptr);
        move_plain(queue, "l3_pack", weight->view_, codes.data());
        move_scales(queue, "l3_pack_scales", weight->view_, scales.data());
    }
    if (checks) {
        quantizer.check_finite();
    } else {
        queue.synchronize();
    }
    return weight;
}

std::unique_ptr<Weight> Weight::from_codes(const Queue& queue, const QuantSpec& spec, int64_t rows,
                                           int64_t cols, const uint8_t* codes, const void* scales) {
    std::unique_ptr<Weight> weight(new Weight(queue, spec, rows, cols, L3Tag::kF16));
    weight->make_blob(queue);
    move_plain(queue, "l3_pack", weight->view_, writable(codes));
    move_scales(queue, "l3_pack_scales", weight->view_, writable(scales));
    queue.synchronize();
    return weight;
}

std::unique_ptr<Weight> Weight::from_packed(const Queue& queue, PackedLayout layout,
                                            const QuantSpec& spec, int64_t rows, int64_t cols,
                                            const uint8_t* packed, const void* scales) {
    std::unique_ptr<Weight> weight(new Weight(queue, spec, rows, cols, L3Tag::kF16));
    weight->make_blob(queue);
    move_packed(queue, layout, true, weight->view_, writable(packed));
    move_scales(queue, "l3_pack_scales", weight->view_, writable(scales));
    queue.synchronize();
    return weight;
}

std::unique_ptr<Weight> Weight::from_blob(const Queue& queue, const uint8_t* blob, size_t bytes) {
    BlobHeader header{};
    if (bytes >= sizeof header) {
        copy_to_host(&header, blob, sizeof header, queue.stream());
        queue.synchronize();
    }
    const QuantSpec spec = check_blob_header(header, bytes, kBlobBackendCuda, "CUDA");
    const auto tag = static_cast<L3Tag>(header.layout);
    if (tag != L3Tag::kF16 && tag != L3Tag::kBF16) {
        fail(Status::kNotSupported, "blob has layout %u; this version knows L3's tags %u and %u",
             header.layout, static_cast<unsigned>(L3Tag::kF16),
             static_cast<unsigned>(L3Tag::kBF16));
    }
    const Geometry g = geometry_of(spec, header.rows, header.cols);
    check_blob_size(header, g.total_bytes, bytes);
    std::unique_ptr<Weight> weight(new Weight(queue, spec, header.rows, header.cols, tag));
    weight->view_ = make_view(spec, tag, header.rows, header.cols, blob);
    return weight;
}

void Weight::check_context(const Queue& queue) const {
    if (is_view() || own_.context_id() == queue.context().id()) return;
    fail(
        Status::kInvalidValue,
        "the weight was made in CUDA context %llu of device %d (which may since be destroyed), the "
        "call is in context %llu; a weight can be used only in the context it was made in",
        own_.context_id(), ordinal(), queue.context().id());
}

const char* Weight::layout_name() const noexcept {
    return view_.tag == L3Tag::kBF16 ? "cuda-l3-bf16/1" : "cuda-l3-f16/1";
}

void Weight::export_codes(const Queue& queue, uint8_t* codes, void* scales) const {
    if (codes != nullptr) move_plain(queue, "l3_unpack", view_, codes);
    if (scales != nullptr) move_scales(queue, "l3_unpack_scales", view_, scales);
}

void Weight::export_packed(const Queue& queue, PackedLayout layout, uint8_t* packed,
                           void* scales) const {
    if (packed != nullptr) move_packed(queue, layout, false, view_, packed);
    if (scales != nullptr) move_scales(queue, "l3_unpack_scales", view_, scales);
}

}  // namespace fp6llm::cuda
