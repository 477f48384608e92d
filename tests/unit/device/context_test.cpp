// Which context a call runs in, and that the caller's is left as it was.
#include "core/device/context.hpp"

#include "core/device/memory.hpp"
#include "tests/unit/device/device_testing.hpp"

namespace fp6llm::cuda {
namespace {

using testing::expect_error;
using testing::stub_controls;

CUcontext current() {
    CUcontext context = nullptr;
    check(driver().CtxGetCurrent(&context), "cuCtxGetCurrent");
    return context;
}

unsigned long long id_of(CUcontext context) {
    unsigned long long id = 0;
    check(driver().CtxGetId(context, &id), "cuCtxGetId");
    return id;
}

FP6LLM_ISOLATED_TEST(Context, PrimaryWhereThereIsNone) {
    DeviceContext device(0);
    driver();
    EXPECT_EQ(current(), nullptr);
    {
        const ScopedContext scoped(device);
        EXPECT_EQ(current(), device.primary()->get());
        EXPECT_EQ(scoped.id(), device.primary()->id());
        EXPECT_EQ(scoped.primary(), device.primary());
    }
    EXPECT_EQ(current(), nullptr);
    EXPECT_EQ(stub_controls().primary_references(0), 1);
}

FP6LLM_ISOLATED_TEST(Context, CurrentOneIsUsedAndKept) {
    driver();
    const CUcontext foreign = stub_controls().create_context(0);
    check(driver().CtxPushCurrent(foreign), "cuCtxPushCurrent");
    DeviceContext device(0);
    {
        const ScopedContext scoped(device);
        EXPECT_EQ(current(), foreign);
        EXPECT_EQ(scoped.id(), id_of(foreign));
        EXPECT_EQ(scoped.primary(), nullptr);
    }
    EXPECT_EQ(current(), foreign);
    EXPECT_EQ(stub_controls().primary_references(0), 0) << "a primary context was made for nothing";
}

FP6LLM_ISOLATED_TEST(Context, CurrentPrimaryIsHeld) {
    driver();
    CUcontext theirs = nullptr;
    check(driver().DevicePrimaryCtxRetain(&theirs, 0), "cuDevicePrimaryCtxRetain");
    check(driver().CtxPushCurrent(theirs), "cuCtxPushCurrent");
    DeviceContext device(0);
    const ScopedContext scoped(device);
    ASSERT_NE(scoped.primary(), nullptr);
    EXPECT_EQ(scoped.primary()->get(), theirs);
    EXPECT_EQ(stub_controls().primary_references(0), 2);
}

FP6LLM_ISOLATED_TEST(Context, OneOfAnotherDeviceIsPutAside) {
    setenv("FP6LLM_STUB_DEVICES", "2", 1);
    driver();
    const CUcontext foreign = stub_controls().create_context(0);
    check(driver().CtxPushCurrent(foreign), "cuCtxPushCurrent");
    DeviceContext device(1);
    {
        const ScopedContext scoped(device);
        EXPECT_EQ(current(), device.primary()->get());
        CUdevice now = -1;
        check(driver().CtxGetDevice(&now), "cuCtxGetDevice");
        EXPECT_EQ(now, 1);
    }
    EXPECT_EQ(current(), foreign);
}

FP6LLM_ISOLATED_TEST(Context, DestroyedCurrentOneIsAnError) {
    driver();
    const CUcontext foreign = stub_controls().create_context(0);
    check(driver().CtxPushCurrent(foreign), "cuCtxPushCurrent");
    stub_controls().destroy_context(foreign);
    DeviceContext device(0);
    expect_error(
        Status::kExecutionFailed, [&] { const ScopedContext scoped(device); },
        "CUDA_ERROR_CONTEXT_IS_DESTROYED");
    EXPECT_EQ(current(), foreign);
}

FP6LLM_ISOLATED_TEST(Context, ResetOfTheDeviceIsAnErrorOnce) {
    DeviceContext device(0);
    const unsigned long long before = device.primary()->id();
    stub_controls().reset_primary(0);
    expect_error(Status::kExecutionFailed, [&] { const ScopedContext scoped(device); });
    EXPECT_EQ(current(), nullptr);
    const ScopedContext scoped(device);
    EXPECT_NE(scoped.id(), before);
}

FP6LLM_ISOLATED_TEST(Context, ResetIsSeenWhenTheNewContextHasTheOldAddress) {
    DeviceContext device(0);
    const CUcontext old = device.primary()->get();
    stub_controls().reset_primary(0);
    ASSERT_EQ(stub_controls().create_context(0), old);
    expect_error(Status::kExecutionFailed, [&] { const ScopedContext scoped(device); });
}

FP6LLM_ISOLATED_TEST(Context, OthersReferencesToThePrimaryAreLeftAlone) {
    CUcontext theirs = nullptr;
    {
        DeviceContext device(0);
        device.primary();
        EXPECT_EQ(stub_controls().primary_references(0), 1);
        stub_controls().reset_primary(0);
        check(driver().DevicePrimaryCtxRetain(&theirs, 0), "cuDevicePrimaryCtxRetain");
    }
    EXPECT_EQ(stub_controls().primary_references(0), 1);
    {
        DeviceContext device(0);
        device.primary();
        EXPECT_EQ(stub_controls().primary_references(0), 2);
    }
    EXPECT_EQ(stub_controls().primary_references(0), 1);
}

FP6LLM_ISOLATED_TEST(Memory, IsFreedInItsOwnContext) {
    DeviceContext device(0);
    DeviceBuffer buffer;
    {
        const ScopedContext scoped(device);
        buffer = DeviceBuffer(scoped, 1000);
        EXPECT_EQ(buffer.size(), 1000u);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0u);
    }
    check(driver().CtxPushCurrent(stub_controls().create_context(0)), "cuCtxPushCurrent");
    const CUcontext before = current();
    buffer = DeviceBuffer();
    EXPECT_EQ(stub_controls().live_allocations(), 0);
    EXPECT_EQ(current(), before);
}

FP6LLM_ISOLATED_TEST(Memory, KeepsThePrimaryContextAlive) {
    DeviceBuffer buffer;
    {
        DeviceContext device(0);
        const ScopedContext scoped(device);
        buffer = DeviceBuffer(scoped, 1);
    }
    EXPECT_EQ(stub_controls().primary_references(0), 1);
    buffer = DeviceBuffer();
    EXPECT_EQ(stub_controls().primary_references(0), 0);
}

FP6LLM_ISOLATED_TEST(Memory, OutlivesItsContextHarmlessly) {
    driver();
    const CUcontext foreign = stub_controls().create_context(0);
    check(driver().CtxPushCurrent(foreign), "cuCtxPushCurrent");
    DeviceContext device(0);
    {
        const ScopedContext scoped(device);
        const DeviceBuffer buffer(scoped, 64);
        stub_controls().destroy_context(foreign);
        // A context at the old address, which owns nothing of it.
        EXPECT_EQ(stub_controls().create_context(0), foreign);
    }
    EXPECT_EQ(stub_controls().calls("cuMemFree"), 0);
}

FP6LLM_ISOLATED_TEST(Memory, OutOfItIsSaid) {
    DeviceContext device(0);
    const ScopedContext scoped(device);
    setenv("FP6LLM_STUB_FAIL", "cuMemAlloc=2", 1);
    expect_error(
        Status::kAllocFailed, [&] { DeviceBuffer(scoped, 12345); }, "12345");
    EXPECT_EQ(DeviceBuffer(scoped, 0).data(), nullptr);
}

FP6LLM_ISOLATED_TEST(Memory, CopiesAndFills) {
    DeviceContext device(0);
    const ScopedContext scoped(device);
    const DeviceBuffer a(scoped, 16), b(scoped, 16);
    const char text[16] = "fifteen letters";
    char back[16] = "";
    copy_to_device(a.data(), text, 16, nullptr);
    copy_on_device(b.data(), a.data(), 16, nullptr);
    fill_bytes(b.data(), 'F', 1, nullptr);
    copy_to_host(back, b.data(), 16, nullptr);
    EXPECT_STREQ(back, "Fifteen letters");
    copy_to_device(nullptr, nullptr, 0, nullptr);
}

FP6LLM_ISOLATED_TEST(Memory, PointersAreToldApart) {
    setenv("FP6LLM_STUB_DEVICES", "2", 1);
    DeviceContext device(0);
    const ScopedContext scoped(device);
    const DeviceBuffer buffer(scoped, 16);
    int on_host = 0;
    check_device_pointer(buffer.data(), 0, "B");
    check_device_pointer(static_cast<char*>(buffer.data()) + 15, 0, "B");
    check_device_pointer(nullptr, 0, "B");
    expect_error(
        Status::kInvalidValue, [&] { check_device_pointer(&on_host, 0, "B"); },
        "B = ", "host pointer");
    expect_error(
        Status::kInvalidValue, [&] { check_device_pointer(buffer.data(), 1, "B"); },
        "B = ", "device 0", "device 1");
}

FP6LLM_ISOLATED_TEST(Memory, AnEarlierFaultIsNotThePointersFault) {
    DeviceContext device(0);
    const ScopedContext scoped(device);
    const DeviceBuffer buffer(scoped, 16);
    setenv("FP6LLM_STUB_FAIL", "cuPointerGetAttributes=999", 1);
    expect_error(
        Status::kExecutionFailed, [&] { check_device_pointer(buffer.data(), 0, "B"); },
        "cuPointerGetAttributes: CUDA_ERROR_UNKNOWN");
    unsetenv("FP6LLM_STUB_FAIL");
}

}  // namespace
}  // namespace fp6llm::cuda
