// fp6llm_add_cuda_sources(): what is embedded is a fatbin with readable PTX for each architecture.
#include "core/device/fatbin.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <string>

FP6LLM_DECLARE_FATBIN(unit_smoke);
FP6LLM_DECLARE_FATBIN(unit_none_smoke);

namespace fp6llm::cuda {
namespace {

constexpr unsigned char kMagic[] = {0x50, 0xED, 0x55, 0xBA};  // 0xBA55ED50, little-endian

TEST(Fatbin, IsEmbeddedWhole) {
    const Fatbin& fatbin = fatbin_unit_smoke;
    EXPECT_STREQ(fatbin.name, "unit_smoke");
    ASSERT_GT(fatbin.size(), 16u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(fatbin.begin) % 64, 0u);
    EXPECT_EQ(std::memcmp(fatbin.begin, kMagic, sizeof kMagic), 0);
    // The container's header: magic, version 1, its own size, and the bytes that follow it.
    uint16_t version = 0, header_bytes = 0;
    uint64_t body_bytes = 0;
    std::memcpy(&version, fatbin.begin + 4, sizeof version);
    std::memcpy(&header_bytes, fatbin.begin + 6, sizeof header_bytes);
    std::memcpy(&body_bytes, fatbin.begin + 8, sizeof body_bytes);
    EXPECT_EQ(version, 1);
    EXPECT_EQ(header_bytes + body_bytes, fatbin.size());
}

TEST(Fatbin, HoldsReadablePtxOfEveryVirtualArchitecture) {
    const std::string text(reinterpret_cast<const char*>(fatbin_unit_smoke.begin),
                           fatbin_unit_smoke.size());
    std::istringstream architectures(FP6LLM_TEST_CUDA_ARCHITECTURES);
    for (std::string arch; std::getline(architectures, arch, ' ');) {
        if (arch.find("-real") != std::string::npos) continue;
        const std::string target = ".target sm_" + arch.substr(0, arch.find('-'));
        EXPECT_NE(text.find(target), std::string::npos) << target;
    }
    EXPECT_NE(text.find(".entry add_one("), std::string::npos);
}

TEST(Fatbin, OfNoArchitectureIsEmpty) {
    EXPECT_TRUE(fatbin_unit_none_smoke.empty());
}

TEST(Fatbin, LibrarysListHoldsNoneOfTests) {
    for (const Fatbin* fatbin : all_fatbins())
        EXPECT_NE(fatbin, &fatbin_unit_smoke);
}

}  // namespace
}  // namespace fp6llm::cuda
