// Runs kernels written in the tests on an emulated device of their own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulator/device.hpp"

namespace emulator {

/// Bytes of kernel parameters, each aligned to its size.
class Parameters {
  public:
    template <typename T>
    Parameters& add(T value) {
        bytes_.resize((bytes_.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T) + sizeof(T));
        std::memcpy(bytes_.data() + bytes_.size() - sizeof(T), &value, sizeof(T));
        return *this;
    }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

  private:
    std::vector<uint8_t> bytes_;
};

/// One host thread, unless EMU_THREADS says otherwise.
inline Options test_options(uint64_t seed = 1) {
    Options options;
    options.seed = seed;
    options.host_threads = std::max(1, Options::from_environment().host_threads);
    options.memory_bytes = uint64_t{64} << 20;
    return options;
}

class Runner {
  public:
    explicit Runner(const std::string& text, const Options& options = test_options())
        : device(options),
          module(device.load(".version 8.5\n.target sm_90a\n.address_size 64\n" + text)) {}

    template <typename T>
    uint64_t upload(const std::vector<T>& values) {
        const uint64_t address = device.allocate(values.size() * sizeof(T));
        EXPECT_TRUE(device.copy_to_device(address, values.data(), values.size() * sizeof(T)));
        return address;
    }
    template <typename T>
    std::vector<T> download(uint64_t address, size_t count) {
        std::vector<T> values(count);
        EXPECT_TRUE(device.copy_to_host(values.data(), address, count * sizeof(T)));
        return values;
    }
    LaunchReport run(const std::string& name, uint32_t blocks, uint32_t threads,
                     const Parameters& parameters, uint32_t dynamic_shared = 0,
                     uint32_t cluster = 0) {
        const LoadedFunction* function = device.function(*module, name);
        EXPECT_NE(function, nullptr) << name;
        LaunchConfig config;
        config.grid[0] = blocks;
        config.block[0] = threads;
        config.dynamic_shared = dynamic_shared;
        config.cluster[0] = cluster;
        return device.launch(*function, config, parameters.bytes());
    }

    Device device;
    std::shared_ptr<LoadedModule> module;
};

/// All findings in one text, for messages.
inline std::string list(const LaunchReport& report) {
    std::string text = report.fault;
    for (const Finding& finding : report.findings)
        text += "\n" + std::string(finding_name(finding.kind)) + " at line " +
                std::to_string(finding.line) + ": " + finding.message;
    return text;
}
inline bool has(const LaunchReport& report, FindingKind kind) {
    for (const Finding& finding : report.findings)
        if (finding.kind == kind) return true;
    return false;
}
inline ::testing::AssertionResult clean(const LaunchReport& report) {
    if (report.findings.empty() && !report.faulted) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << list(report);
}

/// Registers, enough for small kernels, and %tid.x in %t, %ctaid.x in %c.
inline std::string entry(const std::string& name, const std::string& parameters,
                         const std::string& body, const std::string& directives = "") {
    return ".visible .entry " + name + "(" + parameters + ")" + directives +
           "\n{\n"
           ".reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<64>;\n.reg .b64 %d<64>;\n"
           ".reg .f32 %f<16>;\n.reg .b32 %t, %c;\n"
           "mov.u32 %t, %tid.x;\nmov.u32 %c, %ctaid.x;\n" +
           body + "\nret;\n}\n";
}

}  // namespace emulator
