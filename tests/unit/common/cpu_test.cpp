#include "core/common/cpu.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/common/affinity.hpp"
#include "core/common/cpu_features.hpp"

namespace fp6llm {
namespace {

#if defined(__x86_64__)

// Bits by their numbers in the manual, not by the names that the code under test uses.
constexpr uint32_t bit(int n) {
    return 1u << n;
}
constexpr CpuFeatureWords kFull{
    /*leaf1_ecx=*/bit(12) | bit(27) | bit(28) | bit(29),  // FMA, OSXSAVE, AVX, F16C
    /*leaf7_ebx=*/bit(3) | bit(5) | bit(8) | bit(16) | bit(17) | bit(30) |
        bit(31),                     // BMI1, AVX2, BMI2, AVX512F, DQ, BW, VL
    /*leaf7_ecx=*/bit(1) | bit(11),  // AVX512_VBMI, AVX512_VNNI
    /*leaf7_1_eax=*/bit(5),          // AVX512_BF16
    /*xcr0=*/0xE7,
    /*is_intel=*/false,
};

struct LevelCase {
    const char* name;
    CpuFeatureWords missing;  ///< taken out of kFull
    Isa expected;
};

TEST(IsaOf, NeedsEveryFeatureAndTheSystemsSupport) {
    const LevelCase cases[] = {
        {"all", {}, Isa::kAvx512Bf16},
        {"BF16 (Ice Lake)", {0, 0, 0, bit(5), 0, false}, Isa::kAvx512Vnni},
        {"VBMI (Cooper Lake)", {0, 0, bit(1), 0, 0, false}, Isa::kAvx512},
        {"VNNI", {0, 0, bit(11), 0, 0, false}, Isa::kAvx512},
        {"VNNI, VBMI and BF16", {0, 0, bit(1) | bit(11), bit(5), 0, false}, Isa::kAvx512},
        {"AVX512F", {0, bit(16), 0, 0, 0, false}, Isa::kAvx2},
        {"AVX512DQ", {0, bit(17), 0, 0, 0, false}, Isa::kAvx2},
        {"AVX512BW", {0, bit(30), 0, 0, 0, false}, Isa::kAvx2},
        {"AVX512VL", {0, bit(31), 0, 0, 0, false}, Isa::kAvx2},
        {"opmask state", {0, 0, 0, 0, 0x20, false}, Isa::kAvx2},
        {"ZMM_Hi256 state", {0, 0, 0, 0, 0x40, false}, Isa::kAvx2},
        {"Hi16_ZMM state", {0, 0, 0, 0, 0x80, false}, Isa::kAvx2},
        {"YMM state", {0, 0, 0, 0, 0x04, false}, Isa::kPortable},
        {"XMM state", {0, 0, 0, 0, 0x02, false}, Isa::kPortable},
        {"AVX", {bit(28), 0, 0, 0, 0, false}, Isa::kPortable},
        {"FMA", {bit(12), 0, 0, 0, 0, false}, Isa::kPortable},
        {"F16C", {bit(29), 0, 0, 0, 0, false}, Isa::kPortable},
        {"OSXSAVE", {bit(27), 0, 0, 0, 0, false}, Isa::kPortable},
        {"AVX2", {0, bit(5), 0, 0, 0, false}, Isa::kPortable},
        {"BMI1", {0, bit(3), 0, 0, 0, false}, Isa::kPortable},
        {"BMI2", {0, bit(8), 0, 0, 0, false}, Isa::kPortable},
        {"everything", kFull, Isa::kPortable},
    };
    for (const LevelCase& c : cases) {
        EXPECT_EQ(
            isa_of({kFull.leaf1_ecx & ~c.missing.leaf1_ecx, kFull.leaf7_ebx & ~c.missing.leaf7_ebx,
                    kFull.leaf7_ecx & ~c.missing.leaf7_ecx,
                    kFull.leaf7_1_eax & ~c.missing.leaf7_1_eax, kFull.xcr0 & ~c.missing.xcr0,
                    false}),
            c.expected)
            << "without " << c.name;
    }
}

TEST(DetectedIsa, AgreesWithTheCompilersOwnDetection) {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    EXPECT_EQ(detected_isa() >= Isa::kAvx2, avx2);
    const bool vnni =
        avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
    EXPECT_EQ(detected_isa() >= Isa::kAvx512, avx512);
    EXPECT_EQ(detected_isa() >= Isa::kAvx512Vnni, vnni);
}

TEST(ChosenIsa, LeavesBf16OutOnIntelUnlessAskedFor) {
    CpuFeatureWords words = kFull;
    EXPECT_EQ(preferred_isa(words), Isa::kAvx512Bf16);
    words.is_intel = true;
    EXPECT_EQ(isa_of(words), Isa::kAvx512Bf16);
    EXPECT_EQ(preferred_isa(words), Isa::kAvx512Vnni);
    const auto chosen = [&](const char* name) {
        return chosen_isa(isa_of(words), preferred_isa(words), name);
    };
    EXPECT_EQ(chosen(nullptr), Isa::kAvx512Vnni);
    EXPECT_EQ(chosen("sse9"), Isa::kAvx512Vnni);
    EXPECT_EQ(chosen("avx512bf16"), Isa::kAvx512Bf16);
    EXPECT_EQ(chosen("avx2"), Isa::kAvx2);
    words.leaf7_ebx &= ~bit(16);
    EXPECT_EQ(preferred_isa(words), Isa::kAvx2);
}

#endif  // __x86_64__

TEST(ChosenIsa, IsAtMostWhatThereIs) {
    const auto lowered_isa = [](Isa isa, const char* name) { return chosen_isa(isa, isa, name); };
    EXPECT_EQ(lowered_isa(Isa::kAvx512, nullptr), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, ""), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "sse9"), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "portable"), Isa::kPortable);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "avx2"), Isa::kAvx2);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "avx512"), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "avx512bf16"), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512, "avx512vnni"), Isa::kAvx512);
    EXPECT_EQ(lowered_isa(Isa::kAvx512Bf16, "avx512vnni"), Isa::kAvx512Vnni);
    EXPECT_EQ(lowered_isa(Isa::kPortable, "avx2"), Isa::kPortable);
}

TEST(ActiveIsa, FollowsTheEnvironmentAndIsReadOnce) {
    EXPECT_EQ(active_isa(), chosen_isa(detected_isa(), preferred_isa(read_cpu_features()),
                                       std::getenv("FP6LLM_CPU_ISA")));
    const Isa first = active_isa();
    const char* const set_by_host = std::getenv("FP6LLM_CPU_ISA");
    const std::string saved = set_by_host ? set_by_host : "";
    setenv("FP6LLM_CPU_ISA", first == Isa::kPortable ? "avx2" : "portable", 1);
    EXPECT_EQ(active_isa(), first);
    if (set_by_host) {
        setenv("FP6LLM_CPU_ISA", saved.c_str(), 1);
    } else {
        unsetenv("FP6LLM_CPU_ISA");
    }
}

TEST(SlowSubnormals, AreToldByTheEnvironmentOrMeasured) {
    const char* const told = std::getenv("FP6LLM_CPU_SUBNORMALS");
    const std::string speed = told ? told : "";
    if (speed == "slow" || speed == "fast") {
        EXPECT_EQ(has_slow_subnormals(), speed == "slow");
    } else if (cpu_model_name().find("AMD") != std::string::npos) {
        EXPECT_FALSE(has_slow_subnormals());
    }
}

TEST(IsaName, RoundTrips) {
    for (const Isa isa :
         {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16}) {
        EXPECT_EQ(chosen_isa(Isa::kAvx512Bf16, Isa::kPortable, isa_name(isa)), isa);
    }
}

TEST(Machine, DescribesItself) {
    EXPECT_FALSE(cpu_model_name().empty());
    EXPECT_NE(cpu_model_name().front(), ' ');
    EXPECT_NE(cpu_model_name().back(), ' ');
    EXPECT_GE(allowed_cpus(), 1);
    EXPECT_EQ(allowed_cpus(), AffinityMask::of_process().count());
    EXPECT_GT(physical_memory_bytes(), uint64_t{1} << 26);
    EXPECT_LT(last_level_cache_bytes(), physical_memory_bytes());
}

}  // namespace
}  // namespace fp6llm
