// Encoding against the host conversions of CUDA's own headers: E3M2, E2M3 and E2M1, to nearest
// even.
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <gtest/gtest.h>

#include <random>

#include "core/common/float16.hpp"
#include "core/formats/format.hpp"
#include "tests/unit/formats/nearest.hpp"

namespace fp6llm {
namespace {

int cuda_code(DataType type, float value) {
    if (type == DataType::kE2M1) return __nv_cvt_float_to_fp4(value, __NV_E2M1, cudaRoundNearest);
    return __nv_cvt_float_to_fp6(value, type == DataType::kE3M2 ? __NV_E3M2 : __NV_E2M3,
                                 cudaRoundNearest);
}

void expect_cudas_code(float value) {
    for (const DataType type : {DataType::kE3M2, DataType::kE2M3, DataType::kE2M1}) {
        ASSERT_EQ(encode(*find_format(type), value, Rounding::kNearestEven), cuda_code(type, value))
            << find_format(type)->name << " " << value << " bits " << float_bits(value);
    }
}

TEST(CudaHostConversions, EveryHalfAndEveryBf16) {
    for (int bits = 0; bits < 65536; ++bits) {
        ASSERT_NO_FATAL_FAILURE(expect_cudas_code(half_to_float(static_cast<uint16_t>(bits))));
        ASSERT_NO_FATAL_FAILURE(expect_cudas_code(bf16_to_float(static_cast<uint16_t>(bits))));
    }
}

TEST(CudaHostConversions, EveryBoundary) {
    for (const FormatInfo& format : all_formats()) {
        for (const float value : test::boundary_floats(format))
            ASSERT_NO_FATAL_FAILURE(expect_cudas_code(value));
    }
}

TEST(CudaHostConversions, TenMillionFloats) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> in_range(-30.0f, 30.0f);
    for (int i = 0; i < 5000000; ++i) {
        ASSERT_NO_FATAL_FAILURE(expect_cudas_code(in_range(random)));
        ASSERT_NO_FATAL_FAILURE(
            expect_cudas_code(float_from_bits(static_cast<uint32_t>(random()))));
    }
}

}  // namespace
}  // namespace fp6llm
