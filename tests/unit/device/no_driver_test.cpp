// Without a driver on the loader's path. On a machine that has one there is nothing to see.
#include "core/device/driver.hpp"
#include "tests/unit/device/device_testing.hpp"

namespace fp6llm::cuda {
namespace {

FP6LLM_ISOLATED_TEST(NoDriver, IsSaid) {
    if (dlopen("libcuda.so.1", RTLD_NOW) != nullptr) return;
    for (int again = 0; again < 2; ++again) {
        testing::expect_error(
            Status::kNotSupported, [] { driver(); }, "no CUDA driver", "12.0", "libcuda.so.1");
    }
    EXPECT_EQ(loaded_driver(), nullptr);
}

}  // namespace
}  // namespace fp6llm::cuda
