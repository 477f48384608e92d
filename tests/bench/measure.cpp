// See measure.hpp.
#include "tests/bench/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace fp6llm::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kBatchMs = 20;
constexpr int64_t kMostCalls = 256;
// What threads and caches need to wake up is nothing beside a call of this length.
constexpr double kLongCallMs = 250;
// Longer than any contender's threads keep spinning after their last call.
constexpr auto kPause = std::chrono::milliseconds(40);

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Around all calls of a turn, and the pause before them.
class Turn {
  public:
    explicit Turn(const Contender& contender) : contender_(contender) {
        if (contender.before_turn) contender.before_turn();
    }
    ~Turn() {
        if (contender_.after_turn) contender_.after_turn();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    const Contender& contender_;
};

double quantile(const std::vector<double>& sorted, double at) {
    const double position = at * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<size_t>(position);
    const size_t above = std::min(below + 1, sorted.size() - 1);
    const double part = position - static_cast<double>(below);
    return sorted[below] * (1 - part) + sorted[above] * part;
}

}  // namespace

const char* kind_name(Kind kind) noexcept {
    switch (kind) {
        case Kind::kFp6:
            return "fp6";
        case Kind::kStream:
            return "stream";
        case Kind::kPrefetched:
            return "prefetched";
        case Kind::kOpenBlas:
            return "openblas";
        case Kind::kPeak:
            return "peak";
        case Kind::kPeer:
            return "peer";
    }
    return "?";
}

double median(std::vector<double> values) {
    if (values.empty()) return NAN;
    std::sort(values.begin(), values.end());
    return quantile(values, 0.5);
}

double spread(std::vector<double> values) {
    if (values.empty()) return NAN;
    std::sort(values.begin(), values.end());
    return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / quantile(values, 0.5);
}

double speed_ratio(const Contender& own, const Contender& other) {
    std::vector<double> ratios;
    for (size_t i = 0; i < own.samples.size(); ++i) {
        ratios.push_back(other.samples[i] / own.samples[i]);
    }
    return median(std::move(ratios));
}

void measure(std::vector<Contender>& contenders, int rounds, double seconds) {
    struct State {
        int64_t calls = 0;  // made so far: the rotation over the copies goes on
        int64_t batch = 1;
        bool warm_up = true;
    };
    std::vector<State> states(contenders.size());
    double round_ms = 0;
    for (size_t i = 0; i < contenders.size(); ++i) {
        State& state = states[i];
        const Turn turn(contenders[i]);
        double ms = HUGE_VAL;
        for (int call = 0; call < 2 && state.warm_up; ++call) {
            const auto start = Clock::now();
            contenders[i].run(state.calls++);
            ms = milliseconds_since(start);
            state.warm_up = ms < kLongCallMs;
        }
        state.batch = std::clamp(static_cast<int64_t>(kBatchMs / ms), int64_t{1}, kMostCalls);
        round_ms += ms * static_cast<double>(state.batch + state.warm_up) +
                    std::chrono::duration<double, std::milli>(kPause).count();
    }
    rounds = std::min(rounds, std::max(3, static_cast<int>(1000 * seconds / round_ms)));

    for (int round = 0; round < rounds; ++round) {
        for (size_t turn = 0; turn < contenders.size(); ++turn) {
            const size_t i = (turn + static_cast<size_t>(round)) % contenders.size();
            State& state = states[i];
            const Turn its_turn(contenders[i]);
            std::this_thread::sleep_for(kPause);
            if (state.warm_up) contenders[i].run(state.calls++);
            const auto start = Clock::now();
            for (int64_t call = 0; call < state.batch; ++call)
                contenders[i].run(state.calls++);
            contenders[i].samples.push_back(milliseconds_since(start) /
                                            static_cast<double>(state.batch));
        }
    }
    for (Contender& contender : contenders)
        contender.run = nullptr, contender.before_turn = nullptr, contender.after_turn = nullptr;
}

}  // namespace fp6llm::bench
