// Plans: which tile, how many blocks, what workspace. Everything that measurements may change is in
// the tables below.
#include "core/gemm/cuda/plan.hpp"

#include <algorithm>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/gemm/cuda/tiles.hpp"

namespace fp6llm::cuda {
namespace {

// ---- tables -------------------------------------------------------------------------------------

/// For up to `tokens` tokens, the tile of `tile` tokens.
struct TileRule {
    int64_t tokens;
    int tile;
};
/// Three tiles of 64 tokens instead of two of 128: warps have the same 32 rows x 64 tokens in both, and
/// L2 gives as many bytes (84 KB for 88), but a quarter of the products is not padding. Computed, not
/// measured.
constexpr TileRule kRowRules[] = {{8, 8},     {16, 16},  {32, 32},        {64, 64},
                                  {128, 128}, {192, 64}, {INT64_MAX, 128}};
constexpr TileRule kGroupRules[] = {{8, 8}, {16, 16}, {32, 32}, {64, 64}, {INT64_MAX, 128}};
constexpr TileRule kGroupK8Rules[] = {{INT64_MAX, 16}};

/// Blocks may split tiles (stream-K) where whole tiles would leave more than this share of the GPU idle.
constexpr double kMaxIdleShare = 0.08;
/// A block takes at least so many k128 slabs, to fill its ring once.
constexpr int64_t kMinSlabsPerBlock = 4;

/// Kernel families: the order of the fatbins in gemm.cpp.
enum Family { kE3M2F16, kE2M3F16, kE3M2BF16, kE2M3BF16, kE3M2F16TagBF16, kE2M3F16TagBF16 };

#define FP6LLM_ROW_NAMES(prefix)                                                   \
    {                                                                              \
        prefix "_row_n8", prefix "_row_n16", prefix "_row_n32", prefix "_row_n64", \
            prefix "_row_n128", prefix "_row_n256"                                 \
    }
#define FP6LLM_GROUP_NAMES(prefix)                                                         \
    {                                                                                      \
        prefix "_group_n8", prefix "_group_n16", prefix "_group_n32", prefix "_group_n64", \
            prefix "_group_n128"                                                           \
    }
struct FamilyNames {
    const char* row[std::size(kRowTiles)];
    const char* group[std::size(kGroupTiles)];
    const char* group_k8[std::size(kGroupK8Tiles)];
};
#define FP6LLM_FAMILY(prefix)                                   \
    FamilyNames {                                               \
        FP6LLM_ROW_NAMES(prefix), FP6LLM_GROUP_NAMES(prefix), { \
            prefix "_group8_n16"                                \
        }                                                       \
    }
constexpr FamilyNames kFamilies[] = {
    FP6LLM_FAMILY("sm80_e3m2_f16_gemm"),         FP6LLM_FAMILY("sm80_e2m3_f16_gemm"),
    FP6LLM_FAMILY("sm80_e3m2_bf16_gemm"),        FP6LLM_FAMILY("sm80_e2m3_bf16_gemm"),
    FP6LLM_FAMILY("sm80_e3m2_f16tag_bf16_gemm"), FP6LLM_FAMILY("sm80_e2m3_f16tag_bf16_gemm")};
#undef FP6LLM_ROW_NAMES
#undef FP6LLM_GROUP_NAMES
#undef FP6LLM_FAMILY

// -------------------------------------------------------------------------------------------------

constexpr size_t aligned(int64_t bytes) {
    return static_cast<size_t>(round_up(bytes, int64_t{256}));
}

int family_of(const TileProblem& problem, Element element) {
    if (element == Element::kF16) return problem.is_e2m3 ? kE2M3F16 : kE3M2F16;
    if (problem.tag == L3Tag::kBF16) return problem.is_e2m3 ? kE2M3BF16 : kE3M2BF16;
    return problem.is_e2m3 ? kE2M3F16TagBF16 : kE3M2F16TagBF16;
}

/// The kernels that can run a problem, by tokens.
struct KernelList {
    const TileShape* shapes;
    const char* const* names;
    int count;
    const TileRule* rules;
    int family;
};

KernelList kernels_for(const TileProblem& problem, int family) {
    const FamilyNames& names = kFamilies[family];
    if (problem.scale_mode == ScaleMode::kRow)
        return {kRowTiles, names.row, static_cast<int>(std::size(kRowTiles)), kRowRules, family};
    if (problem.group_size % 32 == 0)
        return {kGroupTiles, names.group, static_cast<int>(std::size(kGroupTiles)), kGroupRules,
                family};
    return {kGroupK8Tiles, names.group_k8, static_cast<int>(std::size(kGroupK8Tiles)),
            kGroupK8Rules, family};
}

/// Index of the tile that the rules prefer.
int preferred(const KernelList& kernels, int64_t tokens) {
    const TileRule* rule = kernels.rules;
    while (tokens > rule->tokens)
        ++rule;
    for (int i = 0; i < kernels.count; ++i)
        if (kernels.shapes[i].tokens == rule->tile) return i;
    return kernels.count - 1;
}

TilePlan plan_tiles(const DeviceProperties& device, const TileProblem& problem,
                    const Operand& operand, const KernelList& kernels, int index) {
    const TileShape& shape = kernels.shapes[index];
    TilePlan plan{};
    plan.algo = kAlgoSm80 + shape.tokens;
    plan.kernel = {kernels.names[index], kernels.family, shape};
    plan.operand = operand;
    const int64_t tokens = problem.tokens * operand.parts;
    plan.token_tiles = ceil_div(tokens, int64_t{shape.tokens});
    plan.row_tiles = ceil_div(problem.rows, int64_t{shape.rows()});
    plan.k_units = ceil_div(problem.cols, int64_t{kUnitCols});

    const int64_t capacity =
        int64_t{device.multiprocessors} * std::max(1, resident_blocks(device, shape));
    const int64_t tiles = plan.tiles(), units = tiles * plan.k_units;
    const int64_t waves = ceil_div(tiles, capacity);
    const double idle = 1.0 - static_cast<double>(tiles) / static_cast<double>(waves * capacity);
    int64_t blocks = tiles;
    if (idle > kMaxIdleShare)
        blocks = std::max(std::min(capacity, units / kMinSlabsPerBlock), std::min(tiles, capacity));
    plan.blocks = static_cast<int>(std::max<int64_t>(blocks, 1));
    // Blocks begin at b * units / blocks: at whole tiles only if tiles divide among them.
    plan.are_shared = tiles % plan.blocks != 0;

    plan.packed_ld = round_up(problem.cols, int64_t{8});
    plan.packed_bytes = aligned(tokens * plan.packed_ld * 2);
    if (operand.parts > 1) {
        plan.raw_ld = round_up(problem.rows, int64_t{4});
        plan.raw_bytes = aligned(tokens * plan.raw_ld * 4);
    }
    if (plan.are_shared) {
        plan.partial_bytes = aligned(int64_t{2} * plan.blocks * shape.tile_floats() * 4);
        plan.lock_bytes = aligned(int64_t{4} * plan.blocks);
    }
    return plan;
}

TilePlan plan_simt() {
    TilePlan plan{};
    plan.algo = kAlgoSimt;
    return plan;
}

bool is_offered(ComputeType compute) {
    return compute == ComputeType::kF32 || compute == ComputeType::kF32FastF16 ||
           compute == ComputeType::kF32FastBF16;
}

/// Kernels count rows, columns and tokens (of all parts) in 32 bits.
void check_sizes(const TileProblem& problem) {
    constexpr int64_t kMost = INT32_MAX - 1024;
    if (problem.rows > kMost || problem.cols > kMost || problem.tokens > kMost / 3) {
        fail(Status::kNotSupported,
             "[%lld, %lld] times %lld tokens on CUDA; rows and columns below 2^31, tokens below "
             "2^31 / 3 are supported",
             static_cast<long long>(problem.rows), static_cast<long long>(problem.cols),
             static_cast<long long>(problem.tokens));
    }
}

}  // namespace

Operand operand_of(const TileProblem& problem) noexcept {
    const bool bf16_tag = problem.tag == L3Tag::kBF16;
    switch (problem.x_type) {
        case DataType::kF16:  // exact as it is, or as two bfloat16 numbers
            return bf16_tag ? Operand{Element::kBF16, 2} : Operand{Element::kF16, 1};
        case DataType::kBF16:
            return {Element::kBF16, 1};
        default:
            break;
    }
    switch (problem.compute) {
        case ComputeType::kF32FastF16:  // never less exact than fp16
            return bf16_tag ? Operand{Element::kBF16, 2} : Operand{Element::kF16, 1};
        case ComputeType::kF32FastBF16:
            return {Element::kBF16, 1};
        default:
            return {Element::kBF16, 3};
    }
}

TileTraffic tile_traffic(const TilePlan& plan, const TileProblem& problem) {
    TileTraffic traffic{};
    traffic.codes =
        plan.token_tiles * ceil_div(problem.rows, int64_t{kUnitRows}) * plan.k_units * kUnitBytes;
    traffic.activations = plan.row_tiles * problem.tokens * plan.operand.parts * plan.packed_ld * 2;
    const int64_t units = plan.tiles() * plan.k_units;
    int64_t parts = 0;  // of tiles that several blocks share
    for (int64_t block = 0; block < plan.blocks; ++block) {
        const int64_t begin = block * units / plan.blocks, end = (block + 1) * units / plan.blocks;
        if (begin == end) continue;
        const bool starts_within = begin % plan.k_units != 0, ends_within = end % plan.k_units != 0;
        const bool is_one_tile = begin / plan.k_units == (end - 1) / plan.k_units;
        parts += is_one_tile ? starts_within || ends_within : starts_within + ends_within;
    }
    traffic.partials = parts * plan.kernel.shape.tile_floats() * 4;
    return traffic;
}

int resident_blocks(const DeviceProperties& device, const TileShape& shape) {
    const size_t shared =
        static_cast<size_t>(shape.shared_bytes()) + device.reserved_shared_per_block;
    if (static_cast<size_t>(shape.shared_bytes()) > device.shared_per_block) return 0;
    const int by_shared = static_cast<int>(device.shared_per_multiprocessor / shared);
    const int by_threads = device.threads_per_multiprocessor / shape.threads();
    return std::min({by_shared, by_threads, shape.min_blocks, device.blocks_per_multiprocessor});
}

std::vector<TilePlan> tile_plans(const DeviceProperties& device, const TileProblem& problem) {
    std::vector<TilePlan> plans;
    if (!is_offered(problem.compute)) return plans;
    check_sizes(problem);
    if (!problem.transposed) {
        const Operand operand = operand_of(problem);
        const KernelList kernels = kernels_for(problem, family_of(problem, operand.element));
        const int first = preferred(kernels, problem.tokens * operand.parts);
        // The preferred tile, then narrower ones, then wider ones.
        std::vector<int> order;
        for (int i = first; i >= 0; --i)
            order.push_back(i);
        for (int i = first + 1; i < kernels.count; ++i)
            order.push_back(i);
        for (const int i : order)
            if (resident_blocks(device, kernels.shapes[i]) > 0)
                plans.push_back(plan_tiles(device, problem, operand, kernels, i));
    }
    plans.push_back(plan_simt());
    return plans;
}

TilePlan choose_tile_plan(const DeviceProperties& device, const TileProblem& problem,
                          int32_t algo) {
    if (!is_offered(problem.compute)) {
        fail(Status::kNotSupported,
             "computeType = %d on CUDA; 32F (68), 32F_FAST_16F (74) and 32F_FAST_16BF (75) are "
             "supported",
             static_cast<int>(problem.compute));
    }
    check_sizes(problem);
    if (algo == kAlgoSimt || (algo == -1 && problem.transposed)) return plan_simt();
    bool is_known = algo == -1;
    for (const TileShape& shape : kRowTiles)
        is_known = is_known || algo == kAlgoSm80 + shape.tokens;
    if (!is_known) fail(Status::kInvalidValue, "algo = %d is none of a CUDA handle's", algo);
    if (problem.transposed) {
        fail(Status::kNotSupported, "algo = %d with transa = N; %d is supported", algo, kAlgoSimt);
    }
    const Operand operand = operand_of(problem);
    const KernelList kernels = kernels_for(problem, family_of(problem, operand.element));
    int index = preferred(kernels, problem.tokens * operand.parts);
    if (algo == -1) {
        while (index > 0 && resident_blocks(device, kernels.shapes[index]) == 0)
            --index;
        return plan_tiles(device, problem, operand, kernels, index);
    }
    for (int i = 0; i < kernels.count; ++i) {
        const TileShape& shape = kernels.shapes[i];
        if (algo == kAlgoSm80 + shape.tokens && resident_blocks(device, shape) > 0)
            return plan_tiles(device, problem, operand, kernels, i);
    }
    fail(Status::kNotSupported,
         "algo = %d with these scales or on this device; fp6llmGemmGetHeuristic() lists what is "
         "supported",
         algo);
}

}  // namespace fp6llm::cuda
