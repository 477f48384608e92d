// ld and st of every space, width and vector length; bounds, alignment, life; what was never written;
// counters of shared and global accesses.
#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

TEST(Memory, WidthsExtendAsPtxSays) {
    Runner runner(entry("k", ".param .u64 in, .param .u64 out", R"(
    ld.param.u64 %d1, [in];
    ld.param.u64 %d2, [out];
    ld.global.u8 %r1, [%d1];
    ld.global.s8 %r2, [%d1];
    ld.global.s8 %h1, [%d1];
    cvt.u32.u16 %r3, %h1;
    ld.global.u16 %r4, [%d1];
    ld.global.s16 %d3, [%d1];
    ld.global.s32 %d4, [%d1];
    ld.global.u32 %d5, [%d1];
    st.global.v4.u32 [%d2], {%r1, %r2, %r3, %r4};
    st.global.v2.u64 [%d2+16], {%d3, %d4};
    st.global.u64 [%d2+32], %d5;
    mov.u64 %d6, 0x1122334455667788;
    st.global.u8 [%d2+40], %d6;
    st.global.u16 [%d2+42], %d6;
    st.global.u32 [%d2+44], %d6;
)"));
    const uint64_t in = runner.upload(std::vector<uint32_t>{0xFEDCBA98u});
    const uint64_t out = runner.upload(std::vector<uint8_t>(48, 0));
    EXPECT_TRUE(clean(runner.run("k", 1, 1, Parameters().add(in).add(out))));
    const auto words = runner.download<uint32_t>(out, 12);
    EXPECT_EQ(words[0], 0x98u);
    EXPECT_EQ(words[1], 0xFFFFFF98u);
    EXPECT_EQ(words[2], 0xFF98u);
    EXPECT_EQ(words[3], 0xBA98u);
    const auto longs = runner.download<uint64_t>(out, 6);
    EXPECT_EQ(longs[2], 0xFFFFFFFFFFFFBA98u);
    EXPECT_EQ(longs[3], 0xFFFFFFFFFEDCBA98u);
    EXPECT_EQ(longs[4], 0xFEDCBA98u);
    EXPECT_EQ(longs[5], 0x5566778877880088u);
}

TEST(Memory, VectorsAndSpaces) {
    // Through shared, local and generic addresses, vectors of every shape.
    const std::string text = entry("k", ".param .u64 in, .param .u64 out", R"(
    .shared .align 16 .b8 buffer[2048];
    .local .align 16 .b8 stack[64];
    ld.param.u64 %d1, [in];
    ld.param.u64 %d2, [out];
    mul.wide.u32 %d3, %t, 16;
    add.u64 %d4, %d1, %d3;
    add.u64 %d5, %d2, %d3;
    ld.global.nc.L2::128B.v4.f32 {%f1, %f2, %f3, %f4}, [%d4];
    mov.u32 %r1, buffer;
    shl.b32 %r2, %t, 4;
    add.u32 %r3, %r1, %r2;
    st.shared.v2.f32 [%r3], {%f1, %f2};
    st.shared.v2.f32 [%r3+8], {%f3, %f4};
    cvt.u64.u32 %d6, %r3;
    cvta.shared.u64 %d7, %d6;
    ld.v2.u64 {%d8, %d9}, [%d7];
    mov.u64 %d10, stack;
    cvta.local.u64 %d11, %d10;
    st.u64 [%d11+16], %d9;
    st.local.u64 [%d10+24], %d8;
    ld.local.v4.u16 {%h1, %h2, %h3, %h4}, [%d10+16];
    ld.v2.b64 {%d12, %d13}, [%d11+16];
    st.global.v4.u16 [%d5], {%h1, %h2, %h3, %h4};
    st.global.b64 [%d5+8], %d13;
)");
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        Runner runner(text, test_options(seed));
        std::vector<uint32_t> values(4 * 128);
        for (uint32_t i = 0; i < values.size(); ++i)
            values[i] = i * 0x01010101u + 7;
        const uint64_t in = runner.upload(values);
        const uint64_t out = runner.device.allocate(values.size() * 4);
        EXPECT_TRUE(clean(runner.run("k", 1, 128, Parameters().add(in).add(out))));
        const auto result = runner.download<uint32_t>(out, values.size());
        for (uint32_t t = 0; t < 128; ++t)
            for (uint32_t i = 0; i < 4; ++i)
                ASSERT_EQ(result[4 * t + i], values[4 * t + (i ^ 2)]);
    }
}

TEST(Memory, OutOfBoundsByOneByte) {
    // Byte n - 1 is the last; the wrong kernel asks for n.
    const auto reads = [](const char* comparison) {
        return entry("k", ".param .u64 x, .param .u64 out, .param .u32 n", std::string(R"(
    ld.param.u64 %d1, [x];
    ld.param.u64 %d2, [out];
    ld.param.u32 %r1, [n];
    setp.)") + comparison + R"(.u32 %p1, %t, %r1;
    @%p1 bra $end;
    cvt.u64.u32 %d3, %t;
    add.u64 %d4, %d1, %d3;
    add.u64 %d5, %d2, %d3;
    ld.global.u8 %r2, [%d4];
    st.global.u8 [%d5], %r2;
$end:
)");
    };
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner wrong(reads("gt"), test_options(seed));
        const uint32_t n = 45;
        const uint64_t x = wrong.upload(std::vector<uint8_t>(n, 1));
        const uint64_t out = wrong.device.allocate(128);
        const auto report = wrong.run("k", 1, 128, Parameters().add(x).add(out).add(n));
        EXPECT_TRUE(report.faulted);
        ASSERT_TRUE(has(report, FindingKind::kOutOfBounds)) << list(report);
        EXPECT_NE(report.fault.find("0 bytes behind the end of the allocation of 45 bytes"),
                  std::string::npos)
            << report.fault;

        Runner right(reads("ge"), test_options(seed));
        const uint64_t y = right.upload(std::vector<uint8_t>(n, 1));
        const uint64_t out2 = right.device.allocate(n);
        EXPECT_TRUE(clean(right.run("k", 1, 128, Parameters().add(y).add(out2).add(n))));
    }
}

TEST(Memory, OutOfBoundsElsewhere) {
    const auto fault = [](const std::string& body, uint32_t shared = 0) {
        Runner runner(
            ".const .align 4 .u32 constant = 1;\n.extern .shared .align 16 .b8 dynamic[];\n" +
            entry("k", ".param .u64 x", "ld.param.u64 %d1, [x];\n" + body));
        const uint64_t x = runner.upload(std::vector<uint32_t>(32, 0));
        const uint64_t freed = runner.device.allocate(64);
        runner.device.free(freed);
        (void)freed;
        return runner.run("k", 1, 32, Parameters().add(x), shared);
    };
    EXPECT_TRUE(has(fault("mov.u32 %r1, dynamic;\nst.shared.u32 [%r1+96], %t;", 99),
                    FindingKind::kOutOfBounds));
    EXPECT_TRUE(
        has(fault("mov.u32 %r1, 0;\nld.shared.u32 %r2, [%r1];", 99), FindingKind::kOutOfBounds));
    EXPECT_TRUE(
        has(fault(".local .align 4 .b8 s[8];\nmov.u64 %d2, s;\nld.local.u32 %r1, [%d2+16];"),
            FindingKind::kOutOfBounds));
    EXPECT_TRUE(has(fault("st.global.u32 [constant], %t;"), FindingKind::kOutOfBounds));
    EXPECT_TRUE(has(fault("mov.u64 %d2, 0;\nld.u32 %r1, [%d2];"), FindingKind::kOutOfBounds));
    EXPECT_TRUE(has(fault("st.global.u32 [%d1+-4], %t;"), FindingKind::kOutOfBounds));
    EXPECT_TRUE(
        has(fault("ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%d1+120];"), FindingKind::kMisaligned));
    EXPECT_TRUE(
        has(fault("ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%d1+128];"), FindingKind::kOutOfBounds));
    EXPECT_TRUE(clean(fault("ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%d1+112];")));
    EXPECT_TRUE(clean(fault("mov.u32 %r1, dynamic;\nst.shared.u32 [%r1+96], 7;", 100)));
}

TEST(Memory, FreedMemoryIsGone) {
    Runner runner(entry("k", ".param .u64 x", R"(
    ld.param.u64 %d1, [x];
    ld.global.u32 %r1, [%d1];
)"));
    const uint64_t x = runner.upload(std::vector<uint32_t>(4, 1));
    EXPECT_TRUE(clean(runner.run("k", 1, 1, Parameters().add(x))));
    runner.device.free(x);
    const auto report = runner.run("k", 1, 1, Parameters().add(x));
    EXPECT_TRUE(report.faulted);
    EXPECT_NE(report.fault.find("freed"), std::string::npos) << report.fault;
}

TEST(Memory, MisalignedVector) {
    const auto text = [](const char* offset) {
        return entry("k", ".param .u64 x",
                     std::string(R"(
    ld.param.u64 %d1, [x];
    mul.wide.u32 %d2, %t, 16;
    add.u64 %d3, %d1, %d2;
    ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%d3+)") +
                         offset + R"(];
    st.global.v2.u32 [%d3+)" +
                         offset + R"(], {%r1, %r2};
)");
    };
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner wrong(text("8"), test_options(seed));
        const uint64_t x = wrong.upload(std::vector<uint32_t>(256, 1));
        const auto report = wrong.run("k", 1, 32, Parameters().add(x));
        EXPECT_TRUE(report.faulted);
        EXPECT_TRUE(has(report, FindingKind::kMisaligned)) << list(report);
        Runner right(text("16"), test_options(seed));
        const uint64_t y = right.upload(std::vector<uint32_t>(256, 1));
        EXPECT_TRUE(clean(right.run("k", 1, 32, Parameters().add(y))));
    }
}

TEST(Memory, NeverWritten) {
    const auto kind = [](const std::string& body) {
        Runner runner(entry("k", ".param .u64 out", R"(
    .shared .align 4 .b8 buffer[256];
    .local .align 4 .b8 stack[16];
    ld.param.u64 %d1, [out];
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    mov.u32 %r1, buffer;
    shl.b32 %r2, %t, 2;
    add.u32 %r3, %r1, %r2;
    mov.u64 %d4, stack;
)" + body));
        const uint64_t out = runner.device.allocate(256);
        return runner.run("k", 1, 32, Parameters().add(out));
    };
    // What reaches a store, an address or a branch counts ...
    for (const char* wrong :
         {"ld.shared.u32 %r4, [%r3];\nadd.u32 %r5, %r4, 1;\nst.global.u32 [%d3], %r5;",
          "ld.global.u32 %r4, [%d3];\nst.global.u32 [%d3], %r4;",
          "st.shared.u8 [%r3], 1;\nld.shared.u32 %r4, [%r3];\nst.global.u32 [%d3], %r4;",
          "ld.local.u32 %r4, [%d4];\nst.global.u32 [%d3], %r4;", "st.global.u32 [%d3], %r40;",
          "setp.eq.u32 %p1, %t, 3;\n@%p1 mov.u32 %r40, 1;\nst.global.u32 [%d3], %r40;",
          "ld.shared.u32 %r4, [%r3];\nsetp.eq.u32 %p1, %r4, 0;\n@%p1 bra $end;\n$end:",
          "ld.shared.u32 %r4, [%r3];\nand.b32 %r4, %r4, 4;\nadd.u32 %r5, %r1, %r4;\n"
          "ld.shared.u32 %r6, [%r5];",
          // ... also on a detour through shared memory.
          "ld.shared.u32 %r4, [%r3];\nst.shared.u32 [%r3+128], %r4;\n"
          "ld.shared.u32 %r5, [%r3+128];\nst.global.u32 [%d3], %r5;"}) {
        const auto report = kind(wrong);
        EXPECT_TRUE(has(report, FindingKind::kUninitialized)) << wrong << list(report);
    }
    // Dead values do not, and neither does what was written.
    for (const char* right :
         {"ld.shared.u32 %r4, [%r3];\nadd.u32 %r5, %r4, 1;",
          "st.shared.u32 [%r3], %t;\nld.shared.u32 %r4, [%r3];\nst.global.u32 [%d3], %r4;",
          "ld.shared.u32 %r4, [%r3];\nmov.u32 %r4, 1;\nst.global.u32 [%d3], %r4;",
          "st.local.u32 [%d4], %t;\nld.local.u32 %r4, [%d4];\nst.global.u32 [%d3], %r4;",
          "setp.lt.u32 %p1, %t, 32;\n@%p1 mov.u32 %r40, 1;\n@!%p1 mov.u32 %r40, 2;\n"
          "@%p1 st.global.u32 [%d3], %r40;"}) {
        EXPECT_TRUE(clean(kind(right))) << right;
    }
}

TEST(Memory, CountsSectors) {
    const auto sectors = [](uint32_t stride, uint32_t offset) {
        Runner runner(entry("k", ".param .u64 x, .param .u32 stride", R"(
    ld.param.u64 %d1, [x];
    ld.param.u32 %r1, [stride];
    mul.wide.u32 %d2, %t, %r1;
    add.u64 %d3, %d1, %d2;
    ld.global.u32 %r2, [%d3];
    st.global.u32 [%d3], %r2;
)"));
        const uint64_t x = runner.upload(std::vector<uint32_t>(4096, 1));
        const auto report = runner.run("k", 1, 32, Parameters().add(x + offset).add(stride));
        EXPECT_TRUE(stride == 0 || clean(report));
        EXPECT_EQ(report.counters.global_load_sectors, report.counters.global_store_sectors);
        return report.counters.global_load_sectors;
    };
    EXPECT_EQ(sectors(4, 0), 4u);
    EXPECT_EQ(sectors(4, 16), 5u);
    EXPECT_EQ(sectors(8, 0), 8u);
    EXPECT_EQ(sectors(32, 0), 32u);
    EXPECT_EQ(sectors(128, 0), 32u);
    EXPECT_EQ(sectors(0, 0), 1u);
}

TEST(Memory, CountsBankConflicts) {
    // Lanes `stride` bytes apart, `width` bytes each; the degree of the conflict by hand.
    const auto waves = [](const char* type, const char* value, uint32_t stride, uint64_t* ideal) {
        Runner runner(entry("k", ".param .u32 stride", std::string(R"(
    .shared .align 16 .b8 buffer[16384];
    ld.param.u32 %r1, [stride];
    mov.u32 %r2, buffer;
    mad.lo.u32 %r3, %t, %r1, %r2;
    mov.u32 %r4, 1; mov.u32 %r5, 2; mov.u32 %r6, 3; mov.u32 %r7, 4;
    ld.shared.)") + type + " " + value + ", [%r3];\n"));
        const auto report = runner.run("k", 1, 32, Parameters().add(stride));
        EXPECT_TRUE(clean(report));
        *ideal = report.counters.shared_ideal;
        EXPECT_EQ(report.counters.shared_load_conflicts,
                  report.counters.shared_wavefronts - report.counters.shared_ideal);
        return report.counters.shared_wavefronts;
    };
    uint64_t ideal;
    EXPECT_EQ(waves("u32", "%r4", 4, &ideal), 1u);
    EXPECT_EQ(waves("u32", "%r4", 8, &ideal), 2u);
    EXPECT_EQ(ideal, 1u);
    EXPECT_EQ(waves("u32", "%r4", 12, &ideal), 1u);
    EXPECT_EQ(waves("u32", "%r4", 128, &ideal), 32u);
    EXPECT_EQ(waves("u32", "%r4", 132, &ideal), 1u);
    EXPECT_EQ(waves("u32", "%r4", 0, &ideal), 1u);
    EXPECT_EQ(waves("u8", "%r4", 1, &ideal), 1u);  // four lanes share a word
    EXPECT_EQ(waves("v2.u32", "{%r4, %r5}", 8, &ideal), 2u);
    EXPECT_EQ(ideal, 2u);
    EXPECT_EQ(waves("v2.u32", "{%r4, %r5}", 16, &ideal), 4u);
    EXPECT_EQ(waves("v4.u32", "{%r4, %r5, %r6, %r7}", 16, &ideal), 4u);
    EXPECT_EQ(ideal, 4u);
    EXPECT_EQ(waves("v4.u32", "{%r4, %r5, %r6, %r7}", 128, &ideal), 32u);
    EXPECT_EQ(waves("v4.u32", "{%r4, %r5, %r6, %r7}", 144, &ideal), 4u);
}

TEST(Memory, KernelParametersHaveAddresses) {
    Runner runner(entry("k", ".param .align 8 .b8 in[32], .param .u64 out", R"(
    ld.param.u64 %d1, [out];
    mov.b64 %d2, in;
    cvta.param.u64 %d3, %d2;
    and.b32 %r1, %t, 7;
    mul.wide.u32 %d4, %r1, 4;
    add.u64 %d5, %d3, %d4;
    add.u64 %d6, %d2, %d4;
    ld.u32 %r2, [%d5];
    ld.param.u32 %r3, [%d6];
    ld.param.u32 %r4, [in+12];
    add.u32 %r2, %r2, %r3;
    add.u32 %r2, %r2, %r4;
    mul.wide.u32 %d7, %t, 4;
    add.u64 %d8, %d1, %d7;
    st.global.u32 [%d8], %r2;
)"));
    const uint64_t out = runner.device.allocate(128);
    Parameters parameters;
    for (uint32_t i = 0; i < 8; ++i)
        parameters.add(100 * i);
    parameters.add(out);
    EXPECT_TRUE(clean(runner.run("k", 1, 32, parameters)));
    const auto result = runner.download<uint32_t>(out, 32);
    for (uint32_t i = 0; i < 32; ++i)
        EXPECT_EQ(result[i], 200 * (i % 8) + 300);
}

TEST(Memory, SpacesOfGenericAddresses) {
    Runner runner(".const .align 4 .u32 constant = 1;\n" + entry("k", ".param .u64 out", R"(
    .shared .align 4 .b8 s[4];
    .local .align 4 .b8 l[4];
    ld.param.u64 %d1, [out];
    mov.u64 %d2, s;
    cvta.shared.u64 %d2, %d2;
    mov.u64 %d3, l;
    cvta.local.u64 %d3, %d3;
    mov.u64 %d4, constant;
    mov.u32 %r1, 0;
    isspacep.shared %p1, %d2;
    @%p1 or.b32 %r1, %r1, 1;
    isspacep.local %p1, %d3;
    @%p1 or.b32 %r1, %r1, 2;
    isspacep.const %p1, %d4;
    @%p1 or.b32 %r1, %r1, 4;
    isspacep.global %p1, %d1;
    @%p1 or.b32 %r1, %r1, 8;
    isspacep.shared::cluster %p1, %d2;
    @%p1 or.b32 %r1, %r1, 16;
    isspacep.global %p1, %d2;
    @%p1 or.b32 %r1, %r1, 32;
    isspacep.shared %p1, %d1;
    @%p1 or.b32 %r1, %r1, 64;
    isspacep.local %p1, %d1;
    @%p1 or.b32 %r1, %r1, 128;
    st.global.u32 [%d1], %r1;
)"));
    const uint64_t out = runner.device.allocate(4);
    EXPECT_TRUE(clean(runner.run("k", 1, 1, Parameters().add(out))));
    EXPECT_EQ(runner.download<uint32_t>(out, 1)[0], 31u);
}

}  // namespace
}  // namespace emulator
