// What the benchmark's figures rest on: the shapes that it runs, the check that comes before timing,
// and contenders that take turns over cold weights.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/bench/ceilings.hpp"
#include "tests/bench/measure.hpp"
#include "tests/bench/peer.hpp"
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
    ASSERT_EQ(options.quantize_formats.size(), 7u);
    EXPECT_EQ(options.quantize_formats[6].name, "auto-mx");
    EXPECT_EQ(options.quantize_formats[6].config.format, FP6LLM_R_6F_AUTO);
    EXPECT_EQ(options.quantize_formats[6].config.scaleMode, FP6LLM_SCALE_MX);
    EXPECT_EQ(parse({"--formats", "e2m1-g64"}).quantize_formats.size(), 1u);
    const Options more = parse({"--quantize", "auto-mx", "--formats", "e2m3-mx"});
    EXPECT_EQ(more.formats.size(), 1u);
    ASSERT_EQ(more.quantize_formats.size(), 2u);
    EXPECT_EQ(more.quantize_formats[1].name, "auto-mx");
    EXPECT_EQ(options.computes.size(), 4u);
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

TEST(Options, PartsAndPeers) {
    const Options token =
        parse({"--only", "token,gemm", "--peers", "a/b,c", "--seconds", "3", "--peers", "d"});
    EXPECT_TRUE(token.token && token.gemm);
    EXPECT_FALSE(token.quantize || token.checks);
    EXPECT_EQ(token.peers, (std::vector<std::string>{"a/b", "c", "d"}));
    EXPECT_EQ(token.seconds_per_case, 3);
    EXPECT_TRUE(parse({"--only", "checks"}).checks);
    EXPECT_TRUE(parse({}).peers.empty());
}

TEST(Options, RefusesWhatMakesNoSense) {
    const std::vector<std::vector<std::string>> kWrong = {{"--shapes", "llama9"},
                                                          {"--shapes", "64"},
                                                          {"--shapes", "0x64"},
                                                          {"--shapes", "64x100/8"},
                                                          {"--shapes", "64x/2"},
                                                          {"--m", "0"},
                                                          {"--formats", "e9m9-row"},
                                                          {"--threads", "some"},
                                                          {"--json"},
                                                          {"--formats", "e2m3-column"},
                                                          {"--fast", "yes"},
                                                          {"--only", "gemm,all"},
                                                          {"--peers"},
                                                          {"--peers", ","},
                                                          {"--seconds", "0"}};
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
    const auto error = [&] { return product_error(rows, 64, x.data(), y.data(), kTokens, 100); };
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

// A peer whose product of each output is `factor` times the right one.
class StubMatrix final : public PeerMatrix {
  public:
    StubMatrix(const Shape& shape, const float* w, float factor)
        : shape_(shape), w_(w), factor_(factor) {}
    std::function<void(int64_t)> product(float* x, float* y, int64_t tokens, int) override {
        if (tokens > 4) throw std::runtime_error("no more than 4 tokens");
        return [this, x, y, tokens](int64_t) {
            for (int64_t t = 0; t < tokens; ++t) {
                for (int64_t r = 0; r < shape_.rows; ++r) {
                    double sum = 0;
                    for (int64_t c = 0; c < shape_.cols; ++c)
                        sum +=
                            static_cast<double>(w_[r * shape_.cols + c]) * x[t * shape_.cols + c];
                    y[t * shape_.rows + r] = static_cast<float>(sum) * factor_;
                }
            }
        };
    }
    double bytes() const override { return 1; }

  private:
    Shape shape_;
    const float* w_;
    float factor_;
};

PeerMethod stub(const std::string& name, float factor) {
    return {name, 0.1, [factor](const Shape& shape, const float* w, size_t) {
                return std::make_unique<StubMatrix>(shape, w, factor);
            }};
}

TEST(Peers, OnlyRightProductsAreTimed) {
    const Shape shape{70, 32};
    const std::vector<float> w = random_values(70 * 32, 0.5f, 1);
    const AlignedFloats x(random_values(8 * 32, 1, 2)), y(8 * 70);
    std::vector<std::string> said;
    const auto say = [&](const std::string& remark) { said.push_back(remark); };
    const PeerMethod broken{"broken", 0.1,
                            [](const Shape&, const float*, size_t) -> std::unique_ptr<PeerMatrix> {
                                throw std::runtime_error("not such weights");
                            }};
    const std::vector<Peer> peers{
        {"A 1.0", {stub("right", 1.01f), broken, stub("wrong", 1.2f), stub("untouched", NAN)}}};
    std::vector<LoadedPeer> loaded = load_peers(peers, shape, w.data(), 1, say);
    EXPECT_EQ(said, std::vector<std::string>{"broken is left out: not such weights"});
    said.clear();

    const CheckedRows rows = check_rows(shape, w);
    std::vector<Contender> contenders;
    add_peers(loaded, {rows, shape, 4, 1, x.data(), y.data()}, contenders, say);
    ASSERT_EQ(contenders.size(), 1u);
    EXPECT_EQ(contenders[0].name, "right");
    EXPECT_EQ(contenders[0].detail, "A 1.0");
    EXPECT_EQ(contenders[0].kind, Kind::kPeer);
    EXPECT_GT(contenders[0].error, 0.01);
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].rfind("wrong is left out: its result is wrong", 0), 0u) << said[0];
    EXPECT_EQ(said[1].rfind("untouched is left out: its result is wrong", 0), 0u) << said[1];

    contenders.clear();
    add_peers(loaded, {rows, shape, 5, 1, x.data(), y.data()}, contenders, say);
    EXPECT_TRUE(contenders.empty());
    EXPECT_EQ(said[2], "right is left out: no more than 4 tokens");
}

TEST(Peers, WhatIsNotThereIsLeftOut) {
    std::vector<std::string> said;
    const auto say = [&](const std::string& remark) { said.push_back(remark); };
    EXPECT_TRUE(open_peers({"no/such/folder"}, say).empty());
    ASSERT_EQ(said.size(), 4u);
    EXPECT_EQ(said[0], "ggml is left out: no libggml-cpu.so in the folders of --peers");
}

TEST(Peaks, AKernelsNameSaysWhichIsItsOwn) {
    const auto peak = [](const std::string& kernel) {
        const KernelArithmetic work = arithmetic_of_kernel(kernel);
        return peak_name(work.arithmetic) + std::string(work.products == 2 ? " twice" : "");
    };
    EXPECT_EQ(peak("avx2_fp6_gemv_f32"), "fp32 peak");
    EXPECT_EQ(peak("avx512bf16_fp6_fused_bf16"), "bf16 peak");
    EXPECT_EQ(peak("avx512bf16_fp6_gemm_bf16x2"), "bf16 peak twice");
    EXPECT_EQ(peak("avx512bf16_fp6_gemm_f32"), "fp32 peak");
    EXPECT_EQ(peak("avx2_fp6_gemm_i16"), "int16 peak");
    EXPECT_EQ(peak("avx512vnni_e2m3_gemm_i8"), "int8 peak");
}

TEST(Peaks, CountTheOperationsOfEveryThread) {
    Team one(1), two(2);
    for (const Arithmetic arithmetic :
         {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kInt16, Arithmetic::kInt8}) {
        if (!peak_instructions(arithmetic)) continue;
        const double operations = multiply_peak(one, arithmetic, 10);
        EXPECT_GE(operations, 10 * 2 * 12 * 4) << peak_name(arithmetic);
        EXPECT_EQ(multiply_peak(two, arithmetic, 20), 4 * operations) << peak_name(arithmetic);
    }
    EXPECT_NE(peak_instructions(Arithmetic::kFp32), nullptr);
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

TEST(Measure, ATurnIsInsideWhatItAsksFor) {
    std::string order;
    std::vector<Contender> contenders;
    contenders.push_back({Kind::kPeer, "", "", 0, 0, 0, [&](int64_t) {
                              if (order.back() != 'p') order += 'p';
                          }});
    contenders.back().before_turn = [&] { order += '('; };
    contenders.back().after_turn = [&] { order += ')'; };
    contenders.push_back({Kind::kFp6, "", "", 0, 0, 0, [&](int64_t) {
                              if (order.back() != 'o') order += 'o';
                          }});
    measure(contenders, 3, 20);
    EXPECT_EQ(order, "(p)o(p)o(p)(p)o") << "once for the batch, then three rounds";
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
