// Who does what of a product: pure arithmetic, the same for any machine. Prepacking deals panels out
// by the same rules as multiplying, so that the thread that first touches a panel's memory is the one
// that reads it later.
//
//              tokens, in slices of whole tiles
//            +------+------+------+
//   call 0   |  0   |  1   |  2   |    Units are numbered along the calls; each thread gets a run of
//   call 1   |  3   |  4   |  5   |    them, so at most its first and its last call are cut. A cut
//   call 2   |  6   |  7   |  8   |    costs decoding a call's panels twice, no more: how tokens are
//            +------+------+------+    tiled, and with it every bit of the result, stays as it was.
#pragma once

#include "core/common/parallel.hpp"

namespace fp6llm {

struct WorkSplit {
    int64_t slices;        ///< units of a call; 1 = calls are not cut
    int64_t slice_tokens;  ///< tokens of a unit, but for the last of a call
    int64_t units;
    int threads;  ///< those that have something to do: no more than make the loop shorter
    IndexRange of(int64_t thread) const noexcept { return split_range(units, thread, threads); }
};

/// Splits `calls` of a kernel over `tokens` each, tiles of `tile` tokens (0: calls cannot be cut), over
/// at most `threads`.
WorkSplit split_work(int64_t calls, int64_t tokens, int64_t tile, int threads) noexcept;

/// What a thread does with `tokens` tokens of a call, and what a call costs beside, in tokens: the
/// longest thread's sum of these is what split_work() makes small.
constexpr int64_t kCallTokens = 4;

/// Threads, of at most `most`, that a multiplication of `tokens` by a weight of `bytes` is worth.
int useful_threads(int64_t bytes, int64_t tokens, int most) noexcept;

/// Splits a weight's panels for packing, in steps of `step`, over at most `threads`: as the product of
/// one token is split, if the weight is large enough for its place in memory to matter, else over all.
WorkSplit split_packing(int64_t panels, int64_t step, int64_t panel_bytes, int threads) noexcept;

/// Calls piece(call, first token, end token) for the units [range.begin, range.end), each of at most
/// `most` tokens (a multiple of `tile`, or all).
template <typename Piece>
void for_each_piece(const WorkSplit& split, IndexRange range, int64_t tokens, int64_t most,
                    Piece&& piece) {
    for (int64_t unit = range.begin; unit < range.end;) {
        const int64_t call = unit / split.slices, slice = unit % split.slices;
        const int64_t left = range.end - unit, rest = split.slices - slice;
        const int64_t slices = left < rest ? left : rest;
        const int64_t first = slice * split.slice_tokens;
        const int64_t stop = first + slices * split.slice_tokens;
        const int64_t end = stop < tokens ? stop : tokens;
        for (int64_t token = first; token < end; token += most)
            piece(call, token, token + most < end ? token + most : end);
        unit += slices;
    }
}

}  // namespace fp6llm
