// What the GEMM tests share: deterministic random numbers, memory with guarded edges, weights with
// a dense fp64 copy made apart from the library's own decoding, and the naive product in fp64.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "core/common/float16.hpp"
#include "core/formats/format.hpp"
#include "core/formats/plain_codes.hpp"
#include "core/gemm/plan.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif

namespace fp6llm::gemm_testing {

/// splitmix64: the same numbers everywhere.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t bits() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    int64_t below(int64_t count) {
        return static_cast<int64_t>(bits() % static_cast<uint64_t>(count));
    }
    /// Uniform in [low, high).
    double uniform(double low, double high) {
        return low + (high - low) * static_cast<double>(bits() >> 11) * 0x1p-53;
    }

  private:
    uint64_t state_;
};

/// `bytes` of 64-byte aligned memory, poisoned, between two zones that nobody may touch. The poison
/// (0xFF) is NaN in every floating type, so what is read from it shows up in results.
class GuardedBuffer {
  public:
    explicit GuardedBuffer(size_t bytes) : memory_(bytes + 2 * kZone + 64, kPoison), bytes_(bytes) {
        const auto address = reinterpret_cast<uintptr_t>(memory_.data()) + kZone;
        data_ = memory_.data() + kZone + (64 - address % 64) % 64;
        set_poison(true);
    }
    GuardedBuffer(const GuardedBuffer&) = delete;
    GuardedBuffer& operator=(const GuardedBuffer&) = delete;
    ~GuardedBuffer() { set_poison(false); }

    uint8_t* data() const { return data_; }
    size_t size() const { return bytes_; }
    bool edges_intact() {
        set_poison(false);
        bool intact = true;
        for (const uint8_t* p = memory_.data(); p < data_; ++p)
            intact &= *p == kPoison;
        const uint8_t* end = memory_.data() + memory_.size();
        for (const uint8_t* p = data_ + bytes_; p < end; ++p)
            intact &= *p == kPoison;
        set_poison(true);
        return intact;
    }
    std::vector<uint8_t> copy() const { return {data_, data_ + bytes_}; }

  private:
    static constexpr size_t kZone = 256;
    static constexpr uint8_t kPoison = 0xFF;

    /// Under AddressSanitizer, any access to the zones is an error by itself.
    void set_poison([[maybe_unused]] bool on) {
#if defined(ASAN_POISON_MEMORY_REGION)
        const uint8_t* end = memory_.data() + memory_.size();
        if (on) {
            ASAN_POISON_MEMORY_REGION(memory_.data(), data_ - memory_.data());
            ASAN_POISON_MEMORY_REGION(data_ + bytes_, end - (data_ + bytes_));
        } else {
            ASAN_UNPOISON_MEMORY_REGION(memory_.data(), memory_.size());
        }
#endif
    }

    std::vector<uint8_t> memory_;
    uint8_t* data_;
    size_t bytes_;
};

inline double read_float(const void* data, DataType type, int64_t index) {
    if (type == DataType::kF32) {
        float value;
        std::memcpy(&value, static_cast<const uint8_t*>(data) + index * 4, 4);
        return value;
    }
    uint16_t bits;
    std::memcpy(&bits, static_cast<const uint8_t*>(data) + index * 2, 2);
    return type == DataType::kF16 ? half_to_float(bits) : bf16_to_float(bits);
}

inline void write_float(void* data, DataType type, int64_t index, float value) {
    uint8_t* at = static_cast<uint8_t*>(data) + index * static_cast<int64_t>(float_bytes(type));
    if (type == DataType::kF32) {
        std::memcpy(at, &value, 4);
    } else {
        const uint16_t bits = type == DataType::kF16 ? float_to_half(value) : float_to_bf16(value);
        std::memcpy(at, &bits, 2);
    }
}

/// The value of `type` nearest to `value`. By search among the neighbours of the rounded fp32, so
/// that rounding twice cannot hide a mistake.
inline double round_to(DataType type, double value) {
    if (type == DataType::kF32 || std::isnan(value)) return static_cast<float>(value);
    uint16_t storage = 0;
    write_float(&storage, type, 0, static_cast<float>(std::fabs(value)));
    const uint16_t infinity = type == DataType::kF16 ? 0x7C00 : 0x7F80;
    double best = read_float(&storage, type, 0);
    uint16_t best_bits = storage;
    if (std::isinf(value) || std::isinf(best)) return std::copysign(best, value);
    for (int step : {-1, 1}) {
        const auto bits = static_cast<uint16_t>(storage + step);
        if (bits >= infinity) continue;
        const double candidate = read_float(&bits, type, 0);
        const double gain =
            std::fabs(best - std::fabs(value)) - std::fabs(candidate - std::fabs(value));
        if (gain > 0 || (gain == 0 && (best_bits & 1))) best = candidate, best_bits = bits;
    }
    return std::copysign(best, value);
}

inline const char* type_name(DataType type) {
    return type == DataType::kF32 ? "F32" : type == DataType::kF16 ? "F16" : "BF16";
}

/// How to draw a weight's scales: within a factor of 64; small or large ones; within a factor of 2; and
/// within 2^56, some MX ones NaN.
enum class Scales { kOrdinary, kTiny, kHuge, kClose, kFar };

/// How to draw its codes: any, or the largest magnitude with one sign per row.
enum class Codes { kAny, kLargest };

/// A weight of random codes and scales. Its blob is guarded, and `dense` is computed from the plain
/// codes, not from the blob.
class TestWeight {
  public:
    TestWeight(const QuantSpec& spec, int64_t rows, int64_t cols, uint64_t seed,
               Scales scales = Scales::kOrdinary, Codes codes = Codes::kAny);

    const Weight& weight() const { return *weight_; }
    const CpuWeightView& view() const { return weight_->cpu(); }
    const std::vector<uint8_t>& codes() const { return codes_; }
    double dense(int64_t row, int64_t col) const { return dense_[row * cols_ + col]; }
    /// What a code stands for, and the scale of a row's group.
    float value(int64_t row, int64_t col) const {
        return find_format(spec_.format)->values[codes_[row * cols_ + col]];
    }
    float scale(int64_t row, int64_t group) const {
        return scales_[row * spec_.groups(cols_) + group];
    }
    bool intact() { return blob_->edges_intact() && blob_->copy() == before_; }
    std::string describe() const;

  private:
    QuantSpec spec_;
    int64_t rows_, cols_;
    std::vector<uint8_t> codes_;  ///< one per byte, [rows, cols]
    std::vector<double> dense_;
    std::vector<float> scales_;  ///< [rows, groups]
    std::unique_ptr<GuardedBuffer> blob_;
    std::vector<uint8_t> before_;
    std::unique_ptr<Weight> weight_;
};

inline QuantSpec make_spec(DataType format, ScaleMode mode, int64_t group = 0) {
    QuantSpec spec;
    spec.format = format;
    spec.scale_mode = mode;
    spec.group_size = mode == ScaleMode::kMx ? 32 : group;
    if (mode == ScaleMode::kMx) spec.scale_type = DataType::kE8M0;
    return spec;
}

inline TestWeight::TestWeight(const QuantSpec& spec, int64_t rows, int64_t cols, uint64_t seed,
                              Scales scales, Codes codes)
    : spec_(spec), rows_(rows), cols_(cols), codes_(rows * cols), dense_(rows * cols) {
    Random random(seed);
    const FormatInfo& format = *find_format(spec.format);
    const bool mx = spec.scale_mode == ScaleMode::kMx;
    const int64_t groups = spec.groups(cols), row_bytes = spec.row_code_bytes(cols);
    std::vector<uint8_t> packed(rows * row_bytes + 1);
    std::vector<uint8_t> scale_bytes(rows * groups * (mx ? 1 : 4) + 1);
    const double exponent = scales == Scales::kTiny ? -124 : scales == Scales::kHuge ? 120 : 0;
    for (int64_t r = 0; r < rows; ++r) {
        // Of far ones, every third panel's or so are not: kernels that take two at a time meet both.
        const bool is_far =
            scales == Scales::kFar && (static_cast<uint64_t>(r) / 16 + seed) % 3 != 0;
        const int64_t exponents = scales == Scales::kClose ? 2 : is_far ? 56 : 6;
        const int64_t all = int64_t{1} << format.bits, largest = all / 2 - 1;
        for (int64_t c = 0; c < cols; ++c) {
            codes_[r * cols + c] = static_cast<uint8_t>(codes == Codes::kAny ? random.below(all)
                                                        : r % 2 == 0         ? largest
                                                                             : all - 1);
        }
        pack_codes(codes_.data() + r * cols, format.bits, cols, packed.data() + r * row_bytes);
        for (int64_t g = 0; g < groups; ++g) {
            double scale;
            if (mx) {
                int e8m0 =
                    static_cast<int>(124 + exponent) + static_cast<int>(random.below(exponents));
                if (is_far && random.below(100) == 0) e8m0 = 255;
                scale_bytes[r * groups + g] = static_cast<uint8_t>(e8m0);
                scale = e8m0 == 255 ? std::nan("") : std::ldexp(1.0, e8m0 - 127);
            } else {
                const double half = static_cast<double>(exponents) / 2;
                const auto value =
                    static_cast<float>(std::exp2(exponent + random.uniform(-half, half)));
                std::memcpy(scale_bytes.data() + (r * groups + g) * 4, &value, 4);
                scale = value;
            }
            scales_.push_back(static_cast<float>(scale));
            const int64_t group = spec.scale_mode == ScaleMode::kRow ? cols : spec.group_size;
            for (int64_t c = g * group; c < std::min(cols, (g + 1) * group); ++c) {
                dense_[r * cols + c] = scale * format.values[codes_[r * cols + c]];
            }
        }
    }
    SerialExecutor serial;
    blob_ = std::make_unique<GuardedBuffer>(Weight::blob_bytes(spec, rows, cols));
    Weight::pack_blob(spec, rows, cols, packed.data(), scale_bytes.data(), blob_->data(), serial);
    before_ = blob_->copy();
    weight_ = Weight::from_blob(blob_->data(), blob_->size());
}

inline std::string TestWeight::describe() const {
    return std::string(find_format(spec_.format)->name) + " " + std::to_string(rows_) + "x" +
           std::to_string(cols_) +
           (spec_.scale_mode == ScaleMode::kRow  ? " row"
            : spec_.scale_mode == ScaleMode::kMx ? " mx"
                                                 : " g" + std::to_string(spec_.group_size));
}

/// Activations [tokens, k] in guarded memory, plain or transposed, with padding between tokens.
class TestTokens {
  public:
    TestTokens(DataType type, int64_t tokens, int64_t k, bool transposed, int64_t pad)
        : type_(type),
          tokens_(tokens),
          k_(k),
          token_stride_(transposed ? 1 : k + pad),
          k_stride_(transposed ? tokens + pad : 1),
          buffer_(static_cast<size_t>((tokens - 1) * token_stride_ + (k - 1) * k_stride_ + 1) *
                  float_bytes(type)) {}

    void fill(Random& random, double magnitude = 1) {
        for (int64_t t = 0; t < tokens_; ++t) {
            for (int64_t i = 0; i < k_; ++i) {
                set(t, i, static_cast<float>(magnitude * random.uniform(-1, 1)));
            }
        }
    }
    void set(int64_t token, int64_t i, float value) {
        write_float(buffer_.data(), type_, token * token_stride_ + i * k_stride_, value);
    }
    double at(int64_t token, int64_t i) const {
        return read_float(buffer_.data(), type_, token * token_stride_ + i * k_stride_);
    }
    DataType type() const { return type_; }
    int64_t tokens() const { return tokens_; }
    TokenSource source() const { return {buffer_.data(), type_, k_, token_stride_, k_stride_}; }
    GuardedBuffer& buffer() { return buffer_; }

  private:
    DataType type_;
    int64_t tokens_, k_, token_stride_, k_stride_;
    GuardedBuffer buffer_;
};

/// One output of the naive product: the sum, and the sum of magnitudes that scales its error bound.
struct NaiveSum {
    double sum = 0, magnitude = 0;
};

inline NaiveSum naive_sum(const TestWeight& weight, bool transposed, const TestTokens& x,
                          int64_t token, int64_t output, int64_t k) {
    NaiveSum result;
    for (int64_t i = 0; i < k; ++i) {
        const double w = transposed ? weight.dense(i, output) : weight.dense(output, i);
        const double product = w * x.at(token, i);
        result.sum += product;
        result.magnitude += std::fabs(product);
    }
    return result;
}

}  // namespace fp6llm::gemm_testing
