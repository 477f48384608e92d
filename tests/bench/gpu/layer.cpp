// See layer.hpp.
#include "tests/bench/gpu/layer.hpp"

#include <algorithm>
#include <stdexcept>

#include "core/common/float16.hpp"
#include "tests/bench/matrices.hpp"

namespace fp6llm::bench {
namespace {

constexpr size_t kBlock = 4'194'301;  // the largest prime below 2^22

}  // namespace

std::vector<int64_t> spread(int64_t count, int64_t of) {
    std::vector<int64_t> picked;
    count = std::min(count, of);
    for (int64_t i = 0; i < count; ++i)
        picked.push_back(i * (of - 1) / std::max<int64_t>(1, count - 1));
    return picked;
}

RandomMatrix::RandomMatrix(Gpu& gpu, fp6llmDataType_t type, int64_t rows, int64_t cols,
                           float deviation, uint64_t seed)
    : rows_(rows), cols_(cols), device_(gpu, static_cast<size_t>(rows * cols) * 2) {
    const size_t count = static_cast<size_t>(rows * cols), block = std::min(count, kBlock);
    block_ = random_values(block, deviation, seed);
    std::vector<uint16_t> bits(block);
    for (size_t i = 0; i < block; ++i) {
        bits[i] = type == FP6LLM_R_16F ? float_to_half(block_[i]) : float_to_bf16(block_[i]);
        block_[i] = type == FP6LLM_R_16F ? half_to_float(bits[i]) : bf16_to_float(bits[i]);
    }
    gpu.upload(device_.data(), bits.data(), block * 2);
    for (size_t done = block; done < count;) {  // doubling
        const size_t more = std::min(done, count - done);
        gpu.copy(device_.data() + done * 2, device_.data(), more * 2);
        done += more;
    }
    gpu.synchronize();
}

std::vector<float> RandomMatrix::row(int64_t row) const {
    std::vector<float> values(static_cast<size_t>(cols_));
    for (int64_t c = 0; c < cols_; ++c)
        values[static_cast<size_t>(c)] = static_cast<float>(at(row, c));
    return values;
}

GpuCopies::GpuCopies(Gpu& gpu, const void* data, size_t bytes, size_t total) {
    const size_t count = std::max<size_t>(1, (total + bytes - 1) / std::max<size_t>(1, bytes));
    for (size_t i = 0; i < count; ++i) {
        copies_.emplace_back(gpu, bytes);
        gpu.copy(copies_.back().data(), data, bytes);
    }
    gpu.synchronize();
}

PackedLayer::PackedLayer(Gpu& gpu, Handle& handle, Handle& cpu, const Format& format,
                         const RandomMatrix& w, const std::vector<int64_t>& checked_rows,
                         size_t total)
    : name_(format.name), sizes_(quant_sizes(format.config, w.rows(), w.cols())) {
    const int64_t rows = w.rows(), cols = w.cols();
    const GpuBuffer codes(gpu, sizes_.code_bytes), scales(gpu, sizes_.scale_bytes);
    gpu.fill(codes.data(), 0xFF, codes.size());
    gpu.fill(scales.data(), 0xFF, scales.size());
    check(fp6llmQuantize(handle.get(), &format.config, rows, cols, w.data(), FP6LLM_R_16F, cols,
                         codes.data(), scales.data(), nullptr));
    size_t bytes = 0;
    check(fp6llmWeightGetBlobSize(handle.get(), &format.config, rows, cols, &bytes));
    const GpuBuffer blob(gpu, bytes);
    gpu.fill(blob.data(), 0xFF, bytes);
    check(fp6llmWeightPackBlob(handle.get(), &format.config, rows, cols, codes.data(),
                               scales.data(), blob.data(), bytes));
    copies_ = std::make_unique<GpuCopies>(gpu, blob.data(), bytes, total);
    for (int64_t i = 0; i < copies_->count(); ++i)
        views_.push_back(Weight::view(handle, Bytes(copies_->copy(i), bytes)));

    const size_t row_codes = sizes_.code_bytes / static_cast<size_t>(rows);
    const size_t row_scales = sizes_.scale_bytes / static_cast<size_t>(rows);
    checked_.rows = checked_rows;
    std::vector<uint8_t> own_codes(row_codes), cpu_codes(row_codes);
    std::vector<float> own_scales((row_scales + 3) / 4), cpu_scales(own_scales.size());
    std::vector<float> values(static_cast<size_t>(cols));
    for (const int64_t row : checked_rows) {
        const auto at = static_cast<size_t>(row);
        gpu.download(own_codes.data(), codes.data() + at * row_codes, row_codes);
        gpu.download(own_scales.data(), scales.data() + at * row_scales, row_scales);
        const std::vector<float> floats = w.row(row);
        check(fp6llmQuantize(cpu.get(), &format.config, 1, cols, floats.data(), FP6LLM_R_32F, cols,
                             cpu_codes.data(), cpu_scales.data(), nullptr));
        if (own_codes != cpu_codes || own_scales != cpu_scales) {
            throw std::runtime_error(name_ + ": row " + std::to_string(row) +
                                     " is not quantized as on the CPU");
        }
        check(fp6llmDequantize(cpu.get(), &format.config, 1, cols, own_codes.data(),
                               own_scales.data(), values.data(), FP6LLM_R_32F, cols));
        checked_.values.insert(checked_.values.end(), values.begin(), values.end());
    }
}

}  // namespace fp6llm::bench
