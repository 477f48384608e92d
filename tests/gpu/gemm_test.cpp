// Multiplying on the GPU, through the C ABI, against the CPU's fp64 reference: formats, scale modes,
// types, shapes, transposes, epilogues, every kernel that the heuristic offers. The emulated GPU also
// checks the kernels' accesses, and runs them in another order for every seed.
//
// Tolerance: products are exact and sums in fp32, in whatever order, so an output errs by at most
// (k + 8) 2^-24 times the sum of the products' magnitudes, which the CPU computes, too, from weights and
// activations without signs; plus the rounding to the output's type.
#include <cmath>
#include <cstring>
#include <random>

#include "tests/gpu/fixture.hpp"

namespace fp6llm::gpu_test {
namespace {

float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

/// fp16 and bfloat16 in plain arithmetic, for values in range.
uint16_t round_to(fp6llmDataType_t type, float value) {
    if (type == FP6LLM_R_16BF) {
        const uint32_t bits = to_bits(value);
        return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
    const _Float16 half = static_cast<_Float16>(value);
    uint16_t bits;
    std::memcpy(&bits, &half, sizeof bits);
    return bits;
}

float widen(fp6llmDataType_t type, const uint8_t* from) {
    if (type == FP6LLM_R_32F) {
        float value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    if (type == FP6LLM_R_16BF) return from_bits(uint32_t{bits} << 16);
    _Float16 half;
    std::memcpy(&half, &bits, sizeof half);
    return static_cast<float>(half);
}

size_t bytes_of(fp6llmDataType_t type) {
    return type == FP6LLM_R_32F ? 4 : 2;
}

/// Values of a type, as bytes and as the floats that they are.
struct Values {
    std::vector<uint8_t> bytes;
    std::vector<float> floats;
};

Values random_values(fp6llmDataType_t type, int64_t count, std::mt19937& random,
                     float scale = 1.0f) {
    std::normal_distribution<float> gaussian;
    Values values;
    values.bytes.resize(static_cast<size_t>(count) * bytes_of(type));
    values.floats.resize(static_cast<size_t>(count));
    for (size_t i = 0; i < values.floats.size(); ++i) {
        const float value = gaussian(random) * scale;
        uint8_t* to = &values.bytes[i * bytes_of(type)];
        if (type == FP6LLM_R_32F) {
            std::memcpy(to, &value, 4);
        } else {
            const uint16_t bits = round_to(type, value);
            std::memcpy(to, &bits, 2);
        }
        values.floats[i] = widen(type, to);
    }
    return values;
}

struct Scales {
    const char* name;
    int32_t mode, group, type;
};
constexpr Scales kScales[] = {{"row", FP6LLM_SCALE_ROW, 0, FP6LLM_R_32F},
                              {"row f16", FP6LLM_SCALE_ROW, 0, FP6LLM_R_16F},
                              {"group 32", FP6LLM_SCALE_GROUP, 32, FP6LLM_R_32F},
                              {"group 96", FP6LLM_SCALE_GROUP, 96, FP6LLM_R_16F},
                              {"group 256", FP6LLM_SCALE_GROUP, 256, FP6LLM_R_32F},
                              {"group 16", FP6LLM_SCALE_GROUP, 16, FP6LLM_R_32F},
                              {"group 40", FP6LLM_SCALE_GROUP, 40, FP6LLM_R_32F},
                              {"MX", FP6LLM_SCALE_MX, 32, FP6LLM_R_8F_UE8M0}};
constexpr fp6llmDataType_t kFormats[] = {FP6LLM_R_6F_E3M2, FP6LLM_R_6F_E2M3, FP6LLM_R_5F_E2M2,
                                         FP6LLM_R_5F_E3M1, FP6LLM_R_4F_E2M1};
constexpr fp6llmDataType_t kTypes[] = {FP6LLM_R_16F, FP6LLM_R_16BF, FP6LLM_R_32F};

fp6llmQuantConfig_t config_of(fp6llmDataType_t format, const Scales& scales) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.format = format;
    config.scaleMode = scales.mode;
    config.groupSize = scales.group;
    config.scaleType = scales.type;
    return config;
}

/// The same matrix on both sides, and once more without signs on the CPU.
struct Weights {
    Weight cuda, cpu, magnitude;
    int64_t rows, cols;
};

struct Problem {
    fp6llmOperation_t transa = FP6LLM_OP_T, transb = FP6LLM_OP_N;
    int64_t tokens = 1;
    fp6llmDataType_t btype = FP6LLM_R_16F, ctype = FP6LLM_R_32F;
    fp6llmComputeType_t compute = FP6LLM_COMPUTE_32F;
    float alpha = 1.0f, beta = 0.0f;
    int64_t ldb_extra = 0, ldc_extra = 0;
    size_t b_offset = 0;  ///< bytes
    int32_t algo = FP6LLM_ALGO_DEFAULT;
};

/// Relative error of an activation that the compute type may round.
double activation_error(const Problem& p) {
    if (p.btype != FP6LLM_R_32F || p.compute == FP6LLM_COMPUTE_32F) return 0.0;
    return p.compute == FP6LLM_COMPUTE_32F_FAST_16BF ? 0x1p-8 : 0x1p-11;
}

class GpuGemm : public GpuTest {
  protected:
    /// From floats of `wtype` (R_16BF: the tag for bfloat16 activations).
    Weights make_weights(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols,
                         fp6llmDataType_t wtype, unsigned seed) {
        std::mt19937 random(seed);
        const Values w = random_values(wtype, rows * cols, random, 0.05f);
        const DeviceBytes on_device(w.bytes);
        Weights weights{};
        weights.rows = rows;
        weights.cols = cols;
        fp6llmWeight_t made = nullptr;
        EXPECT_EQ(
            fp6llmWeightCreate(cuda(), &config, rows, cols, on_device.data(), wtype, cols, &made),
            0)
            << last_error();
        weights.cuda.reset(made);

        size_t code_bytes = 0, scale_bytes = 0;
        EXPECT_EQ(fp6llmQuantGetSizes(&config, rows, cols, &code_bytes, &scale_bytes), 0);
        std::vector<uint8_t> codes(code_bytes), scales(scale_bytes);
        EXPECT_EQ(fp6llmQuantize(cpu(), &config, rows, cols, w.bytes.data(), wtype, cols,
                                 codes.data(), scales.data(), nullptr),
                  0)
            << last_error();
        made = nullptr;
        EXPECT_EQ(fp6llmWeightCreateFromCodes(cpu(), &config, rows, cols, codes.data(),
                                              scales.data(), &made),
                  0);
        weights.cpu.reset(made);
        clear_signs(config, rows, cols, codes);
        made = nullptr;
        EXPECT_EQ(fp6llmWeightCreateFromCodes(cpu(), &config, rows, cols, codes.data(),
                                              scales.data(), &made),
                  0);
        weights.magnitude.reset(made);
        return weights;
    }

    static void clear_signs(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols,
                            std::vector<uint8_t>& codes) {
        const int bits = config.format == FP6LLM_R_4F_E2M1 ? 4
                         : config.format == FP6LLM_R_5F_E2M2 || config.format == FP6LLM_R_5F_E3M1
                             ? 5
                             : 6;
        const int64_t row_bytes = (cols * bits + 7) / 8;
        for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < cols; ++c) {
                const int64_t sign = c * bits + bits - 1;
                codes[static_cast<size_t>(r * row_bytes + sign / 8)] &=
                    static_cast<uint8_t>(~(1u << sign % 8));
            }
        }
    }

    /// What the CPU's reference makes of fp32 activations [tokens][k], row-major out.
    std::vector<float> reference(fp6llmWeight_t weight, const Problem& p, int64_t outputs,
                                 int64_t k, const std::vector<float>& x,
                                 const std::vector<float>& c, float alpha, float beta) {
        std::vector<float> y = c;
        EXPECT_EQ(fp6llmGemmEx(cpu(), p.transa, FP6LLM_OP_N, outputs, p.tokens, k, &alpha, weight,
                               x.data(), FP6LLM_R_32F, std::max<int64_t>(k, 1), &beta, y.data(),
                               FP6LLM_R_32F, outputs, FP6LLM_COMPUTE_32F, 0),
                  0)
            << last_error();
        return y;
    }

    /// Runs a problem on the GPU and compares. Gives the raw output, padding included.
    std::vector<uint8_t> check(const Weights& w, const Problem& p, unsigned seed) {
        const bool is_transposed = p.transa == FP6LLM_OP_N;
        const int64_t outputs = is_transposed ? w.cols : w.rows,
                      k = is_transposed ? w.rows : w.cols;
        std::mt19937 random(seed);
        const Values x = random_values(p.btype, p.tokens * k, random);
        const int64_t inner = p.transb == FP6LLM_OP_N ? k : p.tokens;
        const int64_t outer = p.transb == FP6LLM_OP_N ? p.tokens : k;
        const int64_t ldb = inner + p.ldb_extra, ldc = outputs + p.ldc_extra;
        const size_t element = bytes_of(p.btype);
        // NaN between the columns: reading it shows.
        std::vector<uint8_t> b(static_cast<size_t>(outer * ldb) * element, 0xFF);
        for (int64_t t = 0; t < p.tokens; ++t) {
            for (int64_t i = 0; i < k; ++i) {
                const int64_t at = p.transb == FP6LLM_OP_N ? t * ldb + i : i * ldb + t;
                std::memcpy(&b[static_cast<size_t>(at) * element],
                            &x.bytes[static_cast<size_t>(t * k + i) * element], element);
            }
        }
        // beta == 0 must not read C: its bytes are NaN then.
        const Values old = random_values(p.ctype, p.tokens * outputs, random);
        const size_t out = bytes_of(p.ctype);
        std::vector<uint8_t> c(static_cast<size_t>(p.tokens * ldc) * out, 0xFF);
        if (p.beta != 0.0f) {
            for (int64_t t = 0; t < p.tokens; ++t)
                std::memcpy(&c[static_cast<size_t>(t * ldc) * out],
                            &old.bytes[static_cast<size_t>(t * outputs) * out],
                            static_cast<size_t>(outputs) * out);
        }
        const DeviceBytes b_device(b, p.b_offset), c_device(c);
        EXPECT_EQ(fp6llmGemmEx(cuda(), p.transa, p.transb, outputs, p.tokens, k, &p.alpha,
                               w.cuda.get(), b_device.data(), p.btype, ldb, &p.beta,
                               c_device.data(), p.ctype, ldc, p.compute, p.algo),
                  0)
            << last_error();
        const std::vector<uint8_t> got = c_device.bytes();

        const std::vector<float> expected =
            reference(w.cpu.get(), p, outputs, k, x.floats, old.floats, p.alpha, p.beta);
        std::vector<float> magnitudes = x.floats;
        for (float& value : magnitudes)
            value = std::fabs(value);
        const std::vector<float> bound = reference(w.magnitude.get(), p, outputs, k, magnitudes,
                                                   old.floats, std::fabs(p.alpha), 0);
        const double unit = static_cast<double>(k + 8) * 0x1p-24 + activation_error(p);
        int bad = 0;
        for (int64_t t = 0; t < p.tokens; ++t) {
            for (int64_t o = 0; o < ldc; ++o) {
                const uint8_t* at = &got[static_cast<size_t>(t * ldc + o) * out];
                if (o >= outputs) {
                    bad += std::memcmp(at, &c[static_cast<size_t>(t * ldc + o) * out], out) != 0;
                    continue;
                }
                const double want = expected[static_cast<size_t>(t * outputs + o)];
                const double rounding = p.ctype == FP6LLM_R_32F   ? 0x1p-23
                                        : p.ctype == FP6LLM_R_16F ? 0x1p-11
                                                                  : 0x1p-8;
                const double limit = bound[static_cast<size_t>(t * outputs + o)] * unit +
                                     (std::fabs(want) + std::fabs(p.beta)) * rounding + 0x1p-24;
                const double is = widen(p.ctype, at);
                if (!(std::fabs(is - want) <= limit) && ++bad <= 3)
                    ADD_FAILURE() << "token " << t << " output " << o << ": " << is << ", not "
                                  << want << " +- " << limit;
            }
        }
        EXPECT_EQ(bad, 0);
        return got;
    }
};

std::string text(const Problem& p, const Weights& w) {
    return std::to_string(w.rows) + "x" + std::to_string(w.cols) + " tokens " +
           std::to_string(p.tokens) + " transa " + std::to_string(p.transa) + " transb " +
           std::to_string(p.transb) + " B " + std::to_string(p.btype) + " C " +
           std::to_string(p.ctype) + " compute " + std::to_string(p.compute) + " algo " +
           std::to_string(p.algo) + " alpha " + std::to_string(p.alpha) + " beta " +
           std::to_string(p.beta);
}

TEST_F(GpuGemm, EveryFormatScaleAndActivationType) {
    unsigned seed = 1000;
    for (const fp6llmDataType_t format : kFormats) {
        for (const Scales& scales : kScales) {
            const fp6llmDataType_t wtype = kTypes[seed % 3];
            const Weights w = make_weights(config_of(format, scales), 70, 301, wtype, ++seed);
            for (const fp6llmDataType_t type : kTypes) {
                Problem p;
                p.btype = type;
                p.tokens = 1 + seed % 19;
                p.ctype = seed % 2 == 0 ? type : FP6LLM_R_32F;
                p.ldb_extra = seed % 4;  // rows that are not 16-byte aligned, too
                SCOPED_TRACE(std::string(scales.name) + " format " + std::to_string(format) +
                             " weight type " + std::to_string(wtype) + " " + text(p, w));
                Driver::get().set_seed(++seed);
                check(w, p, seed);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_F(GpuGemm, EveryKernelOfEveryScaleMode) {
    unsigned seed = 2000;
    for (const fp6llmDataType_t wtype : {FP6LLM_R_16F, FP6LLM_R_16BF}) {
        for (const fp6llmDataType_t format : {FP6LLM_R_6F_E3M2, FP6LLM_R_6F_E2M3}) {
            for (const int which : {0, 2, 6}) {
                const Weights w =
                    make_weights(config_of(format, kScales[which]), 197, 392, wtype, ++seed);
                for (const fp6llmDataType_t type : {FP6LLM_R_16F, FP6LLM_R_16BF}) {
                    fp6llmHeuristicResult_t results[16];
                    for (auto& result : results)
                        result = FP6LLM_HEURISTIC_RESULT_INIT;
                    int returned = 0;
                    ASSERT_EQ(fp6llmGemmGetHeuristic(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 197, 21, 392,
                                                     w.cuda.get(), type, FP6LLM_R_32F,
                                                     FP6LLM_COMPUTE_32F, 16, results, &returned),
                              0)
                        << last_error();
                    ASSERT_GE(returned, 2);
                    for (int i = 0; i < returned; ++i) {
                        Problem p;
                        p.btype = type;
                        p.tokens = 21 + 9 * i;
                        p.algo = results[i].algo;
                        SCOPED_TRACE(std::string(results[i].name) + " " + text(p, w));
                        Driver::get().set_seed(++seed);
                        check(w, p, seed);
                    }
                }
            }
        }
    }
}

TEST_F(GpuGemm, ShapesThatDivideNothing) {
    unsigned seed = 3000;
    const fp6llmQuantConfig_t config = config_of(FP6LLM_R_6F_E3M2, kScales[0]);
    constexpr int64_t kShapes[][2] = {{1, 1}, {17, 3}, {64, 128}, {65, 129}, {3, 700}, {576, 192}};
    for (const auto& shape : kShapes) {
        const Weights w = make_weights(config, shape[0], shape[1], FP6LLM_R_16F, ++seed);
        for (const int64_t tokens : {1, 2, 7, 8, 9, 33, 65, 130}) {
            Problem p;
            p.tokens = tokens;
            p.btype = kTypes[seed % 3];
            p.ctype = seed % 2 == 0 ? p.btype : FP6LLM_R_32F;
            p.ldc_extra = seed % 3;
            p.ldb_extra = seed % 5;
            p.alpha = 0.5f;
            p.beta = seed % 2 == 0 ? 0.0f : -1.5f;
            p.b_offset = bytes_of(p.btype) * (seed % 2);
            SCOPED_TRACE(text(p, w));
            Driver::get().set_seed(++seed);
            check(w, p, seed);
        }
    }
}

TEST_F(GpuGemm, BothTransposesOfBoth) {
    unsigned seed = 4000;
    for (const Scales& scales : kScales) {
        const Weights w =
            make_weights(config_of(FP6LLM_R_6F_E2M3, scales), 67, 141, FP6LLM_R_16F, ++seed);
        for (const fp6llmOperation_t transa : {FP6LLM_OP_N, FP6LLM_OP_T}) {
            for (const fp6llmOperation_t transb : {FP6LLM_OP_N, FP6LLM_OP_T}) {
                if (transa == FP6LLM_OP_T && transb == FP6LLM_OP_N) continue;  // all other tests
                Problem p;
                p.transa = transa;
                p.transb = transb;
                p.tokens = 5 + seed % 70;
                p.btype = kTypes[seed % 3];
                p.beta = 0.25f;
                SCOPED_TRACE(std::string(scales.name) + " " + text(p, w));
                Driver::get().set_seed(++seed);
                check(w, p, seed);
            }
        }
    }
}

TEST_F(GpuGemm, ComputeTypesRoundNoMoreThanTheySay) {
    unsigned seed = 5000;
    for (const fp6llmDataType_t wtype : {FP6LLM_R_16F, FP6LLM_R_16BF}) {
        const Weights w =
            make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[2]), 66, 260, wtype, ++seed);
        for (const fp6llmComputeType_t compute :
             {FP6LLM_COMPUTE_32F, FP6LLM_COMPUTE_32F_FAST_16F, FP6LLM_COMPUTE_32F_FAST_16BF}) {
            for (const fp6llmDataType_t type : kTypes) {
                Problem p;
                p.compute = compute;
                p.btype = type;
                p.tokens = 11;
                SCOPED_TRACE(text(p, w));
                check(w, p, ++seed);
            }
        }
    }
}

TEST_F(GpuGemm, AlphaAndBetaInDeviceMemory) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[0]), 70, 130, FP6LLM_R_16F, 6000);
    std::mt19937 random(6001);
    const Values x = random_values(FP6LLM_R_16F, 3 * 130, random),
                 c = random_values(FP6LLM_R_32F, 3 * 70, random);
    const float alpha = -0.75f, beta = 2.0f;
    const DeviceBytes b(x.bytes), by_host(c.bytes), by_device(c.bytes),
        scalars(std::vector<float>{alpha, beta});
    const auto* at = static_cast<const float*>(scalars.data());
    ASSERT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 3, 130, &alpha, w.cuda.get(),
                           b.data(), FP6LLM_R_16F, 130, &beta, by_host.data(), FP6LLM_R_32F, 70,
                           FP6LLM_COMPUTE_32F, -1),
              0);
    ASSERT_EQ(fp6llmSetPointerMode(cuda(), FP6LLM_POINTER_MODE_DEVICE), 0);
    EXPECT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 3, 130, at, w.cuda.get(), b.data(),
                           FP6LLM_R_16F, 130, at + 1, by_device.data(), FP6LLM_R_32F, 70,
                           FP6LLM_COMPUTE_32F, -1),
              0)
        << last_error();
    ASSERT_EQ(fp6llmSetPointerMode(cuda(), FP6LLM_POINTER_MODE_HOST), 0);
    EXPECT_TRUE(by_host.bytes() == by_device.bytes());
}

TEST_F(GpuGemm, NothingToMultiply) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[0]), 70, 130, FP6LLM_R_16F, 7000);
    std::mt19937 random(7001);
    const Values c = random_values(FP6LLM_R_32F, 2 * 70, random);
    const std::vector<uint16_t> nan(2 * 130, 0x7E00);
    const DeviceBytes b(nan), out(c.bytes);
    const float zero = 0.0f, half = 0.5f;
    // alpha == 0 never reads B.
    ASSERT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 2, 130, &zero, w.cuda.get(),
                           b.data(), FP6LLM_R_16F, 130, &half, out.data(), FP6LLM_R_32F, 70,
                           FP6LLM_COMPUTE_32F, -1),
              0);
    const std::vector<float> got = out.read<float>();
    for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], 0.5f * c.floats[i]);
    // No tokens: nothing happens, pointers may be NULL.
    EXPECT_EQ(
        fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 0, 130, &half, w.cuda.get(), nullptr,
                     FP6LLM_R_16F, 130, &half, nullptr, FP6LLM_R_32F, 70, FP6LLM_COMPUTE_32F, -1),
        0)
        << last_error();
}

TEST_F(GpuGemm, Epilogues) {
    std::mt19937 random(8000);
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E2M3, kScales[0]), 70, 130, FP6LLM_R_16F, 8001);
    const int64_t tokens = 9;
    for (int activation = 0; activation <= 4; ++activation) {
        for (const fp6llmDataType_t type : kTypes) {
            SCOPED_TRACE("activation " + std::to_string(activation) + " type " +
                         std::to_string(type));
            const Values x = random_values(type, tokens * 130, random);
            const Values bias = random_values(kTypes[activation % 3], 70, random);
            const Values residual = random_values(type, tokens * 70, random);
            const DeviceBytes x_device(x.bytes), bias_device(bias.bytes),
                residual_device(residual.bytes), y_device(static_cast<size_t>(tokens) * 70 * 4);
            fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
            epilogue.activation = activation;
            epilogue.bias = bias_device.data();
            epilogue.biasType = kTypes[activation % 3];
            epilogue.residual = residual_device.data();
            epilogue.residualType = type;
            epilogue.ldr = 70;
            ASSERT_EQ(fp6llmLinear(cuda(), tokens, x_device.data(), type, 130, w.cuda.get(),
                                   &epilogue, y_device.data(), FP6LLM_R_32F, 70),
                      0)
                << last_error();
            epilogue.bias = bias.bytes.data();
            epilogue.residual = residual.bytes.data();
            std::vector<float> expected(static_cast<size_t>(tokens) * 70);
            ASSERT_EQ(fp6llmLinear(cpu(), tokens, x.bytes.data(), type, 130, w.cpu.get(), &epilogue,
                                   expected.data(), FP6LLM_R_32F, 70),
                      0)
                << last_error();
            const std::vector<float> got = y_device.read<float>();
            for (size_t i = 0; i < got.size(); ++i)
                ASSERT_NEAR(got[i], expected[i], 4e-6 * (1.0 + std::fabs(expected[i]))) << i;
        }
    }
}

TEST_F(GpuGemm, SameBitsWhateverTheOrder) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[2]), 200, 900, FP6LLM_R_16F, 9000);
    for (const int64_t tokens : {3, 40, 150}) {
        Problem p;
        p.tokens = tokens;
        SCOPED_TRACE(text(p, w));
        std::vector<uint8_t> first;
        for (unsigned seed = 1; seed <= 6; ++seed) {
            Driver::get().set_seed(seed);
            const std::vector<uint8_t> got = check(w, p, 9001);
            if (first.empty()) first = got;
            ASSERT_TRUE(got == first) << "seed " << seed;
        }
    }
}

TEST_F(GpuGemm, LentWorkspace) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[0]), 200, 900, FP6LLM_R_16F, 9500);
    Problem p;
    p.tokens = 5;
    p.btype = FP6LLM_R_32F;
    size_t bytes = 0;
    ASSERT_EQ(fp6llmGemmGetWorkspaceSize(cuda(), p.transa, p.transb, 200, 5, 900, w.cuda.get(),
                                         p.btype, p.ctype, p.compute, -1, &bytes),
              0);
    ASSERT_GT(bytes, 0u);
    const std::vector<uint8_t> own = check(w, p, 9501);
    const DeviceBytes workspace(bytes);  // canaries round it; its contents are garbage
    ASSERT_EQ(fp6llmSetWorkspace(cuda(), workspace.data(), bytes), 0) << last_error();
    EXPECT_TRUE(check(w, p, 9501) == own);
    workspace.bytes();

    ASSERT_EQ(fp6llmSetWorkspace(cuda(), workspace.data(), bytes - 256), 0);
    const DeviceBytes b(size_t{5 * 900 * 4}), c(size_t{5 * 200 * 4});
    EXPECT_EQ(fp6llmGemmEx(cuda(), p.transa, p.transb, 200, 5, 900, &p.alpha, w.cuda.get(),
                           b.data(), p.btype, 900, &p.beta, c.data(), p.ctype, 200, p.compute, -1),
              FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_NE(last_error().find("workspace"), std::string::npos) << last_error();
    for (const uint8_t byte : c.bytes())
        ASSERT_EQ(byte, DeviceBytes::kFill);
    ASSERT_EQ(fp6llmSetWorkspace(cuda(), nullptr, 0), 0);
}

TEST_F(GpuGemm, LentWorkspaceNeedNotHoldActivationsThatAreReady) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[0]), 200, 896, FP6LLM_R_16F, 9700);
    Problem p;
    p.tokens = 5;
    size_t bytes = 0;
    ASSERT_EQ(fp6llmGemmGetWorkspaceSize(cuda(), p.transa, p.transb, 200, 5, 896, w.cuda.get(),
                                         p.btype, p.ctype, p.compute, -1, &bytes),
              0);
    constexpr size_t kPacked = 5 * 896 * 2;  // a multiple of 256
    ASSERT_GE(bytes, kPacked);
    const DeviceBytes workspace(bytes);
    const size_t lent = bytes > kPacked ? bytes - kPacked : 256;
    ASSERT_EQ(fp6llmSetWorkspace(cuda(), workspace.data(), lent), 0) << last_error();
    check(w, p, 9701);
    const DeviceBytes b(size_t{5 * 897 * 2}), c(size_t{5 * 200 * 4});
    EXPECT_EQ(fp6llmGemmEx(cuda(), p.transa, p.transb, 200, 5, 896, &p.alpha, w.cuda.get(),
                           b.data(), p.btype, 897, &p.beta, c.data(), p.ctype, 200, p.compute, -1),
              FP6LLM_STATUS_INVALID_VALUE);
    ASSERT_EQ(fp6llmSetWorkspace(cuda(), nullptr, 0), 0);
    workspace.bytes();
}

TEST_F(GpuGemm, RefusesMemoryOfTheOtherSide) {
    const Weights w =
        make_weights(config_of(FP6LLM_R_6F_E3M2, kScales[0]), 70, 130, FP6LLM_R_16F, 9600);
    std::vector<float> host(2 * 130);
    const DeviceBytes b(size_t{2 * 130 * 4}), c(size_t{2 * 70 * 4});
    const float one = 1.0f, zero = 0.0f;
    EXPECT_EQ(
        fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 2, 130, &one, w.cuda.get(), host.data(),
                     FP6LLM_R_32F, 130, &zero, c.data(), FP6LLM_R_32F, 70, FP6LLM_COMPUTE_32F, -1),
        FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(last_error().find("B "), 0u) << last_error();
    EXPECT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 2, 130, &one, w.cuda.get(),
                           b.data(), FP6LLM_R_32F, 130, &zero, host.data(), FP6LLM_R_32F, 70,
                           FP6LLM_COMPUTE_32F, -1),
              FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(last_error().find("C "), 0u) << last_error();
    EXPECT_EQ(
        fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 2, 130, &one, w.cpu.get(), b.data(),
                     FP6LLM_R_32F, 130, &zero, c.data(), FP6LLM_R_32F, 70, FP6LLM_COMPUTE_32F, -1),
        FP6LLM_STATUS_INVALID_VALUE);
    EXPECT_EQ(fp6llmGemmEx(cuda(), FP6LLM_OP_T, FP6LLM_OP_N, 70, 2, 130, &one, w.cuda.get(),
                           b.data(), FP6LLM_R_32F, 130, &zero, c.data(), FP6LLM_R_32F, 70,
                           FP6LLM_COMPUTE_32F_FAST_8F, -1),
              FP6LLM_STATUS_NOT_SUPPORTED);
}

}  // namespace
}  // namespace fp6llm::gpu_test
