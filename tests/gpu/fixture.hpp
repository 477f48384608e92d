// One CPU and one CUDA handle; a test fails if the emulated GPU found anything wrong with a kernel.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/gpu/device.hpp"

namespace fp6llm::gpu_test {

class GpuTest : public testing::Test {
  protected:
    void SetUp() override {
        cuda_ = make_handle(FP6LLM_BACKEND_CUDA);
        if (cuda_ == nullptr) {
            // Where CTest brings the emulated GPU along, there is no excuse.
            ASSERT_EQ(std::getenv("FP6LLM_TEST_NEEDS_GPU"), nullptr) << last_error();
            GTEST_SKIP() << last_error();
        }
        cpu_ = make_handle(FP6LLM_BACKEND_CPU);
        ASSERT_NE(cpu_, nullptr) << last_error();
        Driver::get().clear_findings();
        Driver::get().set_seed(1);
    }
    void TearDown() override {
        if (cuda_ == nullptr) return;
        EXPECT_EQ(Driver::get().finding_count(), 0u) << Driver::get().findings();
    }

    fp6llmHandle_t cpu() const { return cpu_.get(); }
    fp6llmHandle_t cuda() const { return cuda_.get(); }

  private:
    Handle cpu_, cuda_;
};

}  // namespace fp6llm::gpu_test
