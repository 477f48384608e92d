// fp6llm.hpp - RAII, exceptions and spans over fp6llm.h, and nothing else.
//
// Header-only, C++17. Every wrapper is the size of the pointer it owns; every function is one C call,
// plus the checks that spans allow: too short a span throws INVALID_VALUE before the call. See
// fp6llm.h for what the calls compute, shapes, units and errors.
//
// Leading dimensions come last and default to 0 = dense. Spans of a CUDA handle's calls may hold
// device pointers: they are passed on, never read.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef FP6LLM_FP6LLM_HPP_
#define FP6LLM_FP6LLM_HPP_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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
    template <typename Container,
              typename = std::enable_if_t<std::is_convertible_v<
                  std::remove_pointer_t<decltype(std::declval<Container&>().data())> (*)[],
                  T (*)[]>>>
    constexpr Span(Container& container) noexcept  // NOLINT(google-explicit-constructor)
        : data_(container.data()), size_(container.size()) {}
    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }

  private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};
template <typename Container>
Span(Container& container) -> Span<std::remove_pointer_t<decltype(container.data())>>;

/// Memory of some type, counted in bytes: codes, scales, packed buffers, blobs. `Void` is void or
/// const void. Converts from containers of any element type.
template <typename Void>
class ByteSpan {
  public:
    constexpr ByteSpan() noexcept = default;
    constexpr ByteSpan(Void* data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <typename Other, typename = std::enable_if_t<std::is_convertible_v<Other*, Void*>>>
    constexpr ByteSpan(ByteSpan<Other> bytes) noexcept  // NOLINT(google-explicit-constructor)
        : data_(bytes.data()), size_(bytes.size()) {}
    template <typename Container,
              typename Element = std::remove_pointer_t<decltype(std::declval<Container&>().data())>,
              typename = std::enable_if_t<std::is_convertible_v<Element*, Void*> &&
                                          !std::is_void_v<Element>>>
    constexpr ByteSpan(Container&& container) noexcept  // NOLINT(google-explicit-constructor)
        : data_(container.data()), size_(container.size() * sizeof(Element)) {}
    constexpr Void* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

  private:
    Void* data_ = nullptr;
    std::size_t size_ = 0;
};
using Bytes = ByteSpan<const void>;
using MutableBytes = ByteSpan<void>;

/// The fp6llmDataType_t of a C++ element type. float is known; specialize it for your half types.
template <typename T>
struct DataTypeOf;
template <>
struct DataTypeOf<float> {
    static constexpr fp6llmDataType_t value = FP6LLM_R_32F;
};
template <typename T>
struct DataTypeOf<const T> : DataTypeOf<T> {};

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
        throw Exception(FP6LLM_STATUS_INVALID_VALUE, std::string(name) + " has size " +
                                                         std::to_string(have) + " < " +
                                                         std::to_string(need) + " needed");
    }
}

/// A leading dimension: as given, or dense.
inline int64_t leading(int64_t ld, int64_t length) noexcept {
    return ld != 0 ? ld : length > 1 ? length : 1;
}

/// Sees that a span reaches to the last of `vectors` runs of `length` elements, `ld` apart. What is
/// wrong with the numbers themselves, the C call says better.
inline void check_matrix(std::size_t have, int64_t vectors, int64_t length, int64_t ld,
                         const char* name) {
    if (vectors <= 0 || length <= 0 || ld < length) return;
    if (vectors - 1 > (INT64_MAX - length) / ld) return;
    check_size(have, static_cast<std::size_t>((vectors - 1) * ld + length), name);
}

/// What a function of the "Text out" group says.
template <typename Call>
std::string text(Call call) {
    std::size_t needed = 0;
    check(call(nullptr, std::size_t{0}, &needed));
    std::string out(needed, '\0');
    check(call(&out[0], out.size(), nullptr));
    out.resize(std::strlen(out.c_str()));
    return out;
}

}  // namespace detail

// --- Library

/// 10000 * major + 100 * minor + patch of the library, which may be newer than this header.
inline int version() {
    int version = 0;
    check(fp6llmGetVersion(&version));
    return version;
}

/// JSON.
inline std::string build_info() {
    return detail::text(fp6llmGetBuildInfo);
}

inline int device_count(fp6llmBackend_t backend) {
    int count = 0;
    check(fp6llmGetDeviceCount(backend, &count));
    return count;
}

inline fp6llmDeviceInfo_t device_info(fp6llmBackend_t backend, int ordinal = 0) {
    fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
    check(fp6llmGetDeviceInfo(backend, ordinal, &info));
    return info;
}

inline void set_logger(fp6llmLogCallback_t callback, void* user = nullptr) {
    check(fp6llmSetLogger(callback, user));
}

// --- Sizes

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

/// Bytes of a published layout and of its scales.
struct PackedSizes {
    std::size_t packed_bytes;
    std::size_t scale_bytes;
};

inline PackedSizes packed_sizes(fp6llmPackedLayout_t layout, const fp6llmQuantConfig_t& config,
                                int64_t rows, int64_t cols) {
    PackedSizes sizes{};
    check(
        fp6llmPackedGetSizes(layout, &config, rows, cols, &sizes.packed_bytes, &sizes.scale_bytes));
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

    fp6llmBackend_t backend() const {
        fp6llmBackend_t backend = FP6LLM_BACKEND_AUTO;
        check(fp6llmGetBackend(get(), &backend));
        return backend;
    }
    void set_num_threads(int threads) { check(fp6llmSetNumThreads(get(), threads)); }
    int num_threads() const {
        int threads = 0;
        check(fp6llmGetNumThreads(get(), &threads));
        return threads;
    }
    void set_stream(fp6llmStream_t stream) { check(fp6llmSetStream(get(), stream)); }
    fp6llmStream_t stream() const {
        fp6llmStream_t stream = nullptr;
        check(fp6llmGetStream(get(), &stream));
        return stream;
    }
    void set_pointer_mode(fp6llmPointerMode_t mode) { check(fp6llmSetPointerMode(get(), mode)); }
    fp6llmPointerMode_t pointer_mode() const {
        fp6llmPointerMode_t mode = FP6LLM_POINTER_MODE_HOST;
        check(fp6llmGetPointerMode(get(), &mode));
        return mode;
    }
    /// Lends memory, aligned to 64 bytes, until replaced; an empty span takes it back.
    void set_workspace(MutableBytes workspace) {
        check(fp6llmSetWorkspace(get(), workspace.data(), workspace.size()));
    }
    void set_parallel_for(fp6llmParallelFor_t parallel_for, void* user = nullptr) {
        check(fp6llmSetParallelFor(get(), parallel_for, user));
    }
    /// Detail of the last call that failed with this handle, on whichever thread.
    std::string error_text() const {
        return detail::text([this](char* buffer, std::size_t size, std::size_t* needed) {
            return fp6llmGetErrorString(get(), buffer, size, needed);
        });
    }

    /// Quantizes row-major W [rows, cols]; returns statistics.
    template <typename T>
    fp6llmQuantStats_t quantize(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols,
                                Span<T> w, MutableBytes codes, MutableBytes scales,
                                int64_t ldw = 0) {
        const QuantSizes sizes = quant_sizes(config, rows, cols);
        ldw = detail::leading(ldw, cols);
        detail::check_matrix(w.size(), rows, cols, ldw, "w");
        detail::check_size(codes.size(), sizes.code_bytes, "codes");
        detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        fp6llmQuantStats_t stats = FP6LLM_QUANT_STATS_INIT;
        check(fp6llmQuantize(get(), &config, rows, cols, w.data(), DataTypeOf<T>::value, ldw,
                             codes.data(), scales.data(), &stats));
        return stats;
    }

    /// The row-major W [rows, cols] that codes and scales stand for.
    template <typename T>
    void dequantize(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols, Bytes codes,
                    Bytes scales, Span<T> w, int64_t ldw = 0) {
        const QuantSizes sizes = quant_sizes(config, rows, cols);
        ldw = detail::leading(ldw, cols);
        detail::check_size(codes.size(), sizes.code_bytes, "codes");
        detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        detail::check_matrix(w.size(), rows, cols, ldw, "w");
        check(fp6llmDequantize(get(), &config, rows, cols, codes.data(), scales.data(), w.data(),
                               DataTypeOf<T>::value, ldw));
    }

    /// Bytes of a blob.
    std::size_t blob_size(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols) const {
        std::size_t bytes = 0;
        check(fp6llmWeightGetBlobSize(get(), &config, rows, cols, &bytes));
        return bytes;
    }

    /// Prepacks plain codes and scales into `blob`, aligned to FP6LLM_BLOB_ALIGNMENT.
    void pack_blob(const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols, Bytes codes,
                   Bytes scales, MutableBytes blob) {
        const QuantSizes sizes = quant_sizes(config, rows, cols);
        detail::check_size(codes.size(), sizes.code_bytes, "codes");
        detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        check(fp6llmWeightPackBlob(get(), &config, rows, cols, codes.data(), scales.data(),
                                   blob.data(), blob.size()));
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

    /// Quantizes and prepacks row-major W [rows, cols].
    template <typename T>
    static Weight from_floats(Handle& handle, const fp6llmQuantConfig_t& config, int64_t rows,
                              int64_t cols, Span<T> w, int64_t ldw = 0) {
        ldw = detail::leading(ldw, cols);
        detail::check_matrix(w.size(), rows, cols, ldw, "w");
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreate(handle.get(), &config, rows, cols, w.data(), DataTypeOf<T>::value,
                                 ldw, &weight));
        return Weight(weight);
    }

    /// Prepacks plain codes and scales.
    static Weight from_codes(Handle& handle, const fp6llmQuantConfig_t& config, int64_t rows,
                             int64_t cols, Bytes codes, Bytes scales) {
        const QuantSizes sizes = quant_sizes(config, rows, cols);
        detail::check_size(codes.size(), sizes.code_bytes, "codes");
        detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreateFromCodes(handle.get(), &config, rows, cols, codes.data(),
                                          scales.data(), &weight));
        return Weight(weight);
    }

    /// Prepacks a buffer in a published layout.
    static Weight from_packed(Handle& handle, fp6llmPackedLayout_t layout,
                              const fp6llmQuantConfig_t& config, int64_t rows, int64_t cols,
                              Bytes packed, Bytes scales) {
        const PackedSizes sizes = packed_sizes(layout, config, rows, cols);
        detail::check_size(packed.size(), sizes.packed_bytes, "packed");
        detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        fp6llmWeight_t weight = nullptr;
        check(fp6llmWeightCreateFromPacked(handle.get(), layout, &config, rows, cols, packed.data(),
                                           scales.data(), &weight));
        return Weight(weight);
    }

    /// A weight over a blob that outlives it.
    static Weight view(Handle& handle, Bytes blob) {
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

    /// Gives back plain codes and scales; an empty span leaves its part out.
    void export_codes(Handle& handle, MutableBytes codes, MutableBytes scales) const {
        const fp6llmWeightInfo_t sizes = info();
        if (codes.data() != nullptr) detail::check_size(codes.size(), sizes.codeBytes, "codes");
        if (scales.data() != nullptr) detail::check_size(scales.size(), sizes.scaleBytes, "scales");
        check(fp6llmWeightExportCodes(handle.get(), get(), codes.data(), scales.data()));
    }

    /// Gives the weight in a published layout; an empty span leaves its part out.
    void export_packed(Handle& handle, fp6llmPackedLayout_t layout, MutableBytes packed,
                       MutableBytes scales) const {
        const fp6llmWeightInfo_t weight = info();
        fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
        config.format = weight.format;
        config.scaleMode = weight.scaleMode;
        config.groupSize = weight.groupSize;
        config.scaleType = weight.scaleType;
        const PackedSizes sizes = packed_sizes(layout, config, weight.rows, weight.cols);
        if (packed.data() != nullptr) {
            detail::check_size(packed.size(), sizes.packed_bytes, "packed");
        }
        if (scales.data() != nullptr) {
            detail::check_size(scales.size(), sizes.scale_bytes, "scales");
        }
        check(fp6llmWeightExportPacked(handle.get(), get(), layout, packed.data(), scales.data()));
    }

    /// Row-major Y [tokens, OC] = X [tokens, IC] W^T, with an optional epilogue.
    template <typename X, typename Y>
    void linear(Handle& handle, int64_t tokens, Span<X> x, Span<Y> y,
                const fp6llmEpilogue_t* epilogue = nullptr, int64_t ldx = 0,
                int64_t ldy = 0) const {
        const fp6llmWeightInfo_t shape = info();
        ldx = detail::leading(ldx, shape.cols);
        ldy = detail::leading(ldy, shape.rows);
        detail::check_matrix(x.size(), tokens, shape.cols, ldx, "x");
        detail::check_matrix(y.size(), tokens, shape.rows, ldy, "y");
        check(fp6llmLinear(handle.get(), tokens, x.data(), DataTypeOf<X>::value, ldx, get(),
                           epilogue, y.data(), DataTypeOf<Y>::value, ldy));
    }

  private:
    detail::Owner<fp6llmWeight_t, fp6llmWeightDestroy> owner_;
};

// --- Multiply, column-major as in fp6llm.h

/// A multiplication without its data. The defaults are a linear layer's: m = OC, n = tokens, k = IC.
struct Product {
    int64_t m, n, k;
    fp6llmOperation_t transa = FP6LLM_OP_T;
    fp6llmOperation_t transb = FP6LLM_OP_N;
    fp6llmComputeType_t compute_type = FP6LLM_COMPUTE_32F;
    int32_t algo = FP6LLM_ALGO_DEFAULT;
};

namespace detail {

/// Leading dimensions of B and C; sees that the spans reach to their ends.
struct Strides {
    Strides(const Product& p, int64_t b, int64_t c)
        : ldb(leading(b, p.transb == FP6LLM_OP_T ? p.n : p.k)), ldc(leading(c, p.m)) {}
    void check_spans(const Product& p, std::size_t b_size, bool reads_b, std::size_t c_size) const {
        const bool transposed = p.transb == FP6LLM_OP_T;
        if (reads_b) {
            check_matrix(b_size, transposed ? p.k : p.n, transposed ? p.n : p.k, ldb, "b");
        }
        check_matrix(c_size, p.n, p.m, ldc, "c");
    }
    int64_t ldb, ldc;
};

}  // namespace detail

/// C = alpha * op(A) op(B) + beta * C. Of a handle whose pointer mode is HOST.
template <typename TB, typename TC>
void gemm(Handle& handle, const Product& p, float alpha, const Weight& a, Span<TB> b, float beta,
          Span<TC> c, int64_t ldb = 0, int64_t ldc = 0) {
    const detail::Strides strides(p, ldb, ldc);
    strides.check_spans(p, b.size(), alpha != 0.0f, c.size());
    check(fp6llmGemmEx(handle.get(), p.transa, p.transb, p.m, p.n, p.k, &alpha, a.get(), b.data(),
                       DataTypeOf<TB>::value, strides.ldb, &beta, c.data(), DataTypeOf<TC>::value,
                       strides.ldc, p.compute_type, p.algo));
}

/// One product per group of columns: `offsets` has an element more than `a`.
template <typename TB, typename TC>
void gemm_grouped(Handle& handle, const Product& p, Span<const int64_t> offsets, float alpha,
                  Span<const fp6llmWeight_t> a, Span<TB> b, float beta, Span<TC> c, int64_t ldb = 0,
                  int64_t ldc = 0) {
    const detail::Strides strides(p, ldb, ldc);
    detail::check_size(offsets.size(), a.size() + 1, "offsets");
    strides.check_spans(p, b.size(), alpha != 0.0f, c.size());
    check(fp6llmGemmGroupedEx(handle.get(), static_cast<int64_t>(a.size()), p.transa, p.transb, p.m,
                              p.n, p.k, offsets.data(), &alpha, a.data(), b.data(),
                              DataTypeOf<TB>::value, strides.ldb, &beta, c.data(),
                              DataTypeOf<TC>::value, strides.ldc, p.compute_type, p.algo));
}

/// Bytes of workspace that gemm() needs of this product with B of type TB and C of type TC.
template <typename TB, typename TC>
std::size_t gemm_workspace_size(Handle& handle, const Product& p, const Weight& a) {
    std::size_t bytes = 0;
    check(fp6llmGemmGetWorkspaceSize(handle.get(), p.transa, p.transb, p.m, p.n, p.k, a.get(),
                                     DataTypeOf<TB>::value, DataTypeOf<TC>::value, p.compute_type,
                                     p.algo, &bytes));
    return bytes;
}

/// The kernels that can run this product, best first; at most `requested`.
template <typename TB, typename TC>
std::vector<fp6llmHeuristicResult_t> gemm_heuristic(Handle& handle, const Product& p,
                                                    const Weight& a, int requested = 16) {
    const fp6llmHeuristicResult_t empty = FP6LLM_HEURISTIC_RESULT_INIT;
    std::vector<fp6llmHeuristicResult_t> results(
        static_cast<std::size_t>(requested > 0 ? requested : 0), empty);
    int returned = 0;
    check(fp6llmGemmGetHeuristic(handle.get(), p.transa, p.transb, p.m, p.n, p.k, a.get(),
                                 DataTypeOf<TB>::value, DataTypeOf<TC>::value, p.compute_type,
                                 requested, results.data(), &returned));
    results.resize(static_cast<std::size_t>(returned));
    return results;
}

}  // namespace api
}  // namespace fp6llm

#endif  // FP6LLM_FP6LLM_HPP_
