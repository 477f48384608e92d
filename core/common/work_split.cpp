#include "core/common/work_split.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "core/common/math.hpp"

namespace fp6llm {
namespace {

/// Bytes of a weight that are worth a thread with one token: 25 to 30 us, several times a wake-up. Further
/// tokens take a third of the first one's time each.
constexpr double kBytesPerThread = 250e3;

/// From here on a weight spans several huge pages and no cache keeps it.
constexpr int64_t kPlacedBytes = int64_t{4} << 20;

/// Segments of k are no shorter. On one core they cost nothing with one token, 1 to 3 % with 4 to 32 (2048
/// columns, Zen 5), so there are no more than wanted.
constexpr int64_t kSegmentColumns = 1024;
/// They cut no activation block of integer kernels.
constexpr int64_t kSegmentStep = 128;
/// With more tokens, slices of these are units enough.
constexpr int64_t kSplitKTokens = 64;
/// Units wanted: the fewest from which on the longest share is less than 5 % over the mean of the threads that
/// split_work() uses, whatever their number. Few threads have many units each, and of many it uses no more
/// than have the same longest share.
constexpr int64_t kWantedUnits = 344;

}  // namespace

IndexRange SplitK::of(int64_t i) const noexcept {
    if (segments == 1) return {0, k};
    const int64_t steps = ceil_div(k, step);
    return {i * steps / segments * step, std::min((i + 1) * steps / segments * step, k)};
}

int64_t SplitK::longest() const noexcept {
    return segments == 1 ? k : std::min(ceil_div(ceil_div(k, step), segments) * step, k);
}

SplitK split_k(int64_t calls, int64_t k, int64_t group_size, int64_t tokens) noexcept {
    const SplitK whole = {k, 0, 1};
    if (tokens > kSplitKTokens || group_size > k) return whole;
    const int64_t step = std::lcm(kSegmentStep, std::max<int64_t>(group_size, 1));
    const int64_t wanted =
        std::min(ceil_div(kWantedUnits, std::max<int64_t>(calls, 1)), kMostSegments);
    const int64_t segments = std::min(wanted, k / std::max(kSegmentColumns, step));
    return segments > 1 ? SplitK{k, step, segments} : whole;
}

IndexRange WorkSplit::calls_of(int64_t thread) const noexcept {
    const IndexRange range = of(thread);
    return {ceil_div(range.begin, call_units()), ceil_div(range.end, call_units())};
}

WorkSplit split_work(int64_t calls, int64_t tokens, int64_t tile, int64_t segments,
                     int threads) noexcept {
    calls = std::max<int64_t>(calls, 1);
    const int64_t most = std::max(threads, 1);
    // Smaller slices would cost more than they share.
    const int64_t slice = tile > 0 && most > 1 ? round_up(kCallTokens, tile) : tokens;
    WorkSplit best{};
    int64_t shortest = INT64_MAX;  // of the longest shares: the first split that has it is taken
    for (const int64_t cut : {int64_t{1}, segments}) {
        for (const int64_t own : {tokens, slice}) {
            const int64_t slices = tokens > own ? ceil_div(tokens, own) : 1;
            const int64_t units = calls * cut * slices, run = ceil_div(units, most);
            const int64_t touched = (run + slices - 2) / slices + 1;  // wherever the run begins
            const int64_t longest = (run * own + touched * kCallTokens) * (segments / cut);
            if (longest >= shortest) continue;
            shortest = longest;
            best = {slices, own, cut, units, static_cast<int>(ceil_div(units, run))};
        }
    }
    return best;
}

int useful_threads(int64_t bytes, int64_t tokens, int most) noexcept {
    if (tokens == 0) return 1;
    const double work = static_cast<double>(bytes) * static_cast<double>(tokens + 2) / 3;
    const double useful = std::min(work / kBytesPerThread, static_cast<double>(most));
    return std::max(static_cast<int>(useful), 1);
}

WorkSplit split_packing(int64_t panels, int64_t step, int64_t panel_bytes, const SplitK& k,
                        int threads) noexcept {
    const int64_t bytes = panels * panel_bytes, calls = ceil_div(panels, step);
    if (bytes < kPlacedBytes) return split_work(calls, 1, /*tile=*/0, /*segments=*/1, threads);
    return split_work(calls, 1, /*tile=*/0, k.segments, useful_threads(bytes, 1, threads));
}

}  // namespace fp6llm
