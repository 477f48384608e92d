// atom and red: values by hand, contention over warps and blocks.

#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

/// One atomic operation by one thread: the value left and the value returned.
template <typename T>
void expect_atomic(const std::string& instruction, T before, std::vector<T> operands, T after) {
    const bool wide = sizeof(T) == 8;
    const std::string r = wide ? "%d" : "%r";
    const std::string bits = wide ? "b64" : "b32";
    for (const char* space : {"global", "shared", ""}) {
        std::string text = instruction;
        text.replace(text.find("SPACE"), 5, *space != 0 ? std::string(".") + space : "");
        const bool shared = std::string(space) == "shared";
        std::string body = "ld.param.u64 %d1, [x];\nld.param.u64 %d2, [old];\n";
        std::string list;
        for (size_t i = 0; i < operands.size(); ++i) {
            body += "ld.global." + bits + " " + r + std::to_string(10 + i) + ", [%d2+" +
                    std::to_string(8 * i + 8) + "];\n";
            list += ", " + r + std::to_string(10 + i);
        }
        if (shared)
            body += ".shared .align 8 .b8 cell[8];\nmov.u32 %r1, cell;\nld.global." + bits + " " +
                    r + "20, [%d1];\nst.shared." + bits + " [%r1], " + r + "20;\n";
        const std::string address = shared ? "[%r1]" : "[%d1]";
        body += text + " " + r + "21, " + address + list + ";\nst.global." + bits + " [%d2], " + r +
                "21;\n";
        if (shared)
            body += "ld.shared." + bits + " " + r + "22, [%r1];\nst.global." + bits + " [%d1], " +
                    r + "22;\n";
        Runner runner(entry("k", ".param .u64 x, .param .u64 old", body));
        const uint64_t x = runner.upload(std::vector<T>{before});
        std::vector<uint8_t> memory(8 + 8 * operands.size());
        for (size_t i = 0; i < operands.size(); ++i)
            std::memcpy(memory.data() + 8 + 8 * i, &operands[i], sizeof(T));
        const uint64_t old = runner.upload(memory);
        const auto report = runner.run("k", 1, 1, Parameters().add(x).add(old));
        EXPECT_TRUE(clean(report)) << text;
        EXPECT_EQ(runner.download<T>(x, 1)[0], after) << text;
        EXPECT_EQ(runner.download<T>(old, 1)[0], before) << text;
    }
}

TEST(Atomic, EveryOperation) {
    using U = uint32_t;
    using L = uint64_t;
    expect_atomic<U>("atomSPACE.add.u32", 0xFFFFFFFE, {5}, 3);
    expect_atomic<U>("atomSPACE.add.s32", 7, {static_cast<U>(-9)}, static_cast<U>(-2));
    expect_atomic<L>("atomSPACE.add.u64", 0xFFFFFFFFFFFFFFFFu, {3}, 2);
    expect_atomic<U>("atomSPACE.min.u32", 0x80000000, {1}, 1);
    expect_atomic<U>("atomSPACE.min.s32", 0x80000000, {1}, 0x80000000);
    expect_atomic<U>("atomSPACE.max.s32", static_cast<U>(-5), {static_cast<U>(-7)},
                     static_cast<U>(-5));
    expect_atomic<L>("atomSPACE.max.u64", 5, {static_cast<L>(-7)}, static_cast<L>(-7));
    expect_atomic<L>("atomSPACE.min.s64", 5, {static_cast<L>(-7)}, static_cast<L>(-7));
    expect_atomic<U>("atomSPACE.inc.u32", 4, {4}, 0);
    expect_atomic<U>("atomSPACE.inc.u32", 3, {4}, 4);
    expect_atomic<U>("atomSPACE.dec.u32", 0, {4}, 4);
    expect_atomic<U>("atomSPACE.dec.u32", 9, {4}, 4);
    expect_atomic<U>("atomSPACE.dec.u32", 3, {4}, 2);
    expect_atomic<U>("atomSPACE.and.b32", 0xF0F0, {0xFF00}, 0xF000);
    expect_atomic<U>("atomSPACE.or.b32", 0xF0F0, {0xFF00}, 0xFFF0);
    expect_atomic<L>("atomSPACE.xor.b64", 0xF0F0, {0xFF00}, 0x0FF0);
    expect_atomic<U>("atomSPACE.exch.b32", 1, {2}, 2);
    expect_atomic<L>("atomSPACE.exch.b64", 1, {2}, 2);
    expect_atomic<U>("atomSPACE.cas.b32", 1, {1, 9}, 9);
    expect_atomic<U>("atomSPACE.cas.b32", 1, {2, 9}, 1);
    expect_atomic<L>("atomSPACE.cas.b64", 1, {1, L{9} << 40}, L{9} << 40);
    expect_atomic<U>("atomSPACE.add.f32", 0x3F800000, {0x40000000}, 0x40400000);
    expect_atomic<L>("atomSPACE.add.f64", 0x3FF0000000000000, {0x4000000000000000},
                     0x4008000000000000);
    expect_atomic<U>("atomSPACE.add.noftz.f16x2", 0x3C004000, {0x3C003C00}, 0x40004200);
    expect_atomic<U>("atomSPACE.add.noftz.bf16x2", 0x3F804000, {0x3F803F80}, 0x40004040);
}

TEST(Atomic, GlobalF32AddFlushesSubnormals) {
    const auto sum = [](bool shared) {
        Runner runner(entry("k", ".param .u64 x",
                            std::string(R"(
    .shared .align 4 .b8 cell[4];
    ld.param.u64 %d1, [x];
    mov.u32 %r1, cell;
    mov.f32 %f1, 0f00000003;
    st.shared.f32 [%r1], %f1;
    st.global.f32 [%d1], %f1;
    mov.f32 %f2, 0f00000004;
    )") + (shared ? "atom.shared.add.f32 %f3, [%r1], %f2;\nld.shared.f32 %f4, [%r1];\n"
                    "st.global.f32 [%d1], %f4;"
                  : "red.global.add.f32 [%d1], %f2;")));
        const uint64_t x = runner.device.allocate(4);
        EXPECT_TRUE(clean(runner.run("k", 1, 1, Parameters().add(x))));
        return runner.download<uint32_t>(x, 1)[0];
    };
    EXPECT_EQ(sum(false), 0u);
    EXPECT_EQ(sum(true), 7u);
}

TEST(Atomic, VectorsAndWideOnes) {
    Runner runner(entry("k", ".param .u64 x, .param .u64 out", R"(
    .reg .b128 %q<4>;
    ld.param.u64 %d1, [x];
    ld.param.u64 %d2, [out];
    mov.f32 %f1, 0f3F800000;
    mov.f32 %f2, 0f40000000;
    atom.global.add.v4.f32 {%f3, %f4, _, _}, [%d1], {%f1, %f2, %f1, %f2};
    red.relaxed.gpu.global.add.v2.f32 [%d1], {%f1, %f1};
    mov.u32 %r1, 0x3C004000;
    red.global.add.noftz.v2.f16x2 [%d1+16], {%r1, %r1};
    st.global.v2.f32 [%d2], {%f3, %f4};
    mov.u64 %d3, 5;
    mov.u64 %d4, 6;
    mov.b128 %q1, {%d3, %d4};
    mov.b128 %q2, {%d4, %d3};
    atom.global.cas.b128 %q3, [%d1+32], %q1, %q2;
    mov.b128 {%d5, %d6}, %q3;
    st.global.v2.u64 [%d2+16], {%d5, %d6};
)"));
    std::vector<uint32_t> start(12, 0);
    start[0] = 0x3F800000;
    start[8] = 5, start[10] = 6;
    const uint64_t x = runner.upload(start);
    const uint64_t out = runner.upload(std::vector<uint32_t>(8, 0));
    EXPECT_TRUE(clean(runner.run("k", 1, 1, Parameters().add(x).add(out))));
    const auto left = runner.download<uint32_t>(x, 12);
    const std::vector<uint32_t> expected = {
        0x40400000, 0x40400000, 0x3F800000, 0x40000000, 0x3C004000, 0x3C004000, 0, 0, 6, 0, 5, 0};
    EXPECT_EQ(left, expected);
    const auto old = runner.download<uint32_t>(out, 8);
    const std::vector<uint32_t> returned = {0x3F800000, 0, 0, 0, 5, 0, 6, 0};
    EXPECT_EQ(old, returned);
}

TEST(Atomic, ContentionLosesNothing) {
    const std::string text = entry("k", ".param .u64 x", R"(
    .shared .align 4 .b8 cell[4];
    ld.param.u64 %d1, [x];
    mov.u32 %r1, cell;
    setp.ne.u32 %p1, %t, 0;
    @!%p1 st.shared.u32 [%r1], 0;
    bar.sync 0;
    atom.shared.add.u32 %r2, [%r1], 1;
    red.shared.add.u32 [%r1], 2;
    bar.sync 0;
    @%p1 bra $end;
    ld.shared.u32 %r3, [%r1];
    red.global.add.u32 [%d1], %r3;
    atom.global.max.u32 %r4, [%d1+4], %c;
$end:
)");
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t x = runner.upload(std::vector<uint32_t>{0, 0});
        EXPECT_TRUE(clean(runner.run("k", 20, 100, Parameters().add(x))));
        const auto result = runner.download<uint32_t>(x, 2);
        EXPECT_EQ(result[0], 20u * 100 * 3);
        EXPECT_EQ(result[1], 19u);
    }
}

TEST(Atomic, SeveralHostThreads) {
    Options options = test_options();
    options.host_threads = 4;
    Runner runner(entry("k", ".param .u64 x", R"(
    ld.param.u64 %d1, [x];
    red.global.add.u32 [%d1], 1;
    atom.global.add.u64 %d2, [%d1+8], 1;
)"),
                  options);
    const uint64_t x = runner.upload(std::vector<uint64_t>{0, 0});
    const auto report = runner.run("k", 200, 96, Parameters().add(x));
    EXPECT_TRUE(clean(report));
    EXPECT_EQ(report.counters.atomic_requests, 200u * 3 * 2);
    const auto result = runner.download<uint64_t>(x, 2);
    EXPECT_EQ(result[0], 200u * 96);
    EXPECT_EQ(result[1], 200u * 96);
}

TEST(Atomic, RefusesWhatPtxHasNot) {
    const auto accepts = [](const std::string& body) {
        try {
            Runner runner(entry("k", "", body));
        } catch (const std::exception&) {
            return false;
        }
        return true;
    };
    EXPECT_TRUE(accepts("red.global.add.u32 [%d1], 1;"));
    EXPECT_FALSE(accepts("red.global.exch.b32 [%d1], 1;"));
    EXPECT_FALSE(accepts("atom.global.and.u32 %r1, [%d1], 1;"));
    EXPECT_FALSE(accepts("atom.global.add.b32 %r1, [%d1], 1;"));
    EXPECT_FALSE(accepts("atom.global.min.f32 %f1, [%d1], %f2;"));
    EXPECT_FALSE(accepts("atom.global.inc.s32 %r1, [%d1], 1;"));
    EXPECT_FALSE(accepts("atom.local.add.u32 %r1, [%d1], 1;"));
    EXPECT_FALSE(accepts("red.acquire.gpu.global.add.u32 [%d1], 1;"));
    EXPECT_FALSE(accepts("atom.global.add.f16x2 %r1, [%d1], %r2;"));
    EXPECT_FALSE(accepts("red.shared.add.v2.f32 [%r1], {%f1, %f2};"));
}

}  // namespace
}  // namespace emulator
