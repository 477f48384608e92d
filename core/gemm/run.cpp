// Running a plan: per token block, pack the activations, then multiply panel by panel and store. Work
// is split statically (work_split.hpp): which panels share a kernel call, which tokens a tile and which
// columns a segment, and with that every bit of the result, is the same for any thread count.
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

/// Activations of the columns of a segment.
TokenSource columns_of(const TokenSource& x, IndexRange columns) {
    const auto bytes = static_cast<int64_t>(float_bytes(x.type));
    TokenSource part = x;
    part.data = static_cast<const uint8_t*>(x.data) + columns.begin * x.k_stride * bytes;
    part.k = columns.end - columns.begin;
    return part;
}

/// A running product: what its parts need to know.
class Product {
  public:
    Product(const GemmPlan& plan, const GemmProblem& problem, const TokenSource& x,
            const OutputSink& y, uint8_t* workspace, Executor& executor)
        : plan_(plan),
          kernel_(*plan.kernel),
          weight_(problem.weight->cpu()),
          layout_(workspace_layout(plan)),
          x_(x),
          y_(y),
          workspace_(workspace),
          executor_(executor) {
        for (int64_t i = 0; i < plan.split_k.segments; ++i) {
            const IndexRange columns = plan.split_k.of(i);
            segments_[i] = {
                plan.split_k.segments == 1 ? weight_ : weight_.columns(columns.begin, columns.end),
                columns_of(x, columns)};
        }
    }

    /// Tokens [first, first + count).
    void run_block(int64_t first, int64_t count) {
        first_ = first;
        count_ = count;
        pack();
        split_ = split_work(ceil_div(weight_.panels, kernel_.panels_per_call), count,
                            kernel_.token_tile, plan_.split_k.segments, plan_.threads);
        const auto multiply = [&](int64_t thread) {
            const FpEnvGuard fp_env;
            if (split_.segments > 1) {
                multiply_runs(thread);
            } else {
                multiply_pieces(thread);
            }
        };
        if (split_.segments > 1) {
            for (int i = 0; i < split_.threads; ++i)
                new (arrivals(i)) Arrivals(0);
        }
        run_threads(executor_, split_.threads, multiply);
    }

  private:
    struct Segment {
        CpuWeightView weight;
        TokenSource x;
    };

    /// Tokens [begin, end) of the block, or as many as there are, of a segment.
    PackedTokens packed(int64_t segment, int64_t begin, int64_t end) const {
        float* factors = reinterpret_cast<float*>(workspace_ + layout_.factors);
        return {workspace_ + static_cast<size_t>(segment) * layout_.segment,
                factors + segment * plan_.token_block, count_, begin,
                (end < count_ ? end : count_) - begin};
    }

    Arrivals* arrivals(int64_t thread) const {
        return reinterpret_cast<Arrivals*>(workspace_ + layout_.arrivals) + thread;
    }
    uint8_t* part_of(int64_t thread) const {
        return workspace_ + layout_.threads + static_cast<size_t>(thread) * layout_.thread_bytes;
    }

    /// Packs the block, its segments and tiles and where these are too few a tile's columns in parallel, as
    /// far as the kernel's layout allows it and it pays.
    void pack() const {
        const int threads = count_ * x_.k <= kSerialPackElements ? 1 : plan_.threads;
        const int64_t tile = kernel_.token_tile > 0 ? kernel_.token_tile : count_;
        const int64_t segments = plan_.split_k.segments, tiles = ceil_div(count_, tile) * segments;
        const int64_t parts = threads == 1 ? 1
                                           : column_parts(kernel_, plan_.split_k.longest(),
                                                          count_ * segments, tiles, threads);
        if (parts > 1) {
            executor_.run(tiles * parts, [&](int64_t task) {
                const FpEnvGuard fp_env;
                const int64_t segment = task / parts % segments;
                const int64_t begin = task / parts / segments * tile;
                const TokenSource& x = segments_[segment].x;
                const IndexRange steps = split_range(ceil_div(x.k, kPackStep), task % parts, parts);
                const int64_t end = steps.end * kPackStep;
                kernel_.pack_columns(x, first_ + begin, steps.begin * kPackStep,
                                     end < x.k ? end : x.k, packed(segment, begin, begin + tile));
            });
            return;
        }
        const WorkSplit split =
            split_work(/*calls=*/segments, count_, kernel_.token_tile, /*segments=*/1, threads);
        run_threads(executor_, split.threads, [&](int64_t part) {
            const FpEnvGuard fp_env;
            for_each_piece(split, split.of(part), count_, plan_.call_tokens,
                           [&](int64_t segment, int64_t begin, int64_t end) {
                               kernel_.pack_tokens(segments_[segment].x, first_ + begin,
                                                   packed(segment, begin, end));
                           });
        });
    }

    /// Outputs of a call.
    struct Rows {
        int64_t panel;
        int panels;
        int64_t row, count;
        int64_t ld() const { return panels * kTileRows; }
    };
    Rows rows_of(int64_t call) const {
        const int64_t panel = call * kernel_.panels_per_call, row = panel * kTileRows;
        const int64_t left = weight_.panels - panel;
        const int panels =
            left < kernel_.panels_per_call ? static_cast<int>(left) : kernel_.panels_per_call;
        const int64_t rows = panels * kTileRows;
        return {panel, panels, row, weight_.rows - row < rows ? weight_.rows - row : rows};
    }

    /// sums [end - begin][ld] of a segment.
    void multiply(int64_t segment, const Rows& rows, int64_t begin, int64_t end, float* sums,
                  uint8_t* part) const {
        kernel_.multiply(segments_[segment].weight, rows.panel, rows.panels,
                         packed(segment, begin, end), sums, part + layout_.scratch);
    }

    void store(const float* sums, int64_t segment_stride, const Rows& rows, int64_t begin,
               int64_t end) const {
        plan_.set->store(y_, {sums, rows.ld(), plan_.split_k.segments, segment_stride}, rows.row,
                         rows.count, first_ + begin, end - begin);
    }

    /// All segments of a call, of some tokens.
    void multiply_piece(const Rows& rows, int64_t begin, int64_t end, uint8_t* part) const {
        float* sums = reinterpret_cast<float*>(part);
        const int64_t stride = (end - begin) * rows.ld();
        for (int64_t s = 0; s < plan_.split_k.segments; ++s)
            multiply(s, rows, begin, end, sums + s * stride, part);
        store(sums, stride, rows, begin, end);
    }

    /// A thread's part where no call's segments are shared.
    void multiply_pieces(int64_t thread) const {
        uint8_t* part = part_of(thread);
        for_each_piece(split_, split_.of(thread), count_, plan_.call_tokens,
                       [&](int64_t call, int64_t begin, int64_t end) {
                           multiply_piece(rows_of(call), begin, end, part);
                       });
    }

    /// A thread's part where segments of a call are shared: each thread writes the sums of its own to memory of
    /// the one that began the call, and who comes last stores them all.
    void multiply_runs(int64_t thread) const {
        uint8_t* part = part_of(thread);
        const IndexRange range = split_.of(thread);
        const int64_t call_units = split_.call_units();
        for (int64_t unit = range.begin, stop; unit < range.end; unit = stop) {
            const int64_t call = unit / call_units, first = call * call_units;
            stop = range.end < first + call_units ? range.end : first + call_units;
            const Rows rows = rows_of(call);
            if (stop - unit == call_units) {
                for (int64_t begin = 0; begin < count_; begin += plan_.call_tokens) {
                    const int64_t end = begin + plan_.call_tokens;
                    multiply_piece(rows, begin, end < count_ ? end : count_, part);
                }
                continue;
            }
            const int64_t owner = split_.thread_of(first);
            const int64_t others = split_.thread_of(first + call_units - 1) - owner;
            float* sums = reinterpret_cast<float*>(part_of(owner) + layout_.shared);
            const int64_t stride = count_ * rows.ld();
            for_each_piece(split_, {unit, stop}, count_, plan_.call_tokens,
                           [&](int64_t index, int64_t begin, int64_t end) {
                               const int64_t segment = index % split_.segments;
                               multiply(segment, rows, begin, end,
                                        sums + segment * stride + begin * rows.ld(), part);
                           });
            if (arrivals(owner)->fetch_add(1, std::memory_order_acq_rel) == others)
                store(sums, stride, rows, 0, count_);
        }
    }

    const GemmPlan& plan_;
    const CpuGemmKernel& kernel_;
    const CpuWeightView& weight_;
    const WorkspaceLayout layout_;
    const TokenSource& x_;
    const OutputSink& y_;
    uint8_t* workspace_;
    Executor& executor_;
    Segment segments_[kMostSegments];
    int64_t first_ = 0, count_ = 0;  // of the block
    WorkSplit split_{};
};

}  // namespace

void run_epilogue(OutputSink y, int64_t outputs, int64_t tokens) {
    const FpEnvGuard fp_env;
    static const float zeros[kTileRows] = {};
    y.alpha = 1.0f;  // an infinite or NaN alpha times no product is nothing, too
    for (int64_t row = 0; row < outputs; row += kTileRows) {
        const int64_t rows = outputs - row < kTileRows ? outputs - row : kTileRows;
        portable_kernels()->store(y, {zeros, /*ld=*/0}, row, rows, 0, tokens);
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

    Product product(plan, problem, x, y, workspace, executor);
    for (int64_t first = 0; first < problem.tokens; first += plan.token_block) {
        const int64_t left = problem.tokens - first;
        product.run_block(first, left < plan.token_block ? left : plan.token_block);
    }
}

}  // namespace fp6llm
