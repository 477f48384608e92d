// Runs one piece of PTX on many inputs, a thread per case, and compares with an expectation.
//
//   expect_op("add.s32 %d0, %a0, %a1;", {"s32"}, {"s32", "s32"}, pairs(edges32()),
//             [](const uint64_t* a, uint64_t* d) { d[0] = uint32_t(a[0] + a[1]); });
//
// Inputs are the registers %a0, %a1, ..., results %d0, %d1, ... of the types named; "pred" stands
// for 0 and 1. Values are zero-extended to 64 bits. Lanes, warps and blocks are all in use.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/emulator/device.hpp"

namespace emulator {

using Case = std::vector<uint64_t>;
using Cases = std::vector<Case>;
using Types = std::vector<std::string>;

inline int type_size(const std::string& type) {
    if (type == "pred") return 4;
    return std::stoi(type.substr(type.find_first_of("0123456789"))) / 8;
}

/// A kernel around the text: loads, the text, stores.
inline std::string one_op_kernel(const std::string& text, const Types& outputs, const Types& inputs,
                                 int arch) {
    std::string ptx = ".version 9.0\n.target sm_" + std::to_string(arch) + (arch >= 90 ? "a" : "") +
                      "\n.address_size 64\n"
                      ".visible .entry one(.param .u64 in, .param .u64 out, .param .u32 count) {\n"
                      ".reg .pred %done;\n.reg .b32 %x<8>;\n.reg .b64 %p<8>;\n";
    const auto declare = [&](const char* name, const Types& types) {
        for (size_t i = 0; i < types.size(); ++i)
            ptx += ".reg ." + types[i] + " %" + name + std::to_string(i) + ";\n";
    };
    declare("a", inputs);
    declare("d", outputs);
    ptx +=
        "ld.param.u64 %p0, [in];\nld.param.u64 %p1, [out];\nld.param.u32 %x0, [count];\n"
        "cvta.to.global.u64 %p0, %p0;\ncvta.to.global.u64 %p1, %p1;\n"
        "mov.u32 %x1, %ctaid.x;\nmov.u32 %x2, %ntid.x;\nmov.u32 %x3, %tid.x;\n"
        "mad.lo.u32 %x1, %x1, %x2, %x3;\nsetp.ge.u32 %done, %x1, %x0;\n@%done bra END;\n";
    const auto stride = [](size_t count) { return std::to_string(8 * count); };
    ptx += "mad.wide.u32 %p2, %x1, " + stride(inputs.size()) + ", %p0;\n";
    ptx += "mad.wide.u32 %p3, %x1, " + stride(outputs.size()) + ", %p1;\n";
    for (size_t i = 0; i < inputs.size(); ++i) {
        const std::string at = "[%p2+" + std::to_string(8 * i) + "];\n";
        const std::string name = "%a" + std::to_string(i);
        if (inputs[i] == "pred")
            ptx += "ld.global.u32 %x4, " + at + "setp.ne.u32 " + name + ", %x4, 0;\n";
        else
            ptx +=
                "ld.global.b" + std::to_string(8 * type_size(inputs[i])) + " " + name + ", " + at;
    }
    ptx += text + "\n";
    for (size_t i = 0; i < outputs.size(); ++i) {
        const std::string at = "[%p3+" + std::to_string(8 * i) + "], ";
        const std::string name = "%d" + std::to_string(i);
        if (outputs[i] == "pred")
            ptx += "selp.u32 %x4, 1, 0, " + name + ";\nst.global.u32 " + at + "%x4;\n";
        else
            ptx +=
                "st.global.b" + std::to_string(8 * type_size(outputs[i])) + " " + at + name + ";\n";
    }
    return ptx + "END:\nret;\n}\n";
}

inline Device& test_device(int arch) {
    const auto make = [](int a) {
        Options options;
        options.arch = a;
        options.host_threads = 1;
        return options;
    };
    static Device device80(make(80)), device90(make(90)), device100(make(100));
    return arch == 80 ? device80 : arch == 90 ? device90 : device100;
}

struct OneOpRun {
    Cases results;
    std::vector<Finding> findings;
    bool faulted = false;
    std::string fault;
};

inline OneOpRun run_op(const std::string& text, const Types& outputs, const Types& inputs,
                       const Cases& cases, int arch = 90, uint32_t block = 96) {
    OneOpRun run;
    Device& device = test_device(arch);
    const auto module = device.load(one_op_kernel(text, outputs, inputs, arch));
    std::vector<uint64_t> in, out(cases.size() * outputs.size(), 0);
    for (const Case& values : cases)
        in.insert(in.end(), values.begin(), values.end());
    if (in.empty()) in.push_back(0);
    const uint64_t in_at = device.allocate(8 * in.size()), out_at = device.allocate(8 * out.size());
    EXPECT_TRUE(device.copy_to_device(in_at, in.data(), 8 * in.size()));
    EXPECT_TRUE(device.copy_to_device(out_at, out.data(), 8 * out.size()));
    std::vector<uint8_t> parameters(20);
    const auto count = static_cast<uint32_t>(cases.size());
    std::memcpy(parameters.data(), &in_at, 8);
    std::memcpy(parameters.data() + 8, &out_at, 8);
    std::memcpy(parameters.data() + 16, &count, 4);
    LaunchConfig config;
    config.block[0] = block;
    config.grid[0] = (count + block - 1) / block;
    const LaunchReport report = device.launch(*device.function(*module, "one"), config, parameters);
    run.findings = report.findings;
    run.faulted = report.faulted;
    run.fault = report.fault;
    EXPECT_TRUE(device.copy_to_host(out.data(), out_at, 8 * out.size()) || run.faulted);
    device.free(in_at);
    device.free(out_at);
    for (size_t i = 0; i < cases.size(); ++i)
        run.results.emplace_back(
            out.begin() + static_cast<std::ptrdiff_t>(i * outputs.size()),
            out.begin() + static_cast<std::ptrdiff_t>((i + 1) * outputs.size()));
    return run;
}

using Expectation = std::function<void(const uint64_t* in, uint64_t* out)>;

inline std::string in_hex(const Case& values) {
    std::string text;
    char buffer[32];
    for (uint64_t value : values) {
        std::snprintf(buffer, sizeof(buffer), " %llx", static_cast<unsigned long long>(value));
        text += buffer;
    }
    return text;
}

inline void expect_op(const std::string& text, const Types& outputs, const Types& inputs,
                      const Cases& cases, const Expectation& expectation, int arch = 90) {
    SCOPED_TRACE(text);
    OneOpRun run;
    try {
        run = run_op(text, outputs, inputs, cases, arch);
    } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
        return;
    }
    EXPECT_FALSE(run.faulted) << run.fault;
    for (const Finding& finding : run.findings)
        ADD_FAILURE() << finding_name(finding.kind) << ": " << finding.message;
    int shown = 0;
    size_t wrong = 0;
    for (size_t i = 0; i < cases.size(); ++i) {
        Case expected(outputs.size(), 0);
        expectation(cases[i].data(), expected.data());
        if (run.results[i] == expected) continue;
        ++wrong;
        if (shown++ < 4)
            ADD_FAILURE() << "of" << in_hex(cases[i]) << ": got" << in_hex(run.results[i])
                          << ", expected" << in_hex(expected);
    }
    EXPECT_EQ(wrong, 0u) << "of " << cases.size() << " cases";
}

/// The module must be refused.
inline void expect_refused(const std::string& text, const Types& outputs, const Types& inputs,
                           int arch = 90) {
    try {
        test_device(arch).load(one_op_kernel(text, outputs, inputs, arch));
    } catch (const std::exception& error) {
        EXPECT_NE(std::string(error.what()).find("line "), std::string::npos) << error.what();
        return;
    }
    ADD_FAILURE() << text << " was not refused";
}

// ---- Inputs ------------------------------------------------------------------------------------

/// Values of `bits` bits where integer arithmetic goes wrong, and random ones.
inline Case integer_values(int bits, size_t random_count = 12) {
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    const uint64_t top = uint64_t{1} << (bits - 1);
    Case values = {0,
                   1,
                   2,
                   3,
                   7,
                   8,
                   mask,
                   mask - 1,
                   top,
                   top - 1,
                   top + 1,
                   top - 2,
                   mask >> bits / 2,
                   (mask >> bits / 2) + 1,
                   0x5555555555555555u & mask,
                   0xAAAAAAAAAAAAAAAAu & mask,
                   0x80 & mask,
                   0xFF & mask,
                   31 & mask,
                   32 & mask,
                   33 & mask};
    std::mt19937_64 random(static_cast<uint64_t>(bits));
    for (size_t i = 0; i < random_count; ++i)
        values.push_back(random() & mask);
    for (size_t i = 0; i < random_count; ++i)  // of every magnitude
        values.push_back((random() & mask) >> random() % static_cast<uint64_t>(bits));
    return values;
}

/// Codes of a floating format where arithmetic goes wrong, of both signs, and random ones.
inline Case float_values(int exponent_bits, int mantissa_bits, size_t random_count = 24) {
    const uint64_t one = uint64_t{1} << mantissa_bits;
    const uint64_t infinity = ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits;
    const uint64_t unit = infinity / 2 / one * one;  // 1.0
    Case codes = {0,
                  1,
                  2,
                  one - 1,
                  one,
                  one + 1,
                  2 * one,
                  unit,
                  unit + 1,
                  unit - 1,
                  unit + one,
                  unit - one,
                  unit + one / 2,
                  unit + 3 * one / 4,
                  infinity - 1,
                  infinity - 2,
                  infinity - one,
                  infinity,
                  infinity + 1,
                  infinity + one / 2,
                  infinity + one - 1};
    std::mt19937_64 random(static_cast<uint64_t>(exponent_bits * 64 + mantissa_bits));
    for (size_t i = 0; i < random_count; ++i)
        codes.push_back(random() & (infinity + one - 1));
    for (size_t i = 0; i < random_count; ++i)  // near one another
        codes.push_back((unit - 2 * one) + random() % (4 * one));
    Case values;
    for (uint64_t code : codes) {
        values.push_back(code);
        values.push_back(code | (infinity + one));
    }
    return values;
}

inline Cases singles(const Case& a) {
    Cases cases;
    for (uint64_t x : a)
        cases.push_back({x});
    return cases;
}
inline Cases pairs(const Case& a, const Case& b) {
    Cases cases;
    for (uint64_t x : a)
        for (uint64_t y : b)
            cases.push_back({x, y});
    return cases;
}
/// Every pair of `a` and `b` with some of `c`, and random triples.
inline Cases triples(const Case& a, const Case& b, const Case& c, size_t count = 6000) {
    Cases cases;
    std::mt19937_64 random(7);
    for (size_t i = 0; i < count; ++i)
        cases.push_back({a[random() % a.size()], b[random() % b.size()], c[random() % c.size()]});
    return cases;
}

}  // namespace emulator
