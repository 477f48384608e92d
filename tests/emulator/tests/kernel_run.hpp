// Small kernels written in PTX, run on an emulated device of their own, for the tests of the matrix and
// asynchronous instructions.
//
//   kernel(90, 2, "", body)   an entry "k" with parameters a0, a1 as 64-bit registers of global
//                             addresses, and registers tx (tid.x), lane, warp; %p %h %r %rd %f %fd are
//                             there to be used
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/emulator/device.hpp"

namespace emulator {

inline std::string kernel(int arch, int parameters, const std::string& shared,
                          const std::string& body) {
    std::string ptx = ".version 8.4\n.target sm_" + std::to_string(arch) + (arch >= 90 ? "a" : "") +
                      "\n.address_size 64\n" + shared + "\n.visible .entry k(";
    for (int i = 0; i < parameters; ++i)
        ptx += std::string(i != 0 ? ", " : "") + ".param .u64 param" + std::to_string(i);
    ptx +=
        ")\n{\n.reg .pred %p<32>;\n.reg .b16 %h<32>;\n.reg .b32 %r<512>;\n.reg .b64 %rd<128>;\n"
        ".reg .f32 %f<512>;\n.reg .f64 %fd<64>;\n.reg .b32 tx, lane, warp;\n";
    for (int i = 0; i < parameters; ++i) {
        const std::string name = "a" + std::to_string(i);
        ptx += ".reg .b64 " + name + ";\nld.param.u64 " + name + ", [param" + std::to_string(i) +
               "];\n";
    }
    return ptx + "mov.u32 tx, %tid.x;\nand.b32 lane, tx, 31;\nshr.u32 warp, tx, 5;\n" + body +
           "\nret;\n}\n";
}

/// The body's text with every `from` replaced.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
    return text;
}

/// "{%r4, %r5}"
inline std::string vector_of(const std::string& prefix, int first, int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i)
        text += (i != 0 ? ", " : "") + prefix + std::to_string(first + i);
    return text + "}";
}

class Gpu {
  public:
    explicit Gpu(int arch = 90, uint64_t seed = 1) : device_(options(arch, seed)) {}

    Device& device() { return device_; }

    template <typename T>
    uint64_t upload(const std::vector<T>& values) {
        const uint64_t at = device_.allocate(values.size() * sizeof(T));
        EXPECT_NE(at, 0u);
        EXPECT_TRUE(device_.copy_to_device(at, values.data(), values.size() * sizeof(T)));
        return at;
    }
    /// Never written.
    uint64_t allocate(uint64_t bytes) { return device_.allocate(bytes); }
    template <typename T>
    std::vector<T> download(uint64_t at, size_t count) {
        std::vector<T> values(count);
        EXPECT_TRUE(device_.copy_to_host(values.data(), at, count * sizeof(T)));
        return values;
    }

    void load(const std::string& ptx) { module_ = device_.load(ptx); }

    LaunchReport launch(const std::vector<uint64_t>& arguments, uint32_t threads,
                        uint32_t blocks = 1, uint32_t cluster = 0, uint32_t dynamic_shared = 0) {
        LaunchConfig config;
        config.block[0] = threads;
        config.grid[0] = blocks;
        if (cluster != 0) {
            config.cluster[0] = cluster;
            config.cluster[1] = config.cluster[2] = 1;
        }
        config.dynamic_shared = dynamic_shared;
        std::vector<uint8_t> bytes(arguments.size() * 8);
        std::memcpy(bytes.data(), arguments.data(), bytes.size());
        return device_.launch(*device_.function(*module_, "k"), config, bytes);
    }
    /// The same with parameters as PTX lays them out.
    LaunchReport launch_bytes(const std::vector<uint8_t>& parameters, uint32_t threads,
                              uint32_t blocks = 1, uint32_t cluster = 0) {
        LaunchConfig config;
        config.block[0] = threads;
        config.grid[0] = blocks;
        if (cluster != 0) {
            config.cluster[0] = cluster;
            config.cluster[1] = config.cluster[2] = 1;
        }
        return device_.launch(*device_.function(*module_, "k"), config, parameters);
    }

  private:
    static Options options(int arch, uint64_t seed) {
        Options options;
        options.arch = arch;
        options.seed = seed;
        options.host_threads = 1;
        options.memory_bytes = uint64_t{256} << 20;
        return options;
    }
    Device device_;
    std::shared_ptr<LoadedModule> module_;
};

inline std::string describe(const LaunchReport& report) {
    std::string text = report.faulted ? "fault: " + report.fault + "\n" : "";
    for (const Finding& finding : report.findings)
        text += std::string(finding_name(finding.kind)) + " line " + std::to_string(finding.line) +
                ": " + finding.message + "\n";
    return text;
}

inline void expect_clean(const LaunchReport& report) {
    EXPECT_FALSE(report.faulted) << report.fault;
    EXPECT_TRUE(report.findings.empty()) << describe(report);
}

inline bool has_finding(const LaunchReport& report, FindingKind kind) {
    for (const Finding& finding : report.findings)
        if (finding.kind == kind) return true;
    return false;
}

/// The module must be refused, with a message that names the line.
inline void expect_refused(const std::string& ptx, int arch = 90) {
    try {
        Gpu(arch).load(ptx);
    } catch (const std::exception& error) {
        EXPECT_NE(std::string(error.what()).find("line "), std::string::npos) << error.what();
        return;
    }
    ADD_FAILURE() << "not refused:\n" << ptx;
}

// ---- Numbers, by their definitions ---------------------------------------------------------------

/// Value of a code of a small float with `exponent` and `mantissa` bits; NaN and infinity as IEEE.
inline double decode_float(uint32_t code, int exponent, int mantissa, bool has_infinity = true) {
    const int bias = (1 << (exponent - 1)) - 1;
    const uint32_t e = code >> mantissa & ((1u << exponent) - 1), m = code & ((1u << mantissa) - 1);
    const double sign = code >> (exponent + mantissa) & 1 ? -1 : 1;
    if (e == (1u << exponent) - 1 && has_infinity)
        return m != 0 ? __builtin_nan("") : sign * __builtin_inf();
    if (!has_infinity &&
        (code & ((1u << (exponent + mantissa)) - 1)) == (1u << (exponent + mantissa)) - 1)
        return __builtin_nan("");
    const double magnitude =
        e == 0 ? m * __builtin_exp2(1 - bias - mantissa)
               : ((1u << mantissa) + m) * __builtin_exp2(static_cast<int>(e) - bias - mantissa);
    return sign * magnitude;
}

/// The code of a float that holds `value` exactly (integers and such; the caller knows it fits).
inline uint32_t encode_exact(double value, int exponent, int mantissa) {
    static std::map<std::tuple<double, int, int>, uint32_t> known;
    const auto key = std::make_tuple(value, exponent, mantissa);
    if (const auto found = known.find(key); found != known.end()) return found->second;
    for (uint32_t code = 0; code < 1u << (exponent + mantissa); ++code)
        if (decode_float(code, exponent, mantissa) == __builtin_fabs(value))
            return known[key] = code | (value < 0 ? 1u << (exponent + mantissa) : 0u);
    ADD_FAILURE() << value << " is not exact";
    return 0;
}

/// An operand type of a matrix instruction.
struct Number {
    const char* name;
    int bits;
    double (*decode)(uint32_t);
    uint32_t (*encode)(int);  ///< of a small integer

    static const Number& of(const std::string& name) {
        static const Number kNumbers[] = {
            {"f16", 16, [](uint32_t c) { return decode_float(c, 5, 10); },
             [](int v) { return encode_exact(v, 5, 10); }},
            {"bf16", 16, [](uint32_t c) { return decode_float(c, 8, 7); },
             [](int v) { return encode_exact(v, 8, 7); }},
            {"tf32", 32, [](uint32_t c) { return decode_float(c >> 13, 8, 10); },
             [](int v) { return encode_exact(v, 8, 10) << 13; }},
            {"e4m3", 8, [](uint32_t c) { return decode_float(c, 4, 3, false); },
             [](int v) { return encode_exact(v, 4, 3); }},
            {"e5m2", 8, [](uint32_t c) { return decode_float(c, 5, 2); },
             [](int v) { return encode_exact(v, 5, 2); }},
            {"s8", 8, [](uint32_t c) { return static_cast<double>(static_cast<int8_t>(c)); },
             [](int v) { return static_cast<uint32_t>(v) & 0xFFu; }},
            {"u8", 8, [](uint32_t c) { return static_cast<double>(c & 0xFFu); },
             [](int v) { return static_cast<uint32_t>(v < 0 ? -v : v); }}};
        for (const Number& number : kNumbers)
            if (name == number.name) return number;
        ADD_FAILURE() << name;
        return kNumbers[0];
    }
};

}  // namespace emulator
