// Kernels: loaded once per context, known by the context's id; launches as they were asked for.
#include "core/device/module.hpp"

#include <thread>
#include <vector>

#include "core/device/scratch.hpp"
#include "tests/unit/device/device_testing.hpp"

FP6LLM_DECLARE_FATBIN(unit_device_smoke);
FP6LLM_DECLARE_FATBIN(unit_device_none_smoke);

namespace fp6llm::cuda {
namespace {

using testing::expect_error;
using testing::stub_controls;

const Kernel& add_one(const ScopedContext& context) {
    return find_kernel(context, fatbin_unit_device_smoke, "add_one");
}

FP6LLM_ISOLATED_TEST(Module, IsLoadedAtTheFirstUseOnly) {
    DeviceContext device(0);
    const ScopedContext scoped(device);
    EXPECT_EQ(stub_controls().calls("cuModuleLoadDataEx"), 0);
    const Kernel& kernel = add_one(scoped);
    EXPECT_STREQ(kernel.name, "add_one");
    EXPECT_EQ(kernel.registers, 40);
    EXPECT_EQ(kernel.static_shared, 1024u);
    EXPECT_EQ(kernel.dynamic_shared, 232448u - 1024u);
    EXPECT_EQ(&add_one(scoped), &kernel);
    EXPECT_EQ(stub_controls().calls("cuModuleLoadDataEx"), 1);
    EXPECT_EQ(stub_controls().calls("cuModuleGetFunction"), 1);
    EXPECT_EQ(blocks_per_multiprocessor(kernel, 256, 0), 8);
}

FP6LLM_ISOLATED_TEST(Module, ANewContextAtTheOldAddressGetsItsOwn) {
    driver();
    DeviceContext device(0);
    CUcontext foreign = stub_controls().create_context(0);
    for (int round = 1; round <= 3; ++round) {
        check(driver().CtxPushCurrent(foreign), "cuCtxPushCurrent");
        {
            const ScopedContext scoped(device);
            int parameter[2] = {round, 0};
            launch(add_one(scoped), LaunchConfig{}, parameter);
        }
        EXPECT_EQ(stub_controls().calls("cuModuleLoadDataEx"), round);
        stub_controls().destroy_context(foreign);
        CUcontext popped = nullptr;
        check(driver().CtxPopCurrent(&popped), "cuCtxPopCurrent");
        ASSERT_EQ(stub_controls().create_context(0), foreign);
    }
}

FP6LLM_ISOLATED_TEST(Module, ManyThreadsLoadItOnce) {
    DeviceContext keeper(0);  // else the primary context would come and go with the threads
    keeper.primary();
    const Kernel* found[8] = {};
    std::vector<std::thread> threads;
    for (const Kernel*& kernel : found) {
        threads.emplace_back([&kernel] {
            DeviceContext device(0);
            const ScopedContext scoped(device);
            kernel = &add_one(scoped);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const Kernel* kernel : found)
        EXPECT_EQ(kernel, found[0]);
    EXPECT_EQ(stub_controls().calls("cuModuleLoadDataEx"), 1);
}

FP6LLM_ISOLATED_TEST(Module, WhatIsNotThereIsNamed) {
    DeviceContext device(0);
    const ScopedContext scoped(device);
    setenv("FP6LLM_STUB_FAIL", "cuModuleLoadDataEx=209", 1);
    expect_error(
        Status::kArchMismatch, [&] { add_one(scoped); }, "unit_device_smoke");
    unsetenv("FP6LLM_STUB_FAIL");
    add_one(scoped);
    expect_error(
        Status::kInternalError, [&] { find_kernel(scoped, fatbin_unit_device_smoke, "no_such"); },
        "no_such", "unit_device_smoke");
    expect_error(
        Status::kArchMismatch,
        [&] { find_kernel(scoped, fatbin_unit_device_none_smoke, "add_one"); },
        "unit_device_none_smoke");
}

FP6LLM_ISOLATED_TEST(Launch, PassesEverythingOn) {
    DeviceContext device(0);
    const Queue queue(device, device_properties(0), reinterpret_cast<CUstream>(uintptr_t{64}));
    const Kernel& kernel = queue.kernel(fatbin_unit_device_smoke, "add_one");
    LaunchConfig config;
    config.grid = {8, 2, 3};
    config.block = {128, 1, 2};
    config.dynamic_shared = 100000;
    config.stream = queue.stream();
    launch(kernel, config, uint64_t{0x1234}, 1.0f);
    stub::Launch seen = stub_controls().last_launch();
    EXPECT_EQ(seen.grid[0] * 100 + seen.grid[1] * 10 + seen.grid[2], 823u);
    EXPECT_EQ(seen.block[0] + seen.block[1] * 10 + seen.block[2], 140u);
    EXPECT_EQ(seen.cluster[0], 0u);
    EXPECT_EQ(seen.shared_bytes, 100000u);
    EXPECT_EQ(seen.stream, queue.stream());
    EXPECT_FALSE(seen.overlaps_previous);
    EXPECT_EQ(seen.first_parameter, 0x1234u);

    config.cluster = {4, 1, 1};
    config.overlaps_previous = true;
    launch(kernel, config, uint64_t{1});
    seen = stub_controls().last_launch();
    EXPECT_EQ(seen.cluster[0] * 100 + seen.cluster[1] * 10 + seen.cluster[2], 411u);
    EXPECT_TRUE(seen.overlaps_previous);

    setenv("FP6LLM_STUB_FAIL", "cuLaunchKernelEx=719", 1);
    expect_error(
        Status::kExecutionFailed, [&] { launch(kernel, config, uint64_t{1}); }, "add_one",
        "8 x 2 x 3");
}

FP6LLM_ISOLATED_TEST(Scratch, IsPerStreamGrowsAndStays) {
    DeviceContext device(0);
    Scratch scratch(Scratch::Contents::kZeroWhenNew);
    const auto stream = [](uintptr_t n) { return reinterpret_cast<CUstream>(n * 64); };
    const Queue one(device, device_properties(0), stream(1));
    const Queue two(device, device_properties(0), stream(2));
    EXPECT_EQ(scratch.get(one, 0), nullptr);
    auto* first = static_cast<unsigned char*>(scratch.get(one, 1));
    for (int i = 0; i < 64 * 1024; ++i)
        ASSERT_EQ(first[i], 0);
    EXPECT_EQ(scratch.get(one, 64 * 1024), first);
    EXPECT_NE(scratch.get(two, 1), first);
    EXPECT_EQ(stub_controls().live_allocations(), 2);
    void* larger = scratch.get(one, 64 * 1024 + 1);
    EXPECT_NE(larger, first);
    EXPECT_EQ(scratch.get(one, 1), larger);
    EXPECT_EQ(stub_controls().live_allocations(), 3) << "a graph may still use the smaller one";
    setenv("FP6LLM_STUB_FAIL", "cuMemAlloc=2", 1);
    expect_error(Status::kAllocFailed, [&] { scratch.get(one, 1 << 20); });
    EXPECT_EQ(scratch.get(one, 1), larger);
}

}  // namespace
}  // namespace fp6llm::cuda
