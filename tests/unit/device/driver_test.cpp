// Loading the driver: what is refused and how it is said, once for all threads, and forks.
#include "core/device/driver.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "core/device/properties.hpp"
#include "tests/unit/device/device_testing.hpp"

namespace fp6llm::cuda {
namespace {

using testing::expect_error;
using testing::stub_controls;

FP6LLM_ISOLATED_TEST(Driver, IsFoundAndInitialized) {
    EXPECT_EQ(loaded_driver(), nullptr);
    EXPECT_EQ(driver().version, 13000);
    EXPECT_EQ(loaded_driver(), &driver());
    EXPECT_EQ(stub_controls().calls("cuInit"), 1);
    EXPECT_EQ(driver().TensorMapEncodeTiled, nullptr);  // optional, and the stub lacks it
}

FP6LLM_ISOLATED_TEST(Driver, TooOldSaysWhatIsThereAndWhatIsNeeded) {
    setenv("FP6LLM_STUB_VERSION", "11080", 1);
    expect_error(
        Status::kNotSupported, [] { driver(); }, "11.8", "12.0");
    EXPECT_EQ(loaded_driver(), nullptr);
    EXPECT_EQ(stub_controls().calls("cuInit"), 0);
}

FP6LLM_ISOLATED_TEST(Driver, MissingFunctionIsNamed) {
    setenv("FP6LLM_STUB_LACKS", "cuCtxGetId", 1);
    expect_error(
        Status::kNotSupported, [] { driver(); }, "cuCtxGetId");
}

FP6LLM_ISOLATED_TEST(Driver, FailureToInitializeIsNamedAndTriedAgain) {
    setenv("FP6LLM_STUB_FAIL", "cuInit=999", 1);
    expect_error(
        Status::kNotSupported, [] { driver(); }, "cuInit", "CUDA_ERROR_UNKNOWN");
    setenv("FP6LLM_STUB_FAIL", "cuInit=100", 1);
    expect_error(
        Status::kNotSupported, [] { driver(); }, "CUDA_ERROR_NO_DEVICE");
    unsetenv("FP6LLM_STUB_FAIL");
    EXPECT_EQ(driver().version, 13000);
}

FP6LLM_ISOLATED_TEST(Driver, ManyThreadsLoadItOnce) {
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            ++ready;
            while (ready.load() < 8) {
            }
            EXPECT_EQ(driver().version, 13000);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(stub_controls().calls("cuInit"), 1);
}

FP6LLM_ISOLATED_TEST(Driver, IsRefusedInAForkedChild) {
    driver();
    EXPECT_TRUE(testing::passes_in_child([] {
        EXPECT_EQ(loaded_driver(), nullptr);
        expect_error(
            Status::kNotSupported, [] { driver(); }, "fork");
        expect_error(
            Status::kNotSupported, [] { device_properties(0); }, "fork");
    }));
    EXPECT_EQ(driver().version, 13000);
}

FP6LLM_ISOLATED_TEST(Driver, WorksInAChildForkedBefore) {
    setenv("FP6LLM_STUB_FAIL", "cuInit=999", 1);
    expect_error(Status::kNotSupported, [] { driver(); });
    unsetenv("FP6LLM_STUB_FAIL");
    EXPECT_TRUE(testing::passes_in_child([] { EXPECT_EQ(driver().version, 13000); }));
}

FP6LLM_ISOLATED_TEST(Driver, ErrorsBecomeStatuses) {
    driver();
    const auto failing = [](CUresult result) { return [=] { check(result, "cuCall"); }; };
    check(CUDA_SUCCESS, "cuCall");
    expect_error(Status::kAllocFailed, failing(CUDA_ERROR_OUT_OF_MEMORY), "cuCall",
                 "CUDA_ERROR_OUT_OF_MEMORY", "as the stub was told");
    expect_error(Status::kExecutionFailed, failing(CUDA_ERROR_ILLEGAL_ADDRESS));
    expect_error(Status::kExecutionFailed, failing(CUDA_ERROR_CONTEXT_IS_DESTROYED));
    expect_error(Status::kArchMismatch, failing(CUDA_ERROR_NO_BINARY_FOR_GPU));
    expect_error(Status::kInvalidValue, failing(CUDA_ERROR_INVALID_HANDLE));
    expect_error(Status::kNotSupported, failing(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
    // No enumerator, but the most that an enumeration with CUDA_ERROR_UNKNOWN = 999 can hold.
    expect_error(Status::kExecutionFailed, failing(static_cast<CUresult>(1023)), "unknown error");
}

FP6LLM_ISOLATED_TEST(Properties, AreAskedOnce) {
    const DeviceProperties& device = device_properties(0);
    EXPECT_STREQ(device.name, "Stub GPU 0");
    EXPECT_EQ(device.capability(), 90);
    EXPECT_EQ(device.multiprocessors, 132);
    EXPECT_EQ(device.shared_per_block, 232448u);
    const int calls = stub_controls().calls("cuDeviceGetAttribute");
    EXPECT_EQ(&device_properties(0), &device);
    EXPECT_EQ(stub_controls().calls("cuDeviceGetAttribute"), calls);
}

}  // namespace
}  // namespace fp6llm::cuda
