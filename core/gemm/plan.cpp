// Choosing a kernel, a token block and a thread count. The rules, in order; each has its test in
// tests/unit/gemm/plan_test.cpp:
//
//   1. A kernel must be built, run on the given ISA, and read the weight's swizzle (portable kernels
//      read every one) and its group size.
//   2. Its arithmetic must keep what the compute type promises (keeps_promise); more exact than
//      asked is allowed.
//   3. Best first: the highest instruction set; then kernels that win with so many tokens
//      (CpuGemmKernel::wins); then the fastest arithmetic (speed); then the kernel with the
//      smallest max_tokens that takes the call in one block, else the one with the largest; of equals
//      the one that needs the fewest tiles, then the one that takes the fewest group sizes.
//   4. Where a kernel has few calls and tokens, k is cut in segments (SplitK), so that many threads have
//      even shares; whatever the number of threads.
//   5. The transposed product has one algorithm, with the best set that reads the swizzle.
//   6. The reference is last.
#include "core/gemm/plan.hpp"

#include <algorithm>

#include "core/common/error.hpp"
#include "core/common/math.hpp"
#include "core/common/work_split.hpp"
#include "core/gemm/workspace.hpp"

namespace fp6llm {
namespace {

/// Packed activations of one block stay in a cache that threads share; 2 to 8 MiB measure alike.
constexpr int64_t kPackedBlockBytes = int64_t{4} << 20;
/// Smaller blocks would decode the weight too often, whatever the cache.
constexpr int64_t kMinBlockTokens = 64;
/// Blocks are cut at multiples of this where the kernel names no tile: of every tile in use.
constexpr int64_t kDefaultTile = 16;
/// Units of a block for each thread that leave threads less than 5 % apart; blocks grow to have them.
constexpr int64_t kUnitsPerThread = 32;
/// Up to here.
constexpr int64_t kGrownBlockBytes = 2 * kPackedBlockBytes;

constexpr int kMaxCandidates = 32;

struct Candidate {
    const CpuKernelSet* set;
    const CpuGemmKernel* kernel;
};

struct Candidates {
    Candidate items[kMaxCandidates];
    int count = 0;
    void add(Candidate candidate) {
        if (count < kMaxCandidates) items[count++] = candidate;
    }
};

/// Sets that may run on `isa`, best first.
struct KernelSets {
    const CpuKernelSet* items[3];
    int count = 0;
};
KernelSets kernel_sets(Isa isa) noexcept {
    KernelSets sets;
    for (const CpuKernelSet* set : {avx512_kernels(), avx2_kernels(), portable_kernels()}) {
        if (set != nullptr && set->isa <= isa) sets.items[sets.count++] = set;
    }
    return sets;
}

bool reads_swizzle(const CpuKernelSet& set, const CpuGemmKernel& kernel, CpuSwizzle swizzle) {
    return set.isa == Isa::kPortable || kernel.swizzle == swizzle;
}

/// How exact a compute type wants activations kept: the bits that rounding may leave of each
/// (kF32: all), or of the largest of a block.
bool keeps_promise(Arithmetic arithmetic, const GemmProblem& problem) {
    const ComputeType compute = problem.compute;
    const bool quantized =
        compute == ComputeType::kF32FastI16 || compute == ComputeType::kF32FastI8;
    switch (arithmetic) {
        case Arithmetic::kF32:
            return true;
        case Arithmetic::kBf16x2:
            return problem.x_type != DataType::kF32 || compute != ComputeType::kF32;
        case Arithmetic::kBf16:
            return problem.x_type == DataType::kBF16 || compute == ComputeType::kF32FastBF16 ||
                   compute == ComputeType::kF32FastI8;
        case Arithmetic::kI16:
            return quantized;
        case Arithmetic::kI8:
            return compute == ComputeType::kF32FastI8 &&
                   problem.weight->cpu().family == TileFamily::kE2M3;
    }
    return false;
}

/// Rank of an arithmetic's speed; of equally fast ones, the more exact for these activations.
int speed(Arithmetic arithmetic, DataType x_type) {
    switch (arithmetic) {
        case Arithmetic::kI8:
            return 5;
        case Arithmetic::kBf16:
            return x_type == DataType::kBF16 ? 4 : 2;
        case Arithmetic::kI16:
            return 3;
        case Arithmetic::kBf16x2:
            return 1;
        case Arithmetic::kF32:
            return 0;
    }
    return 0;
}

/// Passes over the weight.
int64_t tiles(const CpuGemmKernel& kernel, int64_t tokens) {
    return kernel.token_tile > 0 ? ceil_div(tokens, kernel.token_tile) : 0;
}

/// Of kernels for at most `a` and `b` tokens, whether the first takes `tokens` better: in one block, of those
/// that can the smaller one, else the larger one.
bool takes_better(int64_t a, int64_t b, int64_t tokens) {
    const bool a_fits = a >= tokens, b_fits = b >= tokens;
    return a_fits != b_fits ? a_fits : a_fits ? a < b : a > b;
}

/// Rule 3, as a strict weak order.
bool better(const Candidate& a, const Candidate& b, const GemmProblem& problem) {
    if (a.set->isa != b.set->isa) return a.set->isa > b.set->isa;
    const bool a_wins = a.kernel->wins(problem.tokens), b_wins = b.kernel->wins(problem.tokens);
    if (a_wins != b_wins) return a_wins;
    const int a_speed = speed(a.kernel->arithmetic, problem.x_type);
    const int b_speed = speed(b.kernel->arithmetic, problem.x_type);
    if (a_speed != b_speed) return a_speed > b_speed;
    const int64_t a_most = a.kernel->max_tokens, b_most = b.kernel->max_tokens;
    if (a_most != b_most) return takes_better(a_most, b_most, problem.tokens);
    const int64_t a_tiles = tiles(*a.kernel, problem.tokens);
    const int64_t b_tiles = tiles(*b.kernel, problem.tokens);
    if (a_tiles != b_tiles) return a_tiles < b_tiles;
    if (a.kernel->group_multiple != b.kernel->group_multiple) {
        return a.kernel->group_multiple > b.kernel->group_multiple;
    }
    return a.kernel->algo < b.kernel->algo;
}

Candidates find_candidates(const GemmProblem& problem, Isa isa) {
    Candidates found;
    const KernelSets sets = kernel_sets(isa);
    const CpuSwizzle swizzle = problem.weight->cpu().swizzle;
    for (int s = 0; s < sets.count; ++s) {
        const CpuKernelSet& set = *sets.items[s];
        for (int i = 0; i < set.count; ++i) {
            const CpuGemmKernel& kernel = set.kernels[i];
            if (problem.transposed) {
                if (!reads_swizzle(set, kernel, swizzle)) continue;
                found.add({&set, nullptr});
                return found;
            }
            if (kernel.isa <= isa && reads_swizzle(set, kernel, swizzle) &&
                kernel_can_run(kernel, problem)) {
                found.add({&set, &kernel});
            }
        }
    }
    return found;
}

bool is_offered(ComputeType compute) noexcept {
    switch (compute) {
        case ComputeType::kF32:
        case ComputeType::kF32FastF16:
        case ComputeType::kF32FastBF16:
        case ComputeType::kF32FastI8:
        case ComputeType::kF32FastI16:
            return true;
        default:
            return false;
    }
}

[[noreturn]] void fail_compute_type(ComputeType compute) {
    if (compute != ComputeType::kF32FastF8) {
        fail(Status::kInvalidValue, "computeType = %d is not a compute type",
             static_cast<int>(compute));
    }
    fail(Status::kNotSupported,
         "computeType = FP6LLM_COMPUTE_32F_FAST_8F: the CPU multiplies with 32F, 32F_FAST_16F, "
         "32F_FAST_16BF, 32F_FAST_16I and 32F_FAST_8I");
}

/// No candidate has `algo`: says whether that is because it does not exist or does not fit.
[[noreturn]] void fail_algo(int32_t algo) {
    const char* name = algo == kAlgoTransposed ? "transposed_f32" : nullptr;
    const KernelSets sets = kernel_sets(Isa::kAvx512Bf16);
    for (int s = 0; s < sets.count; ++s) {
        for (int i = 0; i < sets.items[s]->count; ++i) {
            if (sets.items[s]->kernels[i].algo == algo) name = sets.items[s]->kernels[i].name;
        }
    }
    if (name == nullptr) {
        fail(Status::kInvalidValue, "algo = %d does not exist; fp6llmGemmGetHeuristic() lists them",
             algo);
    }
    fail(Status::kNotSupported,
         "algo = %d (%s) cannot run this operation, types, compute type, group size or layout on "
         "this processor; fp6llmGemmGetHeuristic() lists those that can",
         algo, name);
}

GemmPlan reference_plan() {
    GemmPlan plan{};
    plan.algo = kAlgoReference;
    plan.name = "reference_f64";
    plan.token_block = plan.call_tokens = 1;
    plan.threads = 1;
    return plan;
}

int64_t kernel_calls(const CpuGemmKernel& kernel, const GemmProblem& problem) {
    return ceil_div(problem.weight->cpu().panels, kernel.panels_per_call);
}

/// Panels that calls take together as far as cutting k goes: the kernel's own, or those of the first kernel
/// that is for so many tokens where all kernels of an arithmetic give the same bits.
int64_t panels_together(const CpuKernelSet& set, const CpuGemmKernel& kernel, int64_t tokens) {
    const Arithmetic arithmetic = kernel.arithmetic;
    if (arithmetic != Arithmetic::kI16 && arithmetic != Arithmetic::kI8) {
        return kernel.panels_per_call;
    }
    const CpuGemmKernel* first = &kernel;
    for (int i = 0; i < set.count; ++i) {
        const CpuGemmKernel& other = set.kernels[i];
        if (other.arithmetic != arithmetic) continue;
        if (takes_better(other.max_tokens, first->max_tokens, tokens)) first = &other;
    }
    return first->panels_per_call;
}

/// Tokens that the kernel multiplies at a time.
int64_t call_tokens(const CpuGemmKernel& kernel, const GemmProblem& problem) {
    const int64_t tile = kernel.token_tile > 0 ? kernel.token_tile : kDefaultTile;
    const int64_t tokens = problem.tokens, sample = round_up(kMinBlockTokens, tile);
    const int64_t bytes = static_cast<int64_t>(kernel.packed_bytes(problem.k(), sample));
    int64_t most = std::max(sample, kPackedBlockBytes / std::max<int64_t>(bytes / sample, 1));
    most = std::min(most, std::max<int64_t>(kernel.max_tokens, 1));
    if (most >= tokens) return tokens;
    // Equal blocks rather than full ones and a rest.
    const int64_t even = ceil_div(tokens, ceil_div(tokens, most));
    return most < tile ? most : std::min(round_up(even, tile), most / tile * tile);
}

/// Tokens that are packed at a time: what the kernel takes, or so many times that as many threads
/// need to have their share. Either way blocks are cut where tiles are, so threads change no bit.
int64_t block_tokens(const CpuGemmKernel& kernel, const GemmProblem& problem, int64_t call,
                     int threads) {
    const int64_t tile = kernel.token_tile, tokens = problem.tokens;
    if (threads == 1 || tile == 0 || call % tile != 0 || call >= tokens) return call;
    const int64_t calls = std::max<int64_t>(kernel_calls(kernel, problem), 1);
    const int64_t wanted = ceil_div(kUnitsPerThread * threads, calls * (call / tile));
    const int64_t bytes = static_cast<int64_t>(kernel.packed_bytes(problem.k(), call));
    const int64_t most = call * std::clamp<int64_t>(kGrownBlockBytes / std::max<int64_t>(bytes, 1),
                                                    1, std::max<int64_t>(wanted, 1));
    if (most >= tokens) return tokens;
    return std::min(most, round_up(ceil_div(tokens, ceil_div(tokens, most)), tile));
}

int thread_count(const GemmProblem& problem, int most) {
    const CpuWeightView& weight = problem.weight->cpu();
    return useful_threads(weight.panels * weight.k_tiles * kTileBytes, problem.tokens, most);
}

}  // namespace

bool kernel_can_run(const CpuGemmKernel& kernel, const GemmProblem& problem) {
    const CpuWeightView& weight = problem.weight->cpu();
    if (weight.group_size % kernel.group_multiple != 0) return false;
    return keeps_promise(kernel.arithmetic, problem);
}

WorkspaceLayout workspace_layout(const GemmPlan& plan) {
    const CpuGemmKernel& kernel = *plan.kernel;
    const int64_t k = plan.split_k.longest(), block = plan.token_block, call = plan.call_tokens;
    const auto segments = static_cast<size_t>(plan.split_k.segments);
    const size_t token_bytes = segments * kTileRows * sizeof(float) *
                               static_cast<size_t>(kernel.panels_per_call);  // of sums
    WorkspaceLayout layout;
    layout.segment = (kernel.packed_bytes(k, block) + 63) / 64 * 64;
    layout.factors = layout.segment * segments;
    layout.arrivals = layout.factors + segments * static_cast<size_t>(block) * sizeof(float);
    layout.threads =
        next_thread_part(layout.arrivals + static_cast<size_t>(plan.threads) * sizeof(Arrivals));
    layout.shared = static_cast<size_t>(call) * token_bytes;
    layout.scratch = layout.shared;
    if (segments > 1 && plan.threads > 1)
        layout.scratch += static_cast<size_t>(block) * token_bytes;
    layout.thread_bytes = next_thread_part(layout.scratch + kernel.scratch_bytes(k, call));
    layout.total = layout.threads + layout.thread_bytes * static_cast<size_t>(plan.threads);
    return layout;
}

GemmPlan make_plan(const GemmProblem& problem, const CpuKernelSet& set, const CpuGemmKernel* kernel,
                   int threads) {
    const CpuWeightView& weight = problem.weight->cpu();
    GemmPlan plan{};
    plan.set = &set;
    plan.kernel = kernel;
    if (kernel == nullptr) {
        plan.algo = kAlgoTransposed;
        plan.name = "transposed_f32";
        plan.token_block = plan.call_tokens = std::min(problem.tokens, kTransposedTokens);
        plan.threads = split_work(weight.k_tiles, 1, /*tile=*/0, /*segments=*/1,
                                  thread_count(problem, threads))
                           .threads;
        plan.workspace_bytes = transposed_workspace(plan, problem).total;
    } else {
        plan.algo = kernel->algo;
        plan.name = kernel->name;
        const int most = thread_count(problem, threads);
        const int64_t panels = panels_together(set, *kernel, problem.tokens);
        plan.split_k = split_k(ceil_div(weight.panels, panels), problem.k(), weight.group_size,
                               problem.tokens);
        plan.call_tokens = call_tokens(*kernel, problem);
        plan.token_block = block_tokens(*kernel, problem, plan.call_tokens, most);
        plan.threads = split_work(kernel_calls(*kernel, problem), plan.token_block,
                                  kernel->token_tile, plan.split_k.segments, most)
                           .threads;
        plan.workspace_bytes = workspace_layout(plan).total;
    }
    return plan;
}

std::vector<GemmPlan> plan_gemm(const GemmProblem& problem, Isa isa, int threads) {
    std::vector<GemmPlan> plans;
    if (!is_offered(problem.compute)) return plans;
    Candidates found = find_candidates(problem, isa);
    std::sort(found.items, found.items + found.count,
              [&](const Candidate& a, const Candidate& b) { return better(a, b, problem); });
    for (int i = 0; i < found.count; ++i) {
        plans.push_back(make_plan(problem, *found.items[i].set, found.items[i].kernel, threads));
    }
    plans.push_back(reference_plan());
    return plans;
}

GemmPlan choose_plan(const GemmProblem& problem, int32_t algo, Isa isa, int threads) {
    if (!is_offered(problem.compute)) fail_compute_type(problem.compute);
    if (algo == kAlgoReference) return reference_plan();
    const Candidates found = find_candidates(problem, isa);
    const Candidate* best = nullptr;
    for (int i = 0; i < found.count; ++i) {
        const Candidate& candidate = found.items[i];
        const int32_t own = candidate.kernel != nullptr ? candidate.kernel->algo : kAlgoTransposed;
        if (algo != kAlgoDefault && algo != own) continue;
        if (best == nullptr || better(candidate, *best, problem)) best = &candidate;
    }
    if (best != nullptr) return make_plan(problem, *best->set, best->kernel, threads);
    fail_algo(algo);
}

}  // namespace fp6llm
