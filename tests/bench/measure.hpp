// Interleaved timing: contenders take turns in rotated order, so that what a busy machine does to
// one it does to all, and ratios hold where absolute times do not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fp6llm::bench {

enum class Kind { kFp6, kStream, kPrefetched, kOpenBlas, kPeak, kPeer };
const char* kind_name(Kind kind) noexcept;

struct Contender {
    Kind kind;
    std::string name;
    std::string detail;  ///< kernel or release
    double bytes;        ///< weight bytes that a call reads
    double flops;        ///< floating-point operations of a call
    double error;        ///< largest error / rms, measured before any timing
    std::function<void(int64_t call)>
        run;                        ///< the number of the call chooses the copy of the weights
    std::vector<double> samples{};  ///< milliseconds per call, one per round
    std::string peak{};             ///< name of the peak that its arithmetic is held against
    double operations = 0;          ///< of that arithmetic, in a call
    std::function<void()> before_turn{}, after_turn{};  ///< where set
};

double median(std::vector<double> values);
/// Half the range between the quartiles, relative to the median.
double spread(std::vector<double> values);
/// Median over the rounds of other / own: above 1 where own is faster.
double speed_ratio(const Contender& own, const Contender& other);

/// Fills the samples. In each round a contender pauses, makes one call that is not timed (unless a
/// call takes so long that waking up does not count), and is timed over enough calls to take some
/// 20 ms. Then lets go of what contenders call: results outlive that.
void measure(std::vector<Contender>& contenders, int rounds, double seconds);

}  // namespace fp6llm::bench
