// What the benchmark's figures rest on: the shapes that it runs, the check that comes before timing,
// and contenders that take turns over cold weights.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/bench/measure.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {
namespace {

Options parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "fp6llm_bench");
    std::vector<char*> argv;
    for (std::string& argument : arguments)
        argv.push_back(argument.data());
    return parse_options(static_cast<int>(argv.size()), argv.data());
}

std::string text_of(const std::vector<Shape>& shapes) {
    std::string text;
    for (const Shape& shape : shapes)
        text += std::to_string(shape.rows) + "x" + std::to_string(shape.cols) + " ";
    return text;
}

TEST(Options, DefaultsAreANamedSubset) {
    const Options options = parse({});
    EXPECT_EQ(text_of(options.shapes), text_of(parse({"--shapes", "llama3-8b,smollm2"}).shapes));
    EXPECT_EQ(options.tokens, (std::vector<int64_t>{1, 4, 16, 64, 512}));
    EXPECT_EQ(options.threads, (std::vector<int>{1, 0}));
    EXPECT_EQ(options.formats.size(), 4u);
    EXPECT_EQ(options.computes.size(), 2u);
    EXPECT_TRUE(options.gemm && options.quantize);
}

TEST(Options, AllIsEveryShapeOnceAndEveryTokenCount) {
    const Options options = parse({"--shapes", "all", "--m", "all"});
    const std::string text = " " + text_of(options.shapes);
    for (const char* shape :
         {"6144x4096",  "4096x4096",  "28672x4096", "4096x14336", "12288x4096", "22016x4096",
          "4096x11008", "10240x8192", "8192x8192",  "57344x8192", "8192x28672", "24576x8192",
          "22016x8192", "8192x22016", "21504x7168", "7168x7168",  "28672x7168", "7168x28672",
          "7168x5120",  "55296x5120", "5120x27648", "5120x13824", "151936x896", "576x576",
          "1536x576",   "576x1536"}) {
        const std::string word = " " + std::string(shape) + " ";
        const size_t at = text.find(word);
        EXPECT_NE(at, std::string::npos) << shape;
        EXPECT_EQ(text.find(word, at + 1), std::string::npos) << shape << " twice";
    }
    EXPECT_EQ(options.tokens.size(), 22u);
    EXPECT_EQ(options.tokens.back(), 8192);
}

TEST(Options, SlicesSplitOutputsAndInputs) {
    EXPECT_EQ(text_of(parse({"--shapes", "8192x28672/4"}).shapes), "2048x28672 8192x7168 ");
    EXPECT_EQ(text_of(parse({"--shapes", "smollm2/2"}).shapes),
              "288x576 576x288 768x576 1536x288 288x1536 576x768 ");
}

TEST(Options, RefusesWhatMakesNoSense) {
    const std::vector<std::vector<std::string>> kWrong = {
        {"--shapes", "llama9"},       {"--shapes", "64"},    {"--shapes", "0x64"},
        {"--shapes", "64x100/8"},     {"--shapes", "64x/2"}, {"--m", "0"},
        {"--formats", "e9m9-row"},    {"--threads", "some"}, {"--json"},
        {"--formats", "e2m3-column"}, {"--fast", "yes"}};
    for (const std::vector<std::string>& arguments : kWrong) {
        EXPECT_THROW(parse(arguments), std::runtime_error) << arguments.back();
    }
}

TEST(ProductError, SeesAWrongOutputAndAnUntouchedOne) {
    const Shape shape{100, 64};
    constexpr int64_t kTokens = 7;
    const std::vector<float> w = random_values(100 * 64, 0.5f, 1), x = random_values(7 * 64, 1, 2);
    std::vector<float> y(kTokens * 100);
    for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t r = 0; r < 100; ++r) {
            double sum = 0;
            for (int64_t c = 0; c < 64; ++c)
                sum += static_cast<double>(w[r * 64 + c]) * x[t * 64 + c];
            y[t * 100 + r] = static_cast<float>(sum);
        }
    }
    const CheckedRows rows = check_rows(shape, w);
    const auto error = [&] { return product_error(rows, 64, x, y.data(), kTokens, 100); };
    EXPECT_LT(error(), 1e-6);
    for (const int64_t at : {int64_t{0}, kTokens * 100 - 1}) {  // first and last are checked
        const float right = y[at];
        y[at] += 0.1f;
        EXPECT_GT(error(), 1e-3);
        y[at] = right;
    }
    y[kTokens * 100 / 2 + 1] = NAN;  // any that nobody wrote
    EXPECT_EQ(error(), HUGE_VAL);
}

TEST(Measure, ContendersTakeTurnsOverEveryCopy) {
    std::string order;
    std::vector<int64_t> calls[2];
    std::vector<Contender> contenders;
    for (int c = 0; c < 2; ++c) {
        contenders.push_back({Kind::kFp6, "", "", 0, 0, 0, [&, c](int64_t call) {
                                  if (order.empty() || order.back() != "ab"[c]) order += "ab"[c];
                                  calls[c].push_back(call);
                              }});
    }
    measure(contenders, 4, 20);
    // Once each to find the batch, then four rounds whose order rotates.
    EXPECT_EQ(order, "abababa") << "a b | a b, b a, a b, b a";
    for (int c = 0; c < 2; ++c) {
        EXPECT_EQ(contenders[c].samples.size(), 4u);
        for (size_t i = 0; i < calls[c].size(); ++i)
            ASSERT_EQ(calls[c][i], static_cast<int64_t>(i)) << "a copy is left out or read twice";
    }
}

TEST(Measure, RatiosPairTheRounds) {
    const auto with = [](std::vector<double> samples) {
        return Contender{Kind::kFp6, "", "", 0, 0, 0, nullptr, std::move(samples)};
    };
    // The machine was ten times slower in the second round, for both.
    EXPECT_DOUBLE_EQ(speed_ratio(with({1, 10, 1}), with({2, 20, 2})), 2.0);
    EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2.0);
    EXPECT_DOUBLE_EQ(spread({1, 2, 3, 4, 5}), 1.0 / 3);
}

}  // namespace
}  // namespace fp6llm::bench
