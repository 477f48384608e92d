#include "core/common/work_split.hpp"

#include <algorithm>

#include "core/common/math.hpp"

namespace fp6llm {
namespace {

/// Bytes of a weight that are worth a thread with one token: 25 to 30 us, several times a wake-up. Further
/// tokens take a third of the first one's time each.
constexpr double kBytesPerThread = 250e3;

/// From here on a weight spans several huge pages and no cache keeps it.
constexpr int64_t kPlacedBytes = int64_t{4} << 20;

}  // namespace

WorkSplit split_work(int64_t calls, int64_t tokens, int64_t tile, int threads) noexcept {
    calls = std::max<int64_t>(calls, 1);
    const int64_t most = std::max(threads, 1);
    const int64_t each = ceil_div(calls, most);
    const WorkSplit whole = {1, tokens, calls, static_cast<int>(ceil_div(calls, each))};
    if (tile <= 0 || tokens <= tile || most == 1) return whole;

    const int64_t slice =
        round_up(kCallTokens, tile);  // smaller ones would cost more than they share
    const int64_t slices = ceil_div(tokens, slice), units = calls * slices;
    const int64_t run = ceil_div(units, most);
    const int64_t touched = (run + slices - 2) / slices + 1;  // calls, wherever the run begins
    if (run * slice + touched * kCallTokens >= each * (tokens + kCallTokens)) return whole;
    return {slices, slice, units, static_cast<int>(ceil_div(units, run))};
}

int useful_threads(int64_t bytes, int64_t tokens, int most) noexcept {
    if (tokens == 0) return 1;
    const double work = static_cast<double>(bytes) * static_cast<double>(tokens + 2) / 3;
    const double useful = std::min(work / kBytesPerThread, static_cast<double>(most));
    return std::max(static_cast<int>(useful), 1);
}

WorkSplit split_packing(int64_t panels, int64_t step, int64_t panel_bytes, int threads) noexcept {
    const int64_t bytes = panels * panel_bytes;
    return split_work(ceil_div(panels, step), 1, 0,
                      bytes < kPlacedBytes ? threads : useful_threads(bytes, 1, threads));
}

}  // namespace fp6llm
