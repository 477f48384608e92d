// Running a plan on a GPU: pack activations where they cannot be copied as they are, multiply, finish.
#include "core/gemm/cuda/gemm.hpp"

#include <iterator>

#include "core/common/math.hpp"
#include "core/device/fatbin.hpp"
#include "core/gemm/cuda/activations.cuh"
#include "core/gemm/cuda/plan.hpp"
#include "core/prepack/cuda/weight.hpp"

FP6LLM_DECLARE_FATBIN(gemm_activations);
FP6LLM_DECLARE_FATBIN(gemm_simt);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e3m2_f16);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e2m3_f16);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e3m2_bf16);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e2m3_bf16);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e3m2_f16tag_bf16);
FP6LLM_DECLARE_FATBIN(gemm_sm80_e2m3_f16tag_bf16);

namespace fp6llm::cuda {
namespace {

/// In the order of TileKernel::family.
const Fatbin* const kFamilies[] = {
    &fatbin_gemm_sm80_e3m2_f16,         &fatbin_gemm_sm80_e2m3_f16,
    &fatbin_gemm_sm80_e3m2_bf16,        &fatbin_gemm_sm80_e2m3_bf16,
    &fatbin_gemm_sm80_e3m2_f16tag_bf16, &fatbin_gemm_sm80_e2m3_f16tag_bf16};

constexpr const char* kSimtName = "simt_gemm";
constexpr int kThreads = 256;  // of the kernels in activations.cu and simt.cu
constexpr int64_t kSimtTile = 64;

const CudaWeightView& view_of(const DeviceGemmProblem& problem) {
    return static_cast<const Weight&>(*problem.weight).view();
}

TileProblem tile_problem(const DeviceGemmProblem& problem) {
    const CudaWeightView& weight = view_of(problem);
    return {weight.rows,
            weight.cols,
            problem.tokens,
            problem.transposed,
            weight.held == L3Format::kE2M3,
            weight.tag,
            weight.scale_mode,
            weight.group_size,
            problem.x_type,
            problem.compute};
}

Element element_of(DataType type) {
    return static_cast<Element>(type);
}

bool is_multiple(const void* pointer, size_t bytes) {
    return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

/// Whether rows of a matrix with leading dimension `ld` may be touched four elements at a time.
bool is_vectorizable(const void* data, DataType type, int64_t ld) {
    return data == nullptr || (ld % 4 == 0 && is_multiple(data, 4 * float_bytes(type)));
}

EpilogueParams epilogue_of(const OutputSink& y, const DeviceScalars& scalars) {
    EpilogueParams p{};
    p.y = y.data;
    p.ldy = y.ld;
    p.bias = y.bias;
    p.residual = y.residual;
    p.ldr = y.ldr;
    p.alpha_pointer = scalars.alpha;
    p.beta_pointer = scalars.beta;
    p.alpha = y.alpha;
    p.beta = y.beta;
    p.y_type = element_of(y.type);
    p.bias_type = element_of(y.bias_type);
    p.residual_type = element_of(y.residual_type);
    p.activation = static_cast<int32_t>(y.activation);
    p.vector_rows = is_vectorizable(y.data, y.type, y.ld) &&
                    is_vectorizable(y.residual, y.residual_type, y.ldr);
    return p;
}

/// One thread per item.
LaunchConfig linear_launch(const Queue& queue, int64_t items) {
    LaunchConfig config;
    config.grid.x = static_cast<uint32_t>(ceil_div(items, int64_t{kThreads}));
    config.block.x = kThreads;
    config.stream = queue.stream();
    return config;
}

void finish(const Queue& queue, const FinishParams& params) {
    const int64_t quads = ceil_div(params.rows, int64_t{4});
    launch(queue.kernel(fatbin_gemm_activations, "finish_products"),
           linear_launch(queue, quads * params.tokens), params);
}

void run_simt(const Queue& queue, const DeviceGemmProblem& problem, const TokenSource& x,
              const EpilogueParams& epilogue) {
    const CudaWeightView& weight = view_of(problem);
    SimtParams p{};
    p.weights = weight.units;
    p.scales = weight.scales;
    p.x = x.data;
    p.token_stride = x.token_stride;
    p.k_stride = x.k_stride;
    p.epilogue = epilogue;
    p.rows = weight.rows;
    p.cols = weight.cols;
    p.tokens = problem.tokens;
    p.k_units = static_cast<int32_t>(weight.k_units);
    p.groups = static_cast<int32_t>(weight.groups);
    p.group_size = static_cast<int32_t>(weight.group_size);
    p.x_type = element_of(x.type);
    p.is_bf16_tag = weight.tag == L3Tag::kBF16;
    p.is_e2m3 = weight.held == L3Format::kE2M3;
    p.is_row_scaled = weight.scale_mode == ScaleMode::kRow;
    p.is_mx = weight.scale_mode == ScaleMode::kMx;
    p.is_transposed = problem.transposed;
    LaunchConfig config;
    config.grid.x = static_cast<uint32_t>(ceil_div(problem.outputs(), kSimtTile));
    config.grid.y = static_cast<uint32_t>(ceil_div(problem.tokens, kSimtTile));
    config.block.x = kThreads;
    config.stream = queue.stream();
    launch(queue.kernel(fatbin_gemm_simt, kSimtName), config, p);
}

/// Whether the kernel can copy activations as they are, 16 bytes at a time.
bool is_ready(const Operand& operand, const TokenSource& x, int64_t tokens) {
    return operand.parts == 1 && element_of(x.type) == operand.element && x.k_stride == 1 &&
           (x.token_stride % 8 == 0 || tokens == 1) && x.k % 8 == 0 && is_multiple(x.data, 16);
}

/// Activations that the kernel can copy; where they are not so, copies of them in `packed`. Gives the
/// leading dimension.
const void* pack(const Queue& queue, const TilePlan& plan, const TokenSource& x, int64_t tokens,
                 uint8_t* packed, int64_t* ld) {
    if (is_ready(plan.operand, x, tokens)) {
        *ld = x.token_stride;
        return x.data;
    }
    PackParams p{};
    p.x = x.data;
    p.token_stride = x.token_stride;
    p.k_stride = x.k_stride;
    p.packed = reinterpret_cast<uint16_t*>(packed);
    p.ld = plan.packed_ld;
    p.tokens = tokens;
    p.k = x.k;
    p.x_type = element_of(x.type);
    p.type = plan.operand.element;
    p.parts = plan.operand.parts;
    launch(queue.kernel(fatbin_gemm_activations, "pack_activations"),
           linear_launch(queue, plan.packed_ld / 8 * tokens), p);
    *ld = plan.packed_ld;
    return packed;
}

void run_tiles(const Queue& queue, const TilePlan& plan, const DeviceGemmProblem& problem,
               const TokenSource& x, const EpilogueParams& epilogue, const GemmScratch& scratch) {
    const CudaWeightView& weight = view_of(problem);
    uint8_t* raw = static_cast<uint8_t*>(scratch.workspace);
    uint8_t* partials = raw + plan.raw_bytes;
    uint8_t* packed = partials + plan.partial_bytes;  // last: needed_workspace() may leave it out

    GemmParams p{};
    p.weights = weight.units;
    p.scales = weight.scales;
    p.x = pack(queue, plan, x, problem.tokens, packed, &p.ldx);
    p.epilogue = epilogue;
    p.partials = reinterpret_cast<float*>(partials);
    p.counters = static_cast<uint32_t*>(scratch.locks);
    p.units = plan.tiles() * plan.k_units;
    p.rows = static_cast<int32_t>(weight.rows);
    p.tokens = static_cast<int32_t>(problem.tokens * plan.operand.parts);
    p.k = static_cast<int32_t>(weight.cols);
    p.row_blocks = static_cast<int32_t>(weight.row_blocks);
    p.k_units = static_cast<int32_t>(plan.k_units);
    p.token_tiles = static_cast<int32_t>(plan.token_tiles);
    p.groups = static_cast<int32_t>(weight.groups);
    p.group_size = static_cast<int32_t>(weight.group_size);
    p.mx = weight.scale_mode == ScaleMode::kMx;
    if (plan.operand.parts > 1) {  // the parts are tokens of their own, summed up afterwards
        p.epilogue = EpilogueParams{};
        p.epilogue.y = raw;
        p.epilogue.ldy = plan.raw_ld;
        p.epilogue.y_type = Element::kF32;
        p.epilogue.alpha = 1.0f;
        p.epilogue.vector_rows = 1;
    }
    LaunchConfig config;
    config.grid.x = static_cast<uint32_t>(plan.blocks);
    config.block.x = static_cast<uint32_t>(plan.kernel.shape.threads());
    config.dynamic_shared = static_cast<size_t>(plan.kernel.shape.shared_bytes());
    config.stream = queue.stream();
    launch(queue.kernel(*kFamilies[plan.kernel.family], plan.kernel.name), config, p);

    if (plan.operand.parts > 1) {
        FinishParams f{};
        f.raw = reinterpret_cast<const float*>(raw);
        f.ld = plan.raw_ld;
        f.tokens = problem.tokens;
        f.rows = weight.rows;
        f.parts = plan.operand.parts;
        f.epilogue = epilogue;
        finish(queue, f);
    }
}

}  // namespace

const char* kernel_name(const TilePlan& plan) noexcept {
    return plan.kernel.name != nullptr ? plan.kernel.name : kSimtName;
}

std::vector<TilePlan> plan_gemm(const DeviceProperties& device, const DeviceGemmProblem& problem) {
    return tile_plans(device, tile_problem(problem));
}

TilePlan choose_plan(const DeviceProperties& device, const DeviceGemmProblem& problem,
                     int32_t algo) {
    return choose_tile_plan(device, tile_problem(problem), algo);
}

size_t needed_workspace(const TilePlan& plan, const DeviceGemmProblem& problem,
                        const TokenSource& x) {
    const bool ready = is_ready(plan.operand, x, problem.tokens);
    return plan.workspace_bytes() - (ready ? plan.packed_bytes : 0);
}

void run_gemm(const Queue& queue, const TilePlan& plan, const DeviceGemmProblem& problem,
              const TokenSource& x, const OutputSink& y, const DeviceScalars& scalars,
              const GemmScratch& scratch) {
    if (problem.tokens == 0 || problem.outputs() == 0) return;
    const EpilogueParams epilogue = epilogue_of(y, scalars);
    const bool is_zero = scalars.alpha == nullptr && y.alpha == 0.0f;
    if (problem.k() == 0 || is_zero) {  // no product
        FinishParams f{};
        f.tokens = problem.tokens;
        f.rows = problem.outputs();
        f.epilogue = epilogue;
        return finish(queue, f);
    }
    if (plan.kernel.name == nullptr) return run_simt(queue, problem, x, epilogue);
    run_tiles(queue, plan, problem, x, epilogue, scratch);
}

}  // namespace fp6llm::cuda
