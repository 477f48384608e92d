// Divergence, calls, several blocks, waiting for each other, and what never ends.
#include "tests/emulator/tests/kernel_runner.hpp"

namespace emulator {
namespace {

TEST(Scheduler, LanesLoopAsOftenAsTheyWant) {
    const std::string text = entry("collatz", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    mov.u32 %r1, %ntid.x;
    mad.lo.u32 %r2, %c, %r1, %t;
    add.u32 %r3, %r2, 1;
    mov.u32 %r4, 0;
$loop:
    setp.eq.u32 %p1, %r3, 1;
    @%p1 bra $done;
    add.u32 %r4, %r4, 1;
    and.b32 %r5, %r3, 1;
    setp.ne.u32 %p2, %r5, 0;
    @%p2 bra $odd;
    shr.u32 %r3, %r3, 1;
    bra.uni $loop;
$odd:
    mad.lo.u32 %r3, %r3, 3, 1;
    bra.uni $loop;
$done:
    bar.sync 0;
    mul.wide.u32 %d2, %r2, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r4;
)");
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Runner runner(text, test_options(seed));
        const uint32_t n = 3 * 100;
        const uint64_t out = runner.device.allocate(n * 4);
        EXPECT_TRUE(clean(runner.run("collatz", 3, 100, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, n);
        for (uint32_t i = 0; i < n; ++i) {
            uint32_t steps = 0;
            for (uint64_t v = i + 1; v != 1; ++steps)
                v = v % 2 == 0 ? v / 2 : 3 * v + 1;
            ASSERT_EQ(result[i], steps) << i << " seed " << seed;
        }
    }
}

TEST(Scheduler, ConvergesBehindABranch) {
    // Behind the branch the warp is one group again: a shuffle-free proof by counting instructions.
    Runner runner(entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    and.b32 %r1, %t, 1;
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra $even;
    mov.u32 %r2, 7;
    bra.uni $join;
$even:
    mov.u32 %r2, 8;
$join:
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r2;
)"),
                  [] {
                      Options options = test_options();
                      options.random_schedule = false;
                      return options;
                  }());
    const uint64_t out = runner.device.allocate(128);
    const auto report = runner.run("k", 1, 32, Parameters().add(out));
    EXPECT_TRUE(clean(report));
    EXPECT_EQ(report.counters.global_store_requests, 1u);
    const auto result = runner.download<uint32_t>(out, 32);
    for (uint32_t i = 0; i < 32; ++i)
        EXPECT_EQ(result[i], i % 2 == 0 ? 8u : 7u);
}

TEST(Scheduler, JumpsByTable) {
    const std::string text = entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    and.b32 %r1, %t, 3;
    mov.u32 %r2, 0;
$table: .branchtargets $a, $b, $c, $d;
    brx.idx %r1, $table;
$a: add.u32 %r2, %r2, 1;
$b: add.u32 %r2, %r2, 10;
$c: add.u32 %r2, %r2, 100;
$d: add.u32 %r2, %r2, 1000;
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %r2;
)");
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t out = runner.device.allocate(256);
        EXPECT_TRUE(clean(runner.run("k", 1, 64, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 64);
        const uint32_t expected[] = {1111, 1110, 1100, 1000};
        for (uint32_t i = 0; i < 64; ++i)
            EXPECT_EQ(result[i], expected[i % 4]);
    }
}

const char* const kFunctions = R"(
.func (.param .b32 result) fibonacci(.param .b32 n)
{
    .reg .pred %p<2>; .reg .b32 %r<8>;
    .local .align 4 .b8 spill[8];
    .reg .b64 %d<2>;
    ld.param.u32 %r1, [n];
    mov.u32 %r2, %r1;
    setp.lt.u32 %p1, %r1, 2;
    @%p1 bra $leaf;
    mov.u64 %d1, spill;
    st.local.u32 [%d1+4], %r1;
    sub.u32 %r3, %r1, 1;
    {
    .param .b32 argument;
    .param .b32 returned;
    st.param.b32 [argument], %r3;
    call.uni (returned), fibonacci, (argument);
    ld.param.b32 %r4, [returned];
    }
    ld.local.u32 %r1, [%d1+4];
    sub.u32 %r3, %r1, 2;
    {
    .param .b32 argument;
    .param .b32 returned;
    st.param.b32 [argument], %r3;
    call.uni (returned), fibonacci, (argument);
    ld.param.b32 %r5, [returned];
    }
    add.u32 %r2, %r4, %r5;
$leaf:
    st.param.b32 [result], %r2;
    ret;
}
.func (.param .b32 result) twice(.param .b32 n)
{
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [n];
    add.u32 %r2, %r1, %r1;
    st.param.b32 [result], %r2;
    ret;
}
.func (.param .b32 result) square(.param .b32 n)
{
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [n];
    mul.lo.u32 %r2, %r1, %r1;
    st.param.b32 [result], %r2;
    ret;
}
.global .align 8 .u64 table[2] = {twice, square};
)";

TEST(Scheduler, CallsFunctions) {
    const std::string text = std::string(kFunctions) + entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    and.b32 %r1, %t, 7;
    {
    .param .b32 argument;
    .param .b32 returned;
    st.param.b32 [argument], %r1;
    call.uni (returned), fibonacci, (argument);
    ld.param.b32 %r2, [returned];
    }
    // Odd lanes square it, even lanes double it.
    and.b32 %r3, %t, 1;
    mul.wide.u32 %d2, %r3, 8;
    mov.u64 %d3, table;
    add.u64 %d3, %d3, %d2;
    ld.global.u64 %d4, [%d3];
    {
    .param .b32 argument;
    .param .b32 returned;
    st.param.b32 [argument], %r2;
prototype: .callprototype (.param .b32 _) _ (.param .b32 _);
    call (returned), %d4, (argument), prototype;
    ld.param.b32 %r4, [returned];
    }
    mul.wide.u32 %d5, %t, 4;
    add.u64 %d6, %d1, %d5;
    st.global.u32 [%d6], %r4;
)");
    const uint32_t fibonacci[] = {0, 1, 1, 2, 3, 5, 8, 13};
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t out = runner.device.allocate(400);
        EXPECT_TRUE(clean(runner.run("k", 1, 100, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 100);
        for (uint32_t i = 0; i < 100; ++i) {
            const uint32_t f = fibonacci[i % 8];
            EXPECT_EQ(result[i], i % 2 == 0 ? 2 * f : f * f) << i;
        }
    }
}

TEST(Scheduler, LanesWaitForEachOther) {
    // Every lane of the warp takes the same lock by turns: the loop starves those that hold it unless
    // groups that spin give way.
    const std::string text = entry("k", ".param .u64 lock, .param .u64 sum", R"(
    ld.param.u64 %d1, [lock];
    ld.param.u64 %d2, [sum];
$again:
    atom.acquire.gpu.global.cas.b32 %r1, [%d1], 0, 1;
    setp.ne.u32 %p1, %r1, 0;
    @%p1 bra $again;
    ld.global.u32 %r2, [%d2];
    add.u32 %r2, %r2, %t;
    st.global.u32 [%d2], %r2;
    atom.release.gpu.global.exch.b32 %r3, [%d1], 0;
)");
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t lock = runner.upload(std::vector<uint32_t>{0});
        const uint64_t sum = runner.upload(std::vector<uint32_t>{0});
        EXPECT_TRUE(clean(runner.run("k", 3, 64, Parameters().add(lock).add(sum))));
        EXPECT_EQ(runner.download<uint32_t>(sum, 1)[0], 3u * 64 * 63 / 2) << seed;
    }
}

TEST(Scheduler, BlocksWaitForTheirPredecessors) {
    // Far more blocks than fit at once, each waiting for the one before it.
    const std::string text = entry("chain", ".param .u64 flags", R"(
    ld.param.u64 %d1, [flags];
    mul.wide.u32 %d2, %c, 4;
    add.u64 %d3, %d1, %d2;
    setp.ne.u32 %p1, %t, 0;
    @%p1 bra $end;
    mov.u32 %r2, 1;
    setp.eq.u32 %p2, %c, 0;
    @%p2 bra $set;
$wait:
    ld.acquire.gpu.global.u32 %r1, [%d3+-4];
    setp.eq.u32 %p3, %r1, 0;
    @%p3 bra $wait;
    add.u32 %r2, %r1, 1;
$set:
    st.release.gpu.global.u32 [%d3], %r2;
$end:
)");
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        Runner runner(text, test_options(seed));
        const uint32_t blocks = 300;
        const uint64_t flags = runner.upload(std::vector<uint32_t>(blocks, 0));
        EXPECT_TRUE(clean(runner.run("chain", blocks, 1024, Parameters().add(flags))));
        const auto result = runner.download<uint32_t>(flags, blocks);
        for (uint32_t i = 0; i < blocks; ++i)
            ASSERT_EQ(result[i], i + 1);
    }
}

TEST(Scheduler, SomeLanesLeaveEarly) {
    const std::string text = entry("k", ".param .u64 out", R"(
    ld.param.u64 %d1, [out];
    setp.ge.u32 %p1, %t, 70;
    @%p1 exit;
    and.b32 %r1, %t, 3;
    setp.eq.u32 %p2, %r1, 3;
    @%p2 ret;
    bar.sync 0;
    mul.wide.u32 %d2, %t, 4;
    add.u64 %d3, %d1, %d2;
    st.global.u32 [%d3], %t;
)");
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Runner runner(text, test_options(seed));
        const uint64_t out = runner.upload(std::vector<uint32_t>(128, 99));
        EXPECT_TRUE(clean(runner.run("k", 1, 128, Parameters().add(out))));
        const auto result = runner.download<uint32_t>(out, 128);
        for (uint32_t i = 0; i < 128; ++i)
            EXPECT_EQ(result[i], i < 70 && i % 4 != 3 ? i : 99u) << i;
    }
}

TEST(Scheduler, AFaultNamesItsPlace) {
    Runner runner(entry("k", "", "setp.ne.u32 %p1, %t, 40;\n@%p1 bra $end;\ntrap;\n$end:"));
    const auto report = runner.run("k", 1, 64, Parameters());
    EXPECT_TRUE(report.faulted);
    EXPECT_NE(report.fault.find("warp 1"), std::string::npos) << report.fault;
}

TEST(Scheduler, SeesADeadlock) {
    // Warp 0 waits at barrier 1, warp 1 at barrier 2.
    Runner runner(entry("k", "", R"(
    shr.u32 %r1, %t, 5;
    add.u32 %r1, %r1, 1;
    bar.sync %r1, 64;
)"));
    const auto report = runner.run("k", 1, 64, Parameters());
    EXPECT_TRUE(report.faulted);
    ASSERT_TRUE(has(report, FindingKind::kDeadlock)) << list(report);
    EXPECT_NE(report.fault.find("warp 0 lanes ffffffff at line"), std::string::npos)
        << report.fault;
    EXPECT_NE(report.fault.find("warp 1 lanes ffffffff at line"), std::string::npos)
        << report.fault;

    Runner right(entry("k", "", "bar.sync 1, 64;"));
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        right.device.set_seed(seed);
        EXPECT_TRUE(clean(right.run("k", 1, 64, Parameters())));
    }
}

TEST(Scheduler, HostThreadsWaitForEachOther) {
    // As above, on several host threads: what one thread's blocks wait for is another's work.
    Options options = test_options();
    options.host_threads = 4;
    Runner runner(entry("k", ".param .u64 flags", R"(
    ld.param.u64 %d1, [flags];
    mul.wide.u32 %d2, %c, 4;
    add.u64 %d3, %d1, %d2;
    setp.eq.u32 %p2, %c, 0;
    mov.u32 %r1, 0;
    @%p2 bra $set;
$wait:
    ld.acquire.gpu.global.u32 %r1, [%d3+-4];
    setp.eq.u32 %p3, %r1, 0;
    @%p3 bra $wait;
$set:
    add.u32 %r2, %r1, 1;
    st.release.gpu.global.u32 [%d3], %r2;
)"),
                  options);
    const uint32_t blocks = 100;
    const uint64_t flags = runner.upload(std::vector<uint32_t>(blocks, 0));
    EXPECT_TRUE(clean(runner.run("k", blocks, 1, Parameters().add(flags))));
    EXPECT_EQ(runner.download<uint32_t>(flags, blocks)[99], 100u);
}

TEST(Scheduler, StacksAreFreshAtEveryCall) {
    // The second call must not take the first one's leftovers for its own.
    const std::string function = R"(
.func (.param .b32 result) peek(.param .b32 n)
{
    .reg .b32 %r<4>; .reg .b64 %d<2>; .reg .pred %p;
    .local .align 4 .b8 cell[4];
    mov.u64 %d1, cell;
    ld.param.u32 %r1, [n];
    setp.eq.u32 %p, %r1, 0;
    @%p st.local.u32 [%d1], 42;
    ld.local.u32 %r2, [%d1];
    st.param.b32 [result], %r2;
    ret;
}
)";
    const auto call = [](const char* argument) {
        return std::string("{\n.param .b32 a;\n.param .b32 b;\nst.param.b32 [a], ") + argument +
               ";\ncall.uni (b), peek, (a);\nld.param.b32 %r1, [b];\n}\n"
               "st.global.u32 [%d1], %r1;\n";
    };
    const auto run = [&](const std::string& calls) {
        Runner runner(function +
                      entry("k", ".param .u64 out", "ld.param.u64 %d1, [out];\n" + calls));
        const uint64_t out = runner.device.allocate(4);
        return runner.run("k", 1, 1, Parameters().add(out));
    };
    EXPECT_TRUE(clean(run(call("0") + call("0"))));
    EXPECT_TRUE(has(run(call("0") + call("1")), FindingKind::kUninitialized));
}

TEST(Scheduler, SeesALivelock) {
    // Nobody ever sets the flag.
    Runner runner(entry("k", ".param .u64 flag", R"(
    ld.param.u64 %d1, [flag];
$wait:
    ld.acquire.gpu.global.u32 %r1, [%d1];
    setp.eq.u32 %p1, %r1, 0;
    @%p1 bra $wait;
)"));
    const uint64_t flag = runner.upload(std::vector<uint32_t>{0});
    const auto report = runner.run("k", 2, 64, Parameters().add(flag));
    EXPECT_TRUE(report.faulted);
    EXPECT_TRUE(has(report, FindingKind::kDeadlock)) << list(report);
}

}  // namespace
}  // namespace emulator
