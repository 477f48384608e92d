// fp6llm.hpp - RAII, exceptions and spans over fp6llm.h, and nothing else.
//
// Header-only, C++17. Every wrapper is the size of the pointer it owns; every call is one C call.
// See fp6llm.h for what the calls compute, shapes, units and errors.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef FP6LLM_FP6LLM_HPP_
#define FP6LLM_FP6LLM_HPP_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "fp6llm/fp6llm.h"

namespace fp6llm {
// Inline, so that programs which link the static library keep these apart from the core's own
// names.
inline namespace api {

/// A failed call: its status, and the detail text as what().
class Exception : public std::runtime_error {
  public:
    Exception(fp6llmStatus_t status, const std::string& detail)
        : std::runtime_error(detail), status_(status) {}
    fp6llmStatus_t status() const noexcept { return status_; }

  private:
    fp6llmStatus_t status_;
};

/// Throws Exception, with this thread's detail text, unless status is SUCCESS.
inline void check(fp6llmStatus_t status) {
    if (status == FP6LLM_STATUS_SUCCESS) return;
    char detail[512] = "";
    fp6llmGetLastErrorString(detail, sizeof detail, nullptr);
    throw Exception(status, std::string(fp6llmGetStatusName(status)) + ": " + detail);
}

/// A pointer and a count; converts from containers with data() and size() (std::span is C++20).
template <typename T>
class Span {
  public:
    constexpr Span() noexcept = default;
    constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <typename Container, typename = decltype(std::declval<Container&>().data())>
    constexpr Span(Container& container) noexcept  // NOLINT(google-explicit-constructor)
        : data_(container.data()), size_(container.size()) {}
    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

/// The fp6llmDataType_t of a C++ element type. float is known; specialize it for your half types.
template <typename T>
struct DataTypeOf;
template <>
struct DataTypeOf<float> {
    static constexpr fp6llmDataType_t value = FP6LLM_R_32F;
};

namespace detail {

/// Sole owner of a C object.
template <typename Pointer, fp6llmStatus_t (*kDestroy)(Pointer)>
class Owner {
  public:
    Owner() noexcept = default;
    explicit Owner(Pointer pointer) noexcept : pointer_(pointer) {}
    Owner(Owner&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
    Owner& operator=(Owner&& other) noexcept {
        std::swap(pointer_, other.pointer_);
        return *this;
    }
    ~Owner() { kDestroy(pointer_); }
    Pointer get() const noexcept { return pointer_; }
    Pointer release() noexcept { return std::exchange(pointer_, nullptr); }

  private:
    Pointer pointer_ = nullptr;
};

inline void check_size(std::size_t have, std::size_t need, const char* name) {
    if (have < need) {
        throw Exception(FP6LLM_STATUS_INVALID_VALUE, std::string(name) + " has " +
                                                         std::to_string(have) + " of " +
                                                         std::to_string(need) + " elements needed");
    }
}

/// Elements from the first to the last of `vectors` runs of `length`, `ld` apart.
inline std::size_t extent(int64_t vectors, int64_t length, int64_t ld) {
    return vectors <= 0 || length <= 0 ? 0 : static_cast<std::size_t>((vectors - 1) * ld + length);
}

}  // namespace detail

/// Bytes of plain codes and scales.
struct QuantSizes {
    std::size_t code_bytes;
    std::size_t scale_bytes;
};

inline QuantSizes quant_sizes(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols) {
    QuantSizes sizes{};
    check(fp6llmQuantGetSizes(&config, rows, cols, &sizes.code_bytes, &sizes.scale_bytes));
    return sizes;
}

/// Owns an fp6llmHandle_t. One thread at a time.
class Handle {
  public:
    Handle() {
        fp6llmHandle_t handle = nullptr;
        check(fp6llmCreate(&handle));
        owner_ = Owner(handle);
    }
    explicit Handle(const fp6llmHandleConfig_t& config) {
        fp6llmHandle_t handle = nullptr;
        check(fp6llmCreateWithConfig(&handle, &config));
        owner_ = Owner(handle);
    }
    fp6llmHandle_t get() const noexcept { return owner_.get(); }

    void set_num_threads(int threads) { check(fp6llmSetNumThreads(get(), threads)); }
    int num_threads() const {
        int threads = 0;
        check(fp6llmGetNumThreads(get(), &threads));
        return threads;
    }
    fp6llmBackend_t backend() const {
        fp6llmBackend_t backend = FP6LLM_BACKEND_AUTO;
        check(fp6llmGetBackend(get(), &backend));
        return backend;
    }

    /// Quantizes row-major W [rows, cols] (dense); returns statistics.
    template <typename T>
    fp6llmQuantStats_t quantize(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols,
                                Span<const T> w, Span<uint8_t> codes, void* scales) {
        detail::check_size(w.size(), detail::extent(rows, cols, cols), "w");
        detail::check_size(codes.size(), quant_sizes(config, rows, cols).code_bytes, "codes");
        fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
        check(fp6llmQuantize(get(), &config, rows, cols, w.data(), DataTypeOf<T>::value,
                             cols > 1 ? cols : 1, codes.data(), scales, &stats));
        return stats;
    }

  private:
    using Owner = detail::Owner<fp6llmHandle_t, fp6llmDestroy>;
    Owner owner_;
};

/// Owns an fp6llmWeight_t. Immutable; share it between threads freely.
class Weight {
  public:
    /// Takes ownership of what a C call made.
    explicit Weight(fp6llmWeight_t weight) noexcept : owner_(weight) {}

    /// Quantizes and prepacks row-major W [rows, cols] (dense).
    template <typename T>
    static Weight from_floats(Handle& handle, const fp6llmQuantConfig_t& config, int64_t rows,
                              int64_t cols, Span<const T> w) {
        detail::check_size(w.size(), detail::extent(rows, cols, cols), "w");
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreate(handle.get(), &config, rows, cols, w.data(), DataTypeOf<T>::value,
                                 cols > 1 ? cols : 1, &weight));
        return Weight(weight);
    }

    /// Prepacks plain codes and scales.
    static Weight from_codes(Handle& handle, const fp6llmQuantConfig_t& config, int64_t rows,
                             int64_t cols, Span<const uint8_t> codes, const void* scales) {
        detail::check_size(codes.size(), quant_sizes(config, rows, cols).code_bytes, "codes");
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreateFromCodes(handle.get(), &config, rows, cols, codes.data(), scales,
                                          &weight));
        return Weight(weight);
    }

    /// A weight over a blob that outlives it.
    static Weight view(Handle& handle, Span<const uint8_t> blob) {
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreateView(handle.get(), blob.data(), blob.size(), &weight));
        return Weight(weight);
    }

    fp6llmWeight_t get() const noexcept { return owner_.get(); }
    fp6llmWeightInfo_t info() const {
        fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
        check(fp6llmWeightGetInfo(get(), &info));
        return info;
    }

    /// Y [tokens, OC] = X [tokens, IC] W^T, row-major and dense, with an optional epilogue.
    template <typename X, typename Y>
    void linear(Handle& handle, int64_t tokens, Span<const X> x, Span<Y> y,
                const fp6llmEpilogue_t* epilogue = nullptr) const {
        const fp6llmWeightInfo_t shape = info();
        detail::check_size(x.size(), detail::extent(tokens, shape.cols, shape.cols), "x");
        detail::check_size(y.size(), detail::extent(tokens, shape.rows, shape.rows), "y");
        check(fp6llmLinear(handle.get(), tokens, x.data(), DataTypeOf<X>::value,
                           shape.cols > 1 ? shape.cols : 1, get(), epilogue, y.data(),
                           DataTypeOf<Y>::value, shape.rows > 1 ? shape.rows : 1));
    }

  private:
    detail::Owner<fp6llmWeight_t, fp6llmWeightDestroy> owner_;
};

}  // namespace api
}  // namespace fp6llm

#endif  // FP6LLM_FP6LLM_HPP_
