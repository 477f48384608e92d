// See checks_bench.hpp.
#include "tests/bench/checks_bench.hpp"

#include <chrono>

#include "tests/bench/measure.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {
namespace {

constexpr double kOddLimit = 1.15;
// "Never slower", but for what two medians of the same thing differ by.
constexpr double kThreadedLimit = 1.03;
constexpr double kCallLimitNs = 1000;
constexpr size_t kColdBytes = size_t{384} << 20;

// One side of a comparison: a shape in cold copies, with inputs and a handle of its own.
class Side {
  public:
    Side(const Options& options, const Shape& shape, int64_t tokens, int threads, size_t cold)
        : compute_(options.computes.front()),
          shape_(shape),
          tokens_(tokens),
          handle_(config()),
          x_(random_values(static_cast<size_t>(tokens * shape.cols), 1.0f, 2)),
          y_(static_cast<size_t>(tokens * shape.rows)),
          packed_(handle_, packed_for(options.formats.front(), compute_), shape,
                  random_values(static_cast<size_t>(shape.rows * shape.cols), 0.02f, 1), cold) {
        handle_.set_num_threads(threads);
    }

    Contender contender() {
        const auto run = [this](int64_t call) {
            check(linear(handle_, packed_.weight(call), shape_, compute_.type, x_.data(), y_.data(),
                         tokens_));
        };
        const double error = checked_run(packed_.checked(), shape_.cols, x_.data(), y_.data(),
                                         tokens_, shape_.rows, [&] { run(0); });
        require_close("libfp6llm", error, compute_.tolerance + summing_tolerance(shape_.cols));
        return {Kind::kFp6, "", kernel(), 0, 0, error, run};
    }
    std::string kernel() { return chosen().name; }
    // Whether both run the same kernel on as many threads.
    bool runs_like(Side& other) {
        const ChosenKernel own = chosen(), its = other.chosen();
        return own.name == its.name && own.workspace == its.workspace;
    }
    int threads() { return handle_.num_threads(); }

  private:
    ChosenKernel chosen() {
        return chosen_kernel(handle_, packed_.weight(0), shape_, compute_.type, tokens_);
    }
    static fp6llmHandleConfig_t config() {
        fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
        config.backend = FP6LLM_BACKEND_CPU;
        return config;
    }

    const Compute& compute_;
    Shape shape_;
    int64_t tokens_;
    Handle handle_;
    AlignedFloats x_, y_;
    PackedWeights packed_;
};

std::string size_name(const Shape& shape, int64_t tokens) {
    return std::to_string(shape.rows) + "x" + std::to_string(shape.cols) +
           " M=" + std::to_string(tokens);
}

class Checks {
  public:
    Checks(const Options& options, const std::function<void(const Check&)>& report)
        : options_(options), report_(report) {
        if (options.quick) round_ = {512, 512};
    }

    // A call that does next to nothing, many times.
    void call(int threads) {
        constexpr int kCalls = 20000;
        const Shape shape{16, 16};
        Side side(options_, shape, 1, threads, 1);
        const Contender contender = side.contender();
        Check check{"a call: " + size_name(shape, 1),
                    side.kernel(),
                    side.threads(),
                    "ns",
                    0,
                    kCallLimitNs,
                    {}};
        for (int round = 0; round < options_.rounds; ++round) {
            const auto start = std::chrono::steady_clock::now();
            for (int call = 0; call < kCalls; ++call)
                contender.run(0);
            const std::chrono::duration<double, std::nano> time =
                std::chrono::steady_clock::now() - start;
            check.samples.push_back(time.count() / kCalls);
        }
        add(std::move(check));
    }

    // An odd number of tokens below a round one takes no longer than that; above, no longer per token.
    void odd_tokens(int threads) {
        for (const int64_t round : {4, 8, 16, 64}) {
            Side even(options_, round_, round, threads, cold_bytes(round));
            for (const int64_t odd : {round - 1, round + 1}) {
                Side side(options_, round_, odd, threads, cold_bytes(odd));
                const std::string name = size_name(round_, odd) +
                                         " against M=" + std::to_string(round) +
                                         (odd < round ? "" : ", per token");
                const double more =
                    odd < round ? 1 : static_cast<double>(odd) / static_cast<double>(round);
                compare(name, side, even, more, kOddLimit);
            }
        }
    }

    // One column or row more or less.
    void odd_shapes(int threads) {
        const auto [rows, cols] = round_;
        const Shape odd_shapes[] = {
            {rows, cols - 1}, {rows, cols + 1}, {rows - 1, cols}, {rows + 1, cols}};
        for (const int64_t tokens : {1, 16, 64}) {
            Side even(options_, round_, tokens, threads, cold_bytes(tokens));
            for (const Shape& odd : odd_shapes) {
                Side side(options_, odd, tokens, threads, cold_bytes(tokens));
                compare(size_name(odd, tokens) + " against " + size_name(round_, tokens), side,
                        even, 1, kOddLimit);
            }
        }
    }

    // SmolLM2's matrices: small enough for threads to be in each other's way. Where the library takes one
    // thread of several, nothing is measured: the two sides would differ by noise only.
    void small(int threads) {
        const Shape shapes[] = {{576, 576}, {192, 576}, {1536, 576}, {576, 1536}};
        for (const Shape& shape : shapes) {
            for (const int64_t tokens : {1, 4, 16, 64}) {
                Side all(options_, shape, tokens, threads, cold_bytes(tokens));
                Side one(options_, shape, tokens, 1, cold_bytes(tokens));
                const std::string name = size_name(shape, tokens) + " against 1 thread";
                if (all.runs_like(one)) {
                    add({name + ", which it takes",
                         all.kernel(),
                         all.threads(),
                         "x",
                         0,
                         kThreadedLimit,
                         {1}});
                } else {
                    compare(name, all, one, 1, kThreadedLimit);
                }
            }
        }
    }

    std::vector<Check> take() { return std::move(checks_); }

  private:
    size_t cold_bytes(int64_t tokens) const {
        return tokens <= 17 && !options_.quick ? kColdBytes : 1;
    }

    // The time of `own` over that of `other`, which may be `more` for the size alone.
    void compare(const std::string& name, Side& own, Side& other, double more, double limit) {
        std::vector<Contender> contenders;
        contenders.push_back(own.contender());
        contenders.push_back(other.contender());
        measure(contenders, options_.rounds, options_.seconds_per_case);
        Check check{name, own.kernel(), own.threads(), "x", 0, limit, {}};
        for (size_t i = 0; i < contenders[0].samples.size(); ++i) {
            check.samples.push_back(contenders[0].samples[i] / contenders[1].samples[i] / more);
        }
        add(std::move(check));
    }

    void add(Check check) {
        check.value = median(check.samples);
        report_(check);
        checks_.push_back(std::move(check));
    }

    const Options& options_;
    const std::function<void(const Check&)>& report_;
    Shape round_{4096, 4096};
    std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> bench_checks(const Options& options,
                                const std::function<void(const Check&)>& report) {
    Checks checks(options, report);
    for (const int threads : options.threads)
        checks.call(threads);
    for (const int threads : options.threads) {
        checks.odd_tokens(threads);
        checks.odd_shapes(threads);
        if (threads > 1) checks.small(threads);
    }
    return checks.take();
}

}  // namespace fp6llm::bench
