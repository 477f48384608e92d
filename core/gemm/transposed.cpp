// The transposed product y[t, c] = sum over r of w[r, c] * x[t, r], as a backward pass or an op(A)
// = N call needs it. The tiles are laid out for the other direction, so this is several times
// slower: every 64 tokens the weight is decoded anew, a strip of 32 columns by 128 rows at a time.
//
//   packed x  [tokens][rows rounded up to 16] fp32        per strip  w [8 panels][32 columns][16
//   rows]
//
// A sum runs over 4 lanes of rows within a strip, then over strips: an order that depends on the
// weight's rows only. Threads share out the columns, in tiles of 16.
#include "core/common/fp_env.hpp"
#include "core/common/math.hpp"
#include "core/gemm/cpu/load_impl.hpp"
#include "core/gemm/workspace.hpp"

namespace fp6llm {
namespace {

constexpr int64_t kStripTiles = 2, kStripCols = kStripTiles * kTileCols, kStripPanels = 8;

// A compiler vector: this file is compiled for the baseline, whatever its vectors are.
typedef float Lanes __attribute__((vector_size(16)));
constexpr int kLanes = 4;

struct ThreadScratch {
    alignas(64) float w[kStripPanels][kStripCols][kTileRows];
    float sums[kTransposedTokens][kStripCols];
};

inline Lanes load(const float* from) noexcept {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

/// sums[t][c] += the strip's rows, for `cols` columns from `c` on and `tokens` tokens.
template <int cols, int tokens>
void accumulate(const ThreadScratch& scratch, int64_t panels, int64_t c, const float* x,
                int64_t ldx, float (*sums)[kStripCols]) noexcept {
    Lanes acc[cols][tokens] = {};
    for (int64_t p = 0; p < panels; ++p) {
        for (int q = 0; q < kTileRows; q += kLanes) {
#pragma GCC unroll 4
            for (int t = 0; t < tokens; ++t) {
                const Lanes xs = load(x + t * ldx + p * kTileRows + q);
#pragma GCC unroll 4
                for (int i = 0; i < cols; ++i)
                    acc[i][t] += load(&scratch.w[p][c + i][q]) * xs;
            }
        }
    }
    for (int i = 0; i < cols; ++i) {
        for (int t = 0; t < tokens; ++t) {
            const Lanes v = acc[i][t];
            sums[t][c + i] += (v[0] + v[1]) + (v[2] + v[3]);
        }
    }
}

}  // namespace

WorkspaceLayout transposed_workspace(const GemmPlan& plan, const GemmProblem& problem) {
    WorkspaceLayout layout{};
    const int64_t rows = round_up(problem.k(), kTileRows);
    layout.threads = next_thread_part(static_cast<size_t>(plan.token_block * rows) * sizeof(float));
    layout.thread_bytes = next_thread_part(sizeof(ThreadScratch));
    layout.total = layout.threads + layout.thread_bytes * static_cast<size_t>(plan.threads);
    return layout;
}

void run_transposed(const GemmPlan& plan, const GemmProblem& problem, const TokenSource& x,
                    const OutputSink& y, uint8_t* workspace, Executor& executor) {
    const CpuWeightView& weight = problem.weight->cpu();
    const WorkspaceLayout layout = transposed_workspace(plan, problem);
    const int64_t rows = weight.panels * kTileRows;
    float* packed = reinterpret_cast<float*>(workspace);
    int64_t first = 0, count = 0;

    auto pack_part = [&](int64_t part) {
        const FpEnvGuard fp_env;
        const IndexRange range = split_range(count, part, plan.threads);
        for (int64_t t = range.begin; t < range.end; ++t) {
            float* out = packed + t * rows;
            load_token(x, first + t, 0, weight.rows, out);
            for (int64_t r = weight.rows; r < rows; ++r)
                out[r] = 0.0f;
        }
    };
    auto multiply_strip = [&](int64_t tile, int64_t tiles, ThreadScratch& scratch) {
        const int64_t cols = tiles * kTileCols;
        std::memset(scratch.sums, 0, sizeof scratch.sums);
        for (int64_t panel = 0; panel < weight.panels; panel += kStripPanels) {
            const int64_t left = weight.panels - panel;
            const int64_t panels = left < kStripPanels ? left : kStripPanels;
            for (int64_t p = 0; p < panels; ++p) {
                plan.set->decode_panel(weight, panel + p, tile * kTileCols, cols, scratch.w[p][0]);
            }
            for (int64_t c = 0; c < cols; c += 2) {
                const float* xs = packed + panel * kTileRows;
                int64_t t = 0;
                for (; t + 4 <= count; t += 4) {
                    accumulate<2, 4>(scratch, panels, c, xs + t * rows, rows, scratch.sums + t);
                }
                for (; t < count; ++t) {
                    accumulate<2, 1>(scratch, panels, c, xs + t * rows, rows, scratch.sums + t);
                }
            }
        }
        const int64_t col = tile * kTileCols;
        const int64_t stored = weight.cols - col < cols ? weight.cols - col : cols;
        plan.set->store(y, {scratch.sums[0], kStripCols}, col, stored, first, count);
    };
    auto multiply_part = [&](int64_t part) {
        const FpEnvGuard fp_env;
        uint8_t* own = workspace + layout.threads + static_cast<size_t>(part) * layout.thread_bytes;
        const IndexRange range = split_range(weight.k_tiles, part, plan.threads);
        for (int64_t tile = range.begin; tile < range.end; tile += kStripTiles) {
            const int64_t left = range.end - tile;
            multiply_strip(tile, left < kStripTiles ? left : kStripTiles,
                           *reinterpret_cast<ThreadScratch*>(own));
        }
    };
    for (first = 0; first < problem.tokens; first += plan.token_block) {
        const int64_t left = problem.tokens - first;
        count = left < plan.token_block ? left : plan.token_block;
        run_threads(executor, plan.threads, pack_part);
        run_threads(executor, plan.threads, multiply_part);
    }
}

}  // namespace fp6llm
