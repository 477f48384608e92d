// cuTensorMapEncodeTiled: the rules of the driver API reference, and our own encoding.
#include "tests/emulator/driver/tensor_map.hpp"

#include <cstring>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr uint64_t kLargestExtent = uint64_t{1} << 32;
constexpr uint64_t kStrideLimit = uint64_t{1} << 40;
constexpr uint32_t kLargestBox = 256, kLargestElementStride = 8;

/// Bytes that a swizzle's pattern spans; the box's rows must not be longer.
uint64_t swizzle_span(TensorSwizzle swizzle) {
    switch (swizzle) {
        case TensorSwizzle::kNone:
            return 0;
        case TensorSwizzle::k32:
            return 32;
        case TensorSwizzle::k64:
            return 64;
        default:
            return 128;
    }
}

TensorMap encode(int type, uint32_t rank, uint64_t address, const uint64_t* dims,
                 const uint64_t* strides, const uint32_t* box, const uint32_t* element_strides,
                 int interleave, int swizzle, int l2_promotion, int fill) {
    require(rank >= 1 && rank <= static_cast<uint32_t>(TensorMap::kMaxRank));
    require(type >= 0 && type < static_cast<int>(TensorType::kCount));
    require(interleave >= 0 && interleave < static_cast<int>(TensorInterleave::kCount));
    require(swizzle >= 0 && swizzle < static_cast<int>(TensorSwizzle::kCount));
    require(l2_promotion >= 0 && l2_promotion <= 3);
    require(fill >= 0 && fill < static_cast<int>(TensorFill::kCount));
    require(dims != nullptr && box != nullptr && element_strides != nullptr);
    require(rank == 1 || strides != nullptr);

    TensorMap map{};
    map.magic = TensorMap::kMagic;
    map.address = address;
    map.type = static_cast<TensorType>(type);
    map.rank = static_cast<uint8_t>(rank);
    map.interleave = static_cast<TensorInterleave>(interleave);
    map.swizzle = static_cast<TensorSwizzle>(swizzle);
    map.l2_promotion = static_cast<uint8_t>(l2_promotion);
    map.fill = static_cast<TensorFill>(fill);
    const int element = tensor_element_bytes(map.type);
    // The packed 4- and 6-bit types belong to Blackwell's tensor cores.
    require(element != 0, CUDA_ERROR_NOT_SUPPORTED);
    require(map.fill == TensorFill::kZero || tensor_is_float(map.type));
    const bool interleaved = map.interleave != TensorInterleave::kNone;
    const uint64_t alignment = map.interleave == TensorInterleave::k32 ? 32 : 16;
    require(address != 0 && address % alignment == 0);
    require(!interleaved || rank >= 3);
    require(map.interleave != TensorInterleave::k32 || map.swizzle == TensorSwizzle::k32);

    for (uint32_t d = 0; d < rank; ++d) {
        require(dims[d] >= 1 && dims[d] <= kLargestExtent);
        require(box[d] >= 1 && box[d] <= kLargestBox);
        require(element_strides[d] >= 1 && element_strides[d] <= kLargestElementStride);
        map.last[d] = static_cast<uint32_t>(dims[d] - 1);
        map.box[d] = static_cast<uint16_t>(box[d]);
        map.element_stride[d] = static_cast<uint8_t>(element_strides[d]);
        if (d + 1 < rank) {
            require(strides[d] % alignment == 0 && strides[d] < kStrideLimit);
            map.stride[d] = strides[d];
        }
    }
    if (!interleaved) {
        const uint64_t row = uint64_t{box[0]} * static_cast<uint64_t>(element);
        require(row % 16 == 0);
        const uint64_t span = swizzle_span(map.swizzle);
        require(span == 0 || row <= span);
    }
    return map;
}

}  // namespace

extern "C" {

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, int type, uint32_t rank, void* address,
                                const uint64_t* dims, const uint64_t* strides, const uint32_t* box,
                                const uint32_t* element_strides, int interleave, int swizzle,
                                int l2_promotion, int fill) {
    return guard(
        [&](Driver& driver) {
            require(map != nullptr);
            // CUTLASS's programs encode before anything else of them calls cuInit.
            require(driver.device().options().arch >= 90, CUDA_ERROR_NOT_SUPPORTED);
            require(reinterpret_cast<uintptr_t>(map) % 64 == 0);
            const TensorMap encoded =
                encode(type, rank, reinterpret_cast<uintptr_t>(address), dims, strides, box,
                       element_strides, interleave, swizzle, l2_promotion, fill);
            std::memset(map->opaque, 0, sizeof map->opaque);
            std::memcpy(map->opaque, &encoded, sizeof encoded);
        },
        false);
}

CUresult cuTensorMapReplaceAddress(CUtensorMap* map, void* address) {
    return guard(
        [&](Driver&) {
            require(map != nullptr && reinterpret_cast<uintptr_t>(map) % 64 == 0);
            TensorMap encoded = read_tensor_map(map->opaque);
            require(encoded.valid());
            const auto replaced = reinterpret_cast<uintptr_t>(address);
            require(replaced != 0 &&
                    replaced % (encoded.interleave == TensorInterleave::k32 ? 32 : 16) == 0);
            encoded.address = replaced;
            std::memcpy(map->opaque, &encoded, sizeof encoded);
        },
        false);
}

}  // extern "C"

}  // namespace emulator::cu
