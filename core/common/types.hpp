// Enumerations and small structs that every part of the core shares. Their numeric values are those
// of the C ABI (capi/ asserts it), but nothing here knows the C header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fp6llm {

enum class DataType : int32_t {
    kF32 = 0,
    kF16 = 2,
    kI8 = 3,
    kBF16 = 14,
    kE4M3 = 28,
    kE5M2 = 29,
    kE8M0 = 30,
    kE2M3 = 31,
    kE3M2 = 32,
    kE2M1 = 33,
    kE2M2 = 0x1001,
    kE3M1 = 0x1002,
    kAuto6 = 0x1010,
};

enum class ScaleMode : int32_t { kRow = 0, kGroup = 1, kMx = 2 };
enum class Rounding : int32_t { kNearestEven = 0, kNearestAway = 1 };
enum class MxScaleRule : int32_t { kFloor = 0, kEven = 1, kRceil = 2 };
enum class NonFinite : int32_t { kError = 0, kSaturate = 1 };
enum class Activation : int32_t { kNone = 0, kRelu = 1, kGelu = 2, kGeluTanh = 3, kSilu = 4 };
enum class PackedLayout : int32_t { kTcFpx = 1, kSplit42 = 2 };
enum class ComputeType : int32_t {
    kF32 = 68,
    kF32FastF16 = 74,
    kF32FastBF16 = 75,
    kF32FastF8 = 0x1001,
    kF32FastI8 = 0x1002,
    kF32FastI16 = 0x1003,
};

/// Bytes of one element of a floating activation, output or input type; 0 for anything else.
constexpr size_t float_bytes(DataType type) noexcept {
    return type == DataType::kF32 ? 4 : type == DataType::kF16 || type == DataType::kBF16 ? 2 : 0;
}

/// A row-major matrix of F32, F16 or BF16; `ld` counts elements between two rows.
struct MatrixView {
    const void* data;
    DataType type;
    int64_t rows;
    int64_t cols;
    int64_t ld;
};

struct MutableMatrixView {
    void* data;
    DataType type;
    int64_t rows;
    int64_t cols;
    int64_t ld;
};

}  // namespace fp6llm
