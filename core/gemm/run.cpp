// Running a plan: per token block, pack the activations, then multiply panel by panel and store. Work
// is split statically (work_split.hpp): which panels share a kernel call and which tokens a tile, and
// with that every bit of the result, is the same for any thread count.
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/common/work_split.hpp"
#include "core/gemm/workspace.hpp"

namespace fp6llm {
namespace {

/// Below so many activations, packing takes (about 5 us) less time than waking threads for it.
constexpr int64_t kSerialPackElements = 16 * 1024;
/// And so many are worth a thread more.
constexpr int64_t kPackElementsPerThread = 4 * 1024;
/// Fewer parts of a tile are not worth it: each may have to look through all of the tile.
constexpr int64_t kMinColumnParts = 4;

/// Parts that a tile's columns are cut into, for threads that would have no tile of their own.
int64_t column_parts(const CpuGemmKernel& kernel, int64_t k, int64_t count, int64_t tiles,
                     int threads) {
    if (kernel.pack_columns == nullptr) return 1;
    const int64_t useful = count * k / kPackElementsPerThread;
    const int64_t most = (useful < threads ? useful : threads) / tiles;
    const int64_t parts = most < ceil_div(k, kPackStep) ? most : ceil_div(k, kPackStep);
    return parts < kMinColumnParts ? 1 : parts;
}

/// Tokens [begin, end) of a block, or as many as there are.
PackedTokens part_of(const PackedTokens& block, int64_t begin, int64_t end) {
    const int64_t stop = end < block.block_tokens ? end : block.block_tokens;
    return {block.data, block.factors, block.block_tokens, begin, stop - begin};
}

/// Packs a block, its tiles and where these are too few their columns in parallel, as far as the
/// kernel's layout allows it and it pays.
void pack_block(const GemmPlan& plan, const TokenSource& x, int64_t first,
                const PackedTokens& block, Executor& executor) {
    const CpuGemmKernel& kernel = *plan.kernel;
    const int64_t count = block.count;
    const int threads = count * x.k <= kSerialPackElements ? 1 : plan.threads;
    const int64_t tile = kernel.token_tile > 0 ? kernel.token_tile : count;
    const int64_t tiles = ceil_div(count, tile);
    const int64_t parts = threads == 1 ? 1 : column_parts(kernel, x.k, count, tiles, threads);
    if (parts > 1) {
        executor.run(tiles * parts, [&](int64_t task) {
            const FpEnvGuard fp_env;
            const int64_t begin = task / parts * tile;
            const IndexRange steps = split_range(ceil_div(x.k, kPackStep), task % parts, parts);
            const int64_t end = steps.end * kPackStep;
            kernel.pack_columns(x, first + begin, steps.begin * kPackStep, end < x.k ? end : x.k,
                                part_of(block, begin, begin + tile));
        });
        return;
    }
    const WorkSplit split = split_work(/*calls=*/1, count, kernel.token_tile, threads);
    run_threads(executor, split.threads, [&](int64_t part) {
        const FpEnvGuard fp_env;
        for_each_piece(split, split.of(part), count, plan.call_tokens,
                       [&](int64_t, int64_t begin, int64_t end) {
                           kernel.pack_tokens(x, first + begin, part_of(block, begin, end));
                       });
    });
}

}  // namespace

void run_epilogue(OutputSink y, int64_t outputs, int64_t tokens) {
    const FpEnvGuard fp_env;
    static const float zeros[kTileRows] = {};
    y.alpha = 1.0f;  // an infinite or NaN alpha times no product is nothing, too
    for (int64_t row = 0; row < outputs; row += kTileRows) {
        const int64_t rows = outputs - row < kTileRows ? outputs - row : kTileRows;
        portable_kernels()->store(y, zeros, /*ld=*/0, row, rows, 0, tokens);
    }
}

void run_gemm(const GemmPlan& plan, const GemmProblem& problem, const TokenSource& x,
              const OutputSink& y, uint8_t* workspace, Executor& executor) {
    if (problem.tokens == 0 || problem.outputs() == 0) return;
    if (problem.k() == 0 || y.alpha == 0.0f) {
        return run_epilogue(y, problem.outputs(), problem.tokens);
    }
    if (plan.set == nullptr) return reference_gemm(problem, x, y, executor);
    if (plan.kernel == nullptr) return run_transposed(plan, problem, x, y, workspace, executor);

    const CpuGemmKernel& kernel = *plan.kernel;
    const CpuWeightView& weight = problem.weight->cpu();
    const WorkspaceLayout layout = workspace_layout(plan, problem);
    const int64_t step = kernel.panels_per_call;
    int64_t first = 0;
    PackedTokens block = {workspace, reinterpret_cast<float*>(workspace + layout.factors), 0, 0, 0};
    WorkSplit split{};
    auto multiply_part = [&](int64_t part) {
        const FpEnvGuard fp_env;
        uint8_t* own = workspace + layout.threads + static_cast<size_t>(part) * layout.thread_bytes;
        float* sums = reinterpret_cast<float*>(own);
        const auto multiply_piece = [&](int64_t call, int64_t begin, int64_t end) {
            const int64_t panel = call * step;
            const int64_t panels = weight.panels - panel < step ? weight.panels - panel : step;
            kernel.multiply(weight, panel, static_cast<int>(panels), part_of(block, begin, end),
                            sums, own + layout.scratch);
            const int64_t row = panel * kTileRows, ld = panels * kTileRows;
            const int64_t rows = weight.rows - row < ld ? weight.rows - row : ld;
            plan.set->store(y, sums, ld, row, rows, first + begin, end - begin);
        };
        for_each_piece(split, split.of(part), block.count, plan.call_tokens, multiply_piece);
    };
    for (first = 0; first < problem.tokens; first += plan.token_block) {
        const int64_t left = problem.tokens - first;
        block.block_tokens = block.count = left < plan.token_block ? left : plan.token_block;
        pack_block(plan, x, first, block, executor);
        split =
            split_work(ceil_div(weight.panels, step), block.count, kernel.token_tile, plan.threads);
        run_threads(executor, split.threads, multiply_part);
    }
}

}  // namespace fp6llm
