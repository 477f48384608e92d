// What CUDA weights look like in memory: units against l3.hpp on the host, scales and padding
// against weight.hpp's picture, and the windows that rows are cut into.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/backend/backend.hpp"
#include "core/common/math.hpp"
#include "core/common/thread_pool.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/prepack/cuda/held_codes.hpp"
#include "core/prepack/cuda/weight.hpp"
#include "core/quantize/cuda/row_quantizer.hpp"
#include "tests/gpu/matrices.hpp"

namespace fp6llm::gpu_test {
namespace {

using cuda::CudaWeightView;
using cuda::L3Tag;

class GpuUnits : public testing::Test {
  protected:
    void SetUp() override {
        std::string why;
        if (cuda_device_count(&why) > 0) return;
        ASSERT_EQ(std::getenv("FP6LLM_TEST_NEEDS_GPU"), nullptr) << why;
        GTEST_SKIP() << why;
    }
};

/// Units of a weight, packed on the host, code by code.
std::vector<uint8_t> expected_units(const CudaWeightView& view, const std::vector<uint8_t>& plain) {
    const int bits = view.format->bits;
    const int64_t row_bytes = ceil_div(view.cols * bits, 8);
    const int64_t stride = view.k_units * cuda::kUnitCols;
    std::vector<uint8_t> codes(static_cast<size_t>(view.row_blocks * cuda::kUnitRows * stride));
    for (int64_t row = 0; row < view.rows; ++row) {
        uint8_t* to = codes.data() + row * stride;
        unpack_codes(plain.data() + row * row_bytes, bits, view.cols, to);
        for (int64_t col = 0; col < view.cols; ++col) {
            to[col] =
                static_cast<uint8_t>(cuda::hold_code(cuda::holding_of(view.format->type), to[col]));
        }
    }
    std::vector<uint8_t> units(
        static_cast<size_t>(view.row_blocks * view.k_units * cuda::kUnitBytes));
    for (int64_t unit = 0; unit < view.row_blocks * view.k_units; ++unit) {
        const uint8_t* from = codes.data() + unit / view.k_units * cuda::kUnitRows * stride +
                              unit % view.k_units * cuda::kUnitCols;
        for (int thread = 0; thread < cuda::kUnitThreads; ++thread) {
            for (int triple = 0; triple < 4; ++triple) {
                uint8_t of_triple[16];
                for (int i = 0; i < 16; ++i) {
                    const cuda::L3Place at{thread, triple, i / 2, i % 2};
                    of_triple[i] = from[cuda::l3_row(at) * stride + cuda::l3_col(at)];
                }
                uint32_t words[3];
                cuda::l3_pack_triple(view.tag, of_triple, words);
                for (int plane = 0; plane < 3; ++plane) {
                    std::memcpy(units.data() + unit * cuda::kUnitBytes +
                                    cuda::l3_word_offset(plane, thread, triple),
                                &words[plane], 4);
                }
            }
        }
    }
    return units;
}

/// Scales as weight.hpp draws them, from plain F32 or E8M0 ones.
std::vector<uint8_t> expected_scales(const CudaWeightView& view,
                                     const std::vector<uint8_t>& plain) {
    std::vector<uint8_t> out;
    const auto put_float = [&out](const uint8_t* from) {
        const float one = 1.0f;
        uint8_t bytes[4];
        std::memcpy(bytes, from != nullptr ? static_cast<const void*>(from) : &one, 4);
        out.insert(out.end(), bytes, bytes + 4);
    };
    const auto size = static_cast<int64_t>(view.scale_mode == ScaleMode::kMx ? 1 : 4);
    const auto find = [&](int64_t row, int64_t group) -> const uint8_t* {
        if (row >= view.rows || group >= view.groups) return nullptr;
        return plain.data() + (row * view.groups + group) * size;
    };
    for (int64_t block = 0; block < view.row_blocks; ++block) {
        if (view.scale_mode == ScaleMode::kMx) {
            for (int64_t unit = 0; unit < view.k_units; ++unit) {
                for (int64_t row = 64 * block; row < 64 * block + 64; ++row) {
                    for (int64_t g = 4 * unit; g < 4 * unit + 4; ++g) {
                        const uint8_t* from = find(row, g);
                        out.push_back(from != nullptr ? *from : 127);
                    }
                }
            }
        } else {
            for (int64_t g = 0; g < view.groups; ++g) {
                for (int64_t row = 64 * block; row < 64 * block + 64; ++row)
                    put_float(find(row, g));
            }
        }
    }
    return out;
}

QuantSpec make_spec(DataType format, ScaleMode mode, int64_t group) {
    QuantSpec spec;
    spec.format = format;
    spec.scale_mode = mode;
    spec.group_size = group;
    spec.scale_type = mode == ScaleMode::kMx ? DataType::kE8M0 : DataType::kF32;
    return spec;
}

TEST_F(GpuUnits, FromFloatsAreThePictures) {
    cuda::DeviceContext context(0);
    const cuda::Queue queue(context, cuda::device_properties(0), nullptr);
    PoolExecutor executor(1);
    const int64_t rows = 70, cols = 300;
    for (const QuantSpec& spec : {make_spec(DataType::kE3M2, ScaleMode::kRow, 0),
                                  make_spec(DataType::kE2M3, ScaleMode::kGroup, 32),
                                  make_spec(DataType::kE2M2, ScaleMode::kMx, 32),
                                  make_spec(DataType::kE3M1, ScaleMode::kGroup, 128),
                                  make_spec(DataType::kE2M1, ScaleMode::kGroup, 72)}) {
        for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBF16}) {
            const Matrix w = make_matrix(static_cast<fp6llmDataType_t>(type), rows, cols, cols,
                                         Values::kFinite, 9);
            const QuantSizes sizes = quant_sizes(spec, rows, cols);
            std::vector<uint8_t> codes(sizes.code_bytes), scales(sizes.scale_bytes);
            quantize(spec, {w.bytes.data(), type, rows, cols, cols}, codes.data(), scales.data(),
                     nullptr, executor);

            const cuda::DeviceBuffer on_device = queue.allocate(w.bytes.size());
            cuda::copy_to_device(on_device.data(), w.bytes.data(), w.bytes.size(), queue.stream());
            const auto weight =
                cuda::Weight::from_floats(queue, spec, {on_device.data(), type, rows, cols, cols});
            const CudaWeightView& view = weight->view();
            EXPECT_EQ(view.tag, type == DataType::kBF16 ? L3Tag::kBF16 : L3Tag::kF16);
            EXPECT_EQ(view.row_blocks, 2);
            EXPECT_EQ(view.k_units, 3);
            const std::vector<uint8_t> units = expected_units(view, codes);
            const std::vector<uint8_t> held = expected_scales(view, scales);
            EXPECT_EQ(static_cast<const uint8_t*>(view.scales) - view.units,
                      static_cast<ptrdiff_t>(units.size()));
            std::vector<uint8_t> got(units.size()), got_scales(held.size());
            cuda::copy_to_host(got.data(), view.units, got.size(), queue.stream());
            cuda::copy_to_host(got_scales.data(), view.scales, got_scales.size(), queue.stream());
            queue.synchronize();
            EXPECT_TRUE(got == units) << view.format->name << " " << static_cast<int>(type);
            EXPECT_TRUE(got_scales == held) << view.format->name << " " << static_cast<int>(type);

            const auto from_codes = [&] {
                const cuda::DeviceBuffer plain = queue.allocate(codes.size());
                const cuda::DeviceBuffer plain_scales = queue.allocate(scales.size());
                cuda::copy_to_device(plain.data(), codes.data(), codes.size(), queue.stream());
                cuda::copy_to_device(plain_scales.data(), scales.data(), scales.size(),
                                     queue.stream());
                return cuda::Weight::from_codes(queue, spec, rows, cols,
                                                static_cast<const uint8_t*>(plain.data()),
                                                plain_scales.data());
            }();
            EXPECT_EQ(from_codes->view().tag, L3Tag::kF16);
            const std::vector<uint8_t> f16_units = expected_units(from_codes->view(), codes);
            cuda::copy_to_host(got.data(), from_codes->view().units, got.size(), queue.stream());
            cuda::copy_to_host(got_scales.data(), from_codes->view().scales, got_scales.size(),
                               queue.stream());
            queue.synchronize();
            EXPECT_TRUE(got == f16_units);
            EXPECT_TRUE(got_scales == held);
        }
    }
}

TEST(RowsLaunch, WindowsAreWholeGroupsAndUnits) {
    constexpr size_t kShared = 163 * 1024;
    constexpr cuda::OutputShape kPlain{1, 8, cuda::kCodeBuffer}, kUnits{2, 128, 0};
    QuantSpec spec = make_spec(DataType::kE3M2, ScaleMode::kRow, 0);
    for (const int64_t cols : {1, 7, 128, 4097, 28672, 151936, 1 << 30}) {
        for (const auto& output : {kPlain, kUnits}) {
            const cuda::RowsLaunch launch = plan_rows(spec, cols, 2, output, kShared);
            EXPECT_EQ(launch.windows, ceil_div(cols, launch.window));
            EXPECT_EQ(launch.window % output.step, 0);
            EXPECT_LE(launch.shared_bytes, kShared);
            EXPECT_EQ(launch.threads % 32, 0);
            if (cols <= 28672) {
                EXPECT_EQ(launch.windows, 1) << "read once";
            }
        }
    }
    spec = make_spec(DataType::kE3M2, ScaleMode::kGroup, 0);
    for (spec.group_size = 16; spec.group_size <= 4096; spec.group_size += 8) {
        const cuda::RowsLaunch plain = plan_rows(spec, 1 << 20, 4, kPlain, kShared);
        EXPECT_EQ(plain.window % spec.group_size, 0);
        EXPECT_LE(plain.shared_bytes, kShared);
        const cuda::RowsLaunch units = plan_rows(spec, 1 << 20, 4, kUnits, kShared);
        if (units.windows == 0) {
            EXPECT_GT(spec.group_size, 128) << "usual groups go straight to units";
            continue;
        }
        EXPECT_EQ(units.window % spec.group_size, 0);
        EXPECT_EQ(units.window % 128, 0);
    }
}

}  // namespace
}  // namespace fp6llm::gpu_test
