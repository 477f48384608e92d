// The emulator's own encoding of a tensor map: what cuTensorMapEncodeTiled writes into the 128 opaque
// bytes of a CUtensorMap and what the tensor copies of isa/ read from there (and tensormap.replace
// changes). Nothing but the size and the meaning of the arguments is shared with NVIDIA's encoding.
//
// Source: CUDA driver API, "Tensor Map Object Management"; PTX ISA, chapter "Tensors".
// Bytes 4 to 15 stay free: CUTLASS clears bit 21 of the second word of what the driver wrote.
#pragma once

#include <cstdint>
#include <cstring>

namespace emulator {

/// CUtensorMapDataType.
enum class TensorType : uint8_t {
    kU8,
    kU16,
    kU32,
    kS32,
    kU64,
    kS64,
    kF16,
    kF32,
    kF64,
    kBF16,
    kF32Ftz,
    kTF32,
    kTF32Ftz,
    k16U4Align8,
    k16U4Align16,
    k16U6Align16,
    kCount
};
/// CUtensorMapSwizzle.
enum class TensorSwizzle : uint8_t {
    kNone,
    k32,
    k64,
    k128,
    k128Atom32,
    k128Atom32Flip8,
    k128Atom64,
    kCount
};
/// CUtensorMapInterleave.
enum class TensorInterleave : uint8_t { kNone, k16, k32, kCount };
/// CUtensorMapFloatOOBfill: what elements outside the tensor read as.
enum class TensorFill : uint8_t { kZero, kNan, kCount };

/// Bytes of one element in global memory; 0 for the packed types, whose elements are narrower.
constexpr int tensor_element_bytes(TensorType type) noexcept {
    switch (type) {
        case TensorType::kU8:
            return 1;
        case TensorType::kU16:
        case TensorType::kF16:
        case TensorType::kBF16:
            return 2;
        case TensorType::kU32:
        case TensorType::kS32:
        case TensorType::kF32:
        case TensorType::kF32Ftz:
        case TensorType::kTF32:
        case TensorType::kTF32Ftz:
            return 4;
        case TensorType::kU64:
        case TensorType::kS64:
        case TensorType::kF64:
            return 8;
        default:
            return 0;
    }
}

constexpr bool tensor_is_float(TensorType type) noexcept {
    return type == TensorType::kF16 || type == TensorType::kF32 || type == TensorType::kF64 ||
           type == TensorType::kBF16 || type == TensorType::kF32Ftz || type == TensorType::kTF32 ||
           type == TensorType::kTF32Ftz;
}

struct TensorMap {
    static constexpr uint32_t kMagic = 0x50414D54;  // "TMAP"
    static constexpr int kMaxRank = 5;

    uint32_t magic;        ///< kMagic, or this is no tensor map
    uint32_t reserved[3];  ///< others may write here
    uint64_t address;      ///< of element (0, 0, ...), 16-byte aligned
    TensorType type;
    uint8_t rank;  ///< 1 .. 5
    TensorInterleave interleave;
    TensorSwizzle swizzle;
    uint8_t l2_promotion;  ///< CUtensorMapL2promotion: a hint
    TensorFill fill;
    uint8_t element_stride[kMaxRank];  ///< 1 .. 8: every n-th element is copied
    uint8_t unused;
    uint16_t box[kMaxRank];  ///< elements of the box, 1 .. 256, innermost first
    uint16_t unused2;
    uint64_t stride[kMaxRank - 1];  ///< bytes between elements of dimensions 1 .. rank - 1
    /// Elements of each dimension less one (a dimension may hold 2^32), innermost first.
    uint32_t last[kMaxRank];
    uint32_t unused3;

    uint64_t extent(int dimension) const noexcept { return uint64_t{last[dimension]} + 1; }
    bool valid() const noexcept { return magic == kMagic && rank >= 1 && rank <= kMaxRank; }
};
static_assert(sizeof(TensorMap) <= 128, "a CUtensorMap has 128 bytes");

/// The tensor map in the 128 bytes at `bytes`; check valid().
inline TensorMap read_tensor_map(const void* bytes) noexcept {
    TensorMap map;
    std::memcpy(&map, bytes, sizeof map);
    return map;
}

}  // namespace emulator
