// The emulated device without its driver: memory, modules, launches.
#include "tests/emulator/tests/kernel_runner.hpp"

#include <stdexcept>

namespace emulator {
namespace {

const char* const kAxpy = R"(
.visible .entry axpy(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)
{
    .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %d<8>; .reg .f32 %f<8>;
    ld.param.u64 %d1, [x];
    ld.param.u64 %d2, [y];
    ld.param.f32 %f1, [a];
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra $done;
    mul.wide.u32 %d3, %r5, 4;
    add.s64 %d4, %d1, %d3;
    add.s64 %d5, %d2, %d3;
    ld.global.f32 %f2, [%d4];
    ld.global.f32 %f3, [%d5];
    fma.rn.f32 %f4, %f1, %f2, %f3;
    st.global.f32 [%d5], %f4;
$done:
    ret;
}
)";

TEST(Device, RunsAKernelOfAnySize) {
    for (const uint32_t n : {1u, 31u, 32u, 33u, 255u, 1000u}) {
        for (uint64_t seed = 1; seed <= 3; ++seed) {
            Runner runner(kAxpy, test_options(seed));
            std::vector<float> x(n), y(n);
            for (uint32_t i = 0; i < n; ++i) {
                x[i] = static_cast<float>(i);
                y[i] = 1000.0f - static_cast<float>(i);
            }
            const uint64_t dx = runner.upload(x), dy = runner.upload(y);
            const auto report = runner.run("axpy", (n + 95) / 96, 96,
                                           Parameters().add(dx).add(dy).add(3.0f).add(n));
            EXPECT_TRUE(clean(report));
            const auto result = runner.download<float>(dy, n);
            for (uint32_t i = 0; i < n; ++i)
                ASSERT_EQ(result[i], 3.0f * x[i] + y[i]) << i << " of " << n;
        }
    }
}

TEST(Device, CountsWhatAKernelMoves) {
    Runner runner(kAxpy);
    const uint32_t n = 1024;
    const uint64_t x = runner.upload(std::vector<float>(n, 1.0f));
    const uint64_t y = runner.upload(std::vector<float>(n, 2.0f));
    const auto report = runner.run("axpy", 8, 128, Parameters().add(x).add(y).add(1.0f).add(n));
    const Counters& c = report.counters;
    EXPECT_EQ(c.global_load_requests, 64u);  // two loads of 32 warps
    EXPECT_EQ(c.global_load_bytes, 2u * 4096);
    EXPECT_EQ(c.global_load_sectors, 2u * 4096 / 32);
    EXPECT_EQ(c.global_store_bytes, 4096u);
    EXPECT_EQ(c.global_store_sectors, 4096u / 32);
    EXPECT_EQ(c.warp_instructions[static_cast<size_t>(OpKind::kFloat)], 32u);
    EXPECT_EQ(c.lane_instructions[static_cast<size_t>(OpKind::kFloat)], n);
    ASSERT_EQ(c.traffic.size(), 2u);
    for (const auto& traffic : c.traffic) {
        EXPECT_EQ(traffic.bytes, 4096u);
        EXPECT_EQ(traffic.loaded, 4096u);
        EXPECT_EQ(traffic.stored, traffic.base == y ? 4096u : 0u);
    }
}

TEST(Device, SeveralHostThreadsGiveTheSame) {
    const uint32_t n = 100000;
    std::vector<float> x(n), y(n, 0.5f);
    for (uint32_t i = 0; i < n; ++i)
        x[i] = static_cast<float>(i % 1013);
    std::vector<float> first;
    for (const int threads : {1, 2, 4}) {
        Options options = test_options();
        options.host_threads = threads;
        Runner runner(kAxpy, options);
        const uint64_t dx = runner.upload(x), dy = runner.upload(y);
        const auto report =
            runner.run("axpy", (n + 255) / 256, 256, Parameters().add(dx).add(dy).add(2.0f).add(n));
        EXPECT_TRUE(clean(report));
        EXPECT_EQ(report.counters.global_store_bytes, n * 4u);
        const auto result = runner.download<float>(dy, n);
        if (first.empty()) first = result;
        EXPECT_EQ(result, first);
    }
    EXPECT_EQ(first[1012], 2.0f * 1012 + 0.5f);
}

TEST(Device, MemoryHasExactBounds) {
    Device device(test_options());
    const uint64_t a = device.allocate(100);
    ASSERT_NE(a, 0u);
    EXPECT_EQ(a % 256, 0u);
    std::vector<uint8_t> bytes(101, 7);
    EXPECT_TRUE(device.copy_to_device(a, bytes.data(), 100));
    EXPECT_FALSE(device.copy_to_device(a, bytes.data(), 101));
    EXPECT_FALSE(device.copy_to_device(a + 1, bytes.data(), 100));
    EXPECT_FALSE(device.copy_to_host(bytes.data(), a - 1, 2));
    EXPECT_TRUE(device.fill(a + 4, 0x01020304, 4, 24));
    EXPECT_FALSE(device.fill(a + 4, 0, 4, 25));
    EXPECT_TRUE(device.copy_to_host(bytes.data(), a, 100));
    EXPECT_EQ(bytes[3], 7);
    EXPECT_EQ(bytes[4], 4);
    EXPECT_EQ(bytes[7], 1);
    uint64_t base = 0, size = 0;
    EXPECT_TRUE(device.find(a + 99, &base, &size));
    EXPECT_EQ(base, a);
    EXPECT_EQ(size, 100u);
    EXPECT_FALSE(device.find(a + 100, &base, &size));
    EXPECT_FALSE(device.free(a + 1));
    EXPECT_TRUE(device.free(a));
    EXPECT_FALSE(device.free(a));
    EXPECT_FALSE(device.find(a, &base, &size));
}

TEST(Device, RunsOutOfMemoryAndGetsItBack) {
    Options options = test_options();
    options.memory_bytes = 1 << 20;
    Device device(options);
    const uint64_t a = device.allocate(700 << 10);
    ASSERT_NE(a, 0u);
    EXPECT_EQ(device.allocate(400 << 10), 0u);
    EXPECT_TRUE(device.free(a));
    // Address space is larger than memory, but not endless.
    for (int i = 0; i < 100; ++i) {
        const uint64_t b = device.allocate(700 << 10);
        ASSERT_NE(b, 0u) << i;
        ASSERT_TRUE(device.free(b));
    }
}

TEST(Device, VariablesOfAModule) {
    const std::string text = R"(
.global .align 4 .u32 numbers[4] = {10, 20, 30, 40};
.global .align 8 .u64 pointer = numbers + 8;
.const .align 4 .u32 factor = 3;
)" + entry("use", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    ld.global.u64 %d2, [pointer];
    ld.u32 %r1, [%d2];
    ld.const.u32 %r2, [factor];
    mul.lo.u32 %r3, %r1, %r2;
    mov.u64 %d3, numbers;
    ld.global.u32 %r4, [%d3+4];
    add.u32 %r5, %r3, %r4;
    st.global.u32 [%d1], %r5;
    st.global.u32 [numbers], %r5;
)");
    Runner runner(text);
    const uint64_t out = runner.device.allocate(4);
    EXPECT_TRUE(clean(runner.run("use", 1, 1, Parameters().add(out))));
    EXPECT_EQ(runner.download<uint32_t>(out, 1)[0], 3u * 30 + 20);
    uint64_t bytes = 0;
    const uint64_t numbers = runner.device.global(*runner.module, "numbers", &bytes);
    EXPECT_EQ(bytes, 16u);
    EXPECT_EQ(runner.download<uint32_t>(numbers, 1)[0], 110u);
    EXPECT_EQ(runner.device.global(*runner.module, "nothing", &bytes), 0u);
}

TEST(Device, RefusesWhatItDoesNotKnow) {
    const auto message = [](const std::string& body) {
        try {
            Runner runner(entry("k", "", body));
        } catch (const std::exception& error) {
            return std::string(error.what());
        }
        return std::string("accepted");
    };
    // The line is counted from the top of the module.
    EXPECT_EQ(message("frobnicate.u32 %r1, %r2;"), "line 14: frobnicate.u32: unknown instruction");
    EXPECT_NE(message("ld.global.sideways.u32 %r1, [%d1];").find("unknown modifier .sideways"),
              std::string::npos);
    EXPECT_NE(message("bar.sync.everywhere 0;").find("unknown modifier"), std::string::npos);
    EXPECT_NE(message("atom.global.add.u31 %r1, [%d1], 1;").find("line 14"), std::string::npos);
    EXPECT_NE(message("add.u64 %d1, %d2, %r1;").find("line 14: add.u64"), std::string::npos);
    EXPECT_NE(message("mov.u32 %r1, %unheard_of;"), "accepted");
    EXPECT_EQ(message("add.u32 %r1, %t, 1;"), "accepted");
}

TEST(Device, RefusesImpossibleLaunches) {
    Runner runner(entry("k", ".param .u32 n", "", " .maxntid 64, 1, 1 .reqnctapercluster 2, 1, 1") +
                  entry("big", "", ""));
    const Parameters n = Parameters().add(1u);
    EXPECT_TRUE(clean(runner.run("k", 4, 64, n)));
    EXPECT_TRUE(runner.run("k", 4, 65, n).faulted);
    EXPECT_TRUE(runner.run("k", 3, 64, n).faulted);
    EXPECT_TRUE(runner.run("k", 4, 64, Parameters()).faulted);
    EXPECT_TRUE(runner.run("big", 1, 1025, Parameters()).faulted);
    EXPECT_TRUE(runner.run("big", 0, 32, Parameters()).faulted);
    EXPECT_TRUE(clean(runner.run("big", 1, 32, Parameters(), 227 * 1024)));
    EXPECT_TRUE(runner.run("big", 1, 32, Parameters(), 227 * 1024 + 1).faulted);
}

TEST(Device, SaysWhatAFunctionNeeds) {
    Runner runner(R"(
.shared .align 16 .b8 common[48];
)" + entry("k", ".param .u32 a, .param .u64 b, .param .align 16 .b8 c[20]", R"(
    .shared .align 4 .b8 mine[100];
    .local .align 8 .b8 stack[40];
    mov.u32 %r1, common;
    mov.u32 %r2, mine;
    mov.u64 %d1, stack;
)",
           " .maxntid 128, 2, 1"));
    const FunctionFacts k = facts(*runner.device.function(*runner.module, "k"));
    EXPECT_EQ(k.max_threads, 256);
    EXPECT_GE(k.static_shared, 148);
    EXPECT_LE(k.static_shared, 148 + 16);
    EXPECT_EQ(k.local_bytes, 48);
    ASSERT_EQ(k.parameters.size(), 3u);
    EXPECT_EQ(k.parameters[1], std::make_pair(8u, 8u));
    EXPECT_EQ(k.parameters[2], std::make_pair(16u, 20u));
}

TEST(Device, SpecialRegisters) {
    Runner runner(entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    mov.u32 %r1, %tid.y;
    mov.u32 %r2, %tid.z;
    mov.u32 %r3, %ntid.y;
    mov.u32 %r4, %nctaid.y;
    mov.u32 %r5, %laneid;
    mov.u32 %r6, %warpid;
    mov.u32 %r7, %lanemask_lt;
    mov.u32 %r8, %ctaid.y;
    mov.u32 %r9, %ntid.x;
    mad.lo.u32 %r10, %r2, %r3, %r1;
    mad.lo.u32 %r10, %r10, %r9, %t;
    mul.wide.u32 %d2, %r10, 16;
    add.u64 %d1, %d1, %d2;
    mad.lo.u32 %r11, %r6, 32, %r5;
    mad.lo.u32 %r12, %r8, 100, %r4;
    setp.ne.u32 %p1, %r8, 1;
    @%p1 bra $end;
    setp.ne.u32 %p1, %c, 1;
    @!%p1 st.global.v4.u32 [%d1], {%r10, %r11, %r7, %r12};
$end:
)"));
    const LoadedFunction* function = runner.device.function(*runner.module, "k");
    LaunchConfig config;
    config.grid[0] = 3, config.grid[1] = 2;
    config.block[0] = 5, config.block[1] = 4, config.block[2] = 3;
    const uint64_t out = runner.device.allocate(60 * 16);
    EXPECT_TRUE(clean(runner.device.launch(*function, config, Parameters().add(out).bytes())));
    const auto result = runner.download<uint32_t>(out, 240);
    for (uint32_t i = 0; i < 60; ++i) {
        EXPECT_EQ(result[4 * i], i);
        EXPECT_EQ(result[4 * i + 1], i);
        EXPECT_EQ(result[4 * i + 2], (1u << i % 32) - 1);
        EXPECT_EQ(result[4 * i + 3], 102u);
    }
}

}  // namespace
}  // namespace emulator
