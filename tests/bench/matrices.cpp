// See matrices.hpp.
#include "tests/bench/matrices.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fp6llm::bench {

std::vector<float> random_values(size_t count, float deviation, uint64_t seed) {
    // The sum of four uniform 16-bit numbers has a deviation of 65536 / sqrt(3).
    const float unit = deviation * 1.7320508f / 65536.0f;
    std::vector<float> values(count);
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (float& value : values) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const uint64_t sum = (state & 0xFFFF) + (state >> 16 & 0xFFFF) + (state >> 32 & 0xFFFF) +
                             (state >> 48 & 0xFFFF);
        value = static_cast<float>(static_cast<int64_t>(sum) - 2 * 65535) * unit;
    }
    return values;
}

std::vector<uint16_t> to_halfs(const std::vector<float>& values) {
    std::vector<uint16_t> halfs(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
        uint32_t bits;
        std::memcpy(&bits, &values[i], sizeof bits);
        const uint32_t exponent = bits >> 23 & 0xFF;
        const uint32_t magnitude = exponent <= 112 ? 0 : (bits & 0x7FFFFFFF) - (112u << 23);
        halfs[i] = static_cast<uint16_t>((bits >> 16 & 0x8000) | magnitude >> 13);
    }
    return halfs;
}

void AlignedFloats::Free::operator()(float* data) const noexcept {
    std::free(data);
}

AlignedFloats::AlignedFloats(size_t count)
    : size_(count),
      data_(static_cast<float*>(std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64))) {
    if (!data_) throw std::bad_alloc();
}

AlignedFloats::AlignedFloats(const std::vector<float>& values) : AlignedFloats(values.size()) {
    std::copy(values.begin(), values.end(), data());
}

Copies::Copies(const void* block, size_t bytes, size_t total)
    : bytes_(bytes),
      stride_(((bytes + 63) / 64 | 1) * 64),
      count_(static_cast<int64_t>(std::max<size_t>(1, (total + bytes - 1) / bytes))) {
    const size_t size = stride_ * static_cast<size_t>(count_);
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    madvise(memory, size, MADV_HUGEPAGE);
    base_ = static_cast<uint8_t*>(memory);
    for (int64_t i = 0; i < count_; ++i) {
        std::memcpy(base_ + static_cast<size_t>(i) * stride_, block, bytes);
    }
}

Copies::~Copies() {
    if (base_) munmap(base_, stride_ * static_cast<size_t>(count_));
}

}  // namespace fp6llm::bench
