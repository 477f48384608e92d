// Who does what of a product: pure arithmetic, the same for any machine. Prepacking deals panels out
// by the same rules as multiplying, so that the thread that first touches a panel's memory is the one
// that reads it later.
//
//                              tokens, in slices of whole tiles
//                            +------+------+------+
//   call 0   segment 0 of k  |  0   |  1   |  2   |
//            segment 1       |  3   |  4   |  5   |
//                            +------+------+------+
//   call 1   segment 0       |  6   |  7   |  8   |
//            segment 1       |  9   |  10  |  11  |
//                            +------+------+------+
//
// Units are numbered so; each thread gets a run of them, so at most its first and its last call are cut.
// No cut changes a bit of the result: tokens are tiled as they always are, and sums over k are always made
// of the same segments (SplitK), whoever has computed them.
#pragma once

#include "core/common/parallel.hpp"

namespace fp6llm {

/// How a product cuts k. Where there are few calls and tokens, it is the sum of those of `segments` runs of
/// columns, each summed in the kernel's order, in fp32 and ascending order. That depends on the shape, the
/// number of tokens and the kernel only.
struct SplitK {
    int64_t k;
    int64_t step;      ///< segments begin at its multiples; 0: only one
    int64_t segments;  ///< >= 1
    /// Columns of segment i. Any number of segments in a row are as many columns as others, within a step.
    IndexRange of(int64_t i) const noexcept;
    /// Columns of the longest at most.
    int64_t longest() const noexcept;
};

constexpr int64_t kMostSegments = 8;

/// @param calls       of a kernel for all of the weight's panels
/// @param group_size  columns per scale, which is not cut; 0: one scale for all
SplitK split_k(int64_t calls, int64_t k, int64_t group_size, int64_t tokens) noexcept;

struct WorkSplit {
    int64_t slices;        ///< units of a segment; 1 = tokens are not cut
    int64_t slice_tokens;  ///< tokens of a unit, but for the last of a segment
    int64_t segments;      ///< of a call; 1 = k is not cut, each call has all of its segments
    int64_t units;
    int threads;  ///< those that have something to do: no more than make the loop shorter
    IndexRange of(int64_t thread) const noexcept { return split_range(units, thread, threads); }
    int64_t call_units() const noexcept { return slices * segments; }
    /// The thread that has a unit.
    int64_t thread_of(int64_t unit) const noexcept { return part_of_index(units, unit, threads); }
    /// The calls that begin in a thread's run.
    IndexRange calls_of(int64_t thread) const noexcept;
};

/// Splits `calls` of a kernel over `tokens` each, tiles of `tile` tokens (0: calls cannot be cut there) and
/// `segments` of k, over at most `threads`.
WorkSplit split_work(int64_t calls, int64_t tokens, int64_t tile, int64_t segments,
                     int threads) noexcept;

/// What a thread does with `tokens` tokens of a call, and what a call costs beside, in tokens: the
/// longest thread's sum of these is what split_work() makes small.
constexpr int64_t kCallTokens = 4;

/// Threads, of at most `most`, that a multiplication of `tokens` by a weight of `bytes` is worth.
int useful_threads(int64_t bytes, int64_t tokens, int most) noexcept;

/// Splits a weight's panels for packing, in steps of `step`, over at most `threads`: as the product of
/// one token is split, if the weight is large enough for its place in memory to matter, else over all.
/// Who has a call's first segment packs all of it.
WorkSplit split_packing(int64_t panels, int64_t step, int64_t panel_bytes, const SplitK& k,
                        int threads) noexcept;

/// Calls piece(segment, first token, end token) for the units [range.begin, range.end), each of at most
/// `most` tokens (a multiple of `tile`, or all). Segments are numbered through all calls: where k is not cut,
/// they are the calls.
template <typename Piece>
void for_each_piece(const WorkSplit& split, IndexRange range, int64_t tokens, int64_t most,
                    Piece&& piece) {
    for (int64_t unit = range.begin; unit < range.end;) {
        const int64_t segment = unit / split.slices, slice = unit % split.slices;
        const int64_t left = range.end - unit, rest = split.slices - slice;
        const int64_t slices = left < rest ? left : rest;
        const int64_t first = slice * split.slice_tokens;
        const int64_t stop = first + slices * split.slice_tokens;
        const int64_t end = stop < tokens ? stop : tokens;
        for (int64_t token = first; token < end; token += most)
            piece(segment, token, token + most < end ? token + most : end);
        unit += slices;
    }
}

}  // namespace fp6llm
