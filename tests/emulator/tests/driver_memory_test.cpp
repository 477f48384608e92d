// The emulated libcuda.so.1 through its ABI: memory, copies, tensor maps.
#include "tests/emulator/tests/driver_fixture.hpp"

namespace emulator::cu {
namespace {

// ---- Memory ----

TEST_F(DriverTest, AllocatesAndCounts) {
    size_t free_before = 0, free_after = 0, total = 0;
    OK(cuMemGetInfo_v2(&free_before, &total));
    const CUdeviceptr address = allocate(1000);
    EXPECT_EQ(address % 256, 0u);
    OK(cuMemGetInfo_v2(&free_after, &total));
    EXPECT_EQ(free_before - free_after, 1000u);
    CUdeviceptr base = 0;
    size_t bytes = 0;
    OK(cuMemGetAddressRange_v2(&base, &bytes, address + 999));
    EXPECT_EQ(base, address);
    EXPECT_EQ(bytes, 1000u);
    FAILS(CUDA_ERROR_NOT_FOUND, cuMemGetAddressRange_v2(&base, &bytes, address + 1000));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address + 4));
    OK(cuMemFree_v2(address));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(address));
    OK(cuMemFree_v2(0));
    OK(cuMemGetInfo_v2(&free_after, &total));
    EXPECT_EQ(free_before, free_after);
    CUdeviceptr none = 0;
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2(&none, 0));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&none, total + 1));
    FAILS(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&none, SIZE_MAX));
    EXPECT_EQ(none, 0u);
}

TEST_F(DriverTest, CopiesBothWays) {
    std::vector<uint8_t> in(300), out(300, 0);
    for (size_t i = 0; i < in.size(); ++i)
        in[i] = static_cast<uint8_t>(i * 7);
    const CUdeviceptr a = allocate(300), b = allocate(300);
    OK(cuMemcpyHtoD_v2(a, in.data(), 300));
    OK(cuMemcpyDtoD_v2(b, a, 300));
    OK(cuMemcpyDtoH_v2(out.data(), b, 300));
    EXPECT_EQ(in, out);
    OK(cuMemsetD16_v2(a + 2, 0xABCD, 3));
    OK(cuMemcpyDtoH_v2(out.data(), a, 10));
    const uint8_t expected[10] = {in[0], in[1], 0xCD, 0xAB, 0xCD, 0xAB, 0xCD, 0xAB, in[8], in[9]};
    EXPECT_EQ(std::memcmp(out.data(), expected, 10), 0);
    OK(cuMemcpyHtoD_v2(a, nullptr, 0));
}

TEST_F(DriverTest, ChecksCopies) {
    uint8_t host[64] = {};
    const CUdeviceptr a = allocate(64);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, host, 65));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a + 1, host, 64));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, nullptr, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuMemcpyHtoD_v2(reinterpret_cast<uintptr_t>(host), host + 32, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, reinterpret_cast<void*>(a), 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyDtoH_v2(reinterpret_cast<void*>(a), a, 4));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuMemcpyDtoH_v2(host, reinterpret_cast<uintptr_t>(host + 32), 4));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(a + 60, 1, 5));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD32_v2(a + 2, 1, 1));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemsetD8_v2(reinterpret_cast<uintptr_t>(host), 1, 4));
    OK(cuMemsetD8_v2(a + 60, 1, 4));
    OK(cuMemFree_v2(a));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpyHtoD_v2(a, host, 4));
}

TEST_F(DriverTest, CopiesRectangles) {
    size_t pitch = 0;
    CUdeviceptr image = 0;
    OK(cuMemAllocPitch_v2(&image, &pitch, 12, 4, 4));
    EXPECT_GE(pitch, 12u);
    OK(cuMemsetD2D8_v2(image, pitch, 9, 12, 4));
    uint8_t in[3][8], out[4][12];
    for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 8; ++x)
            in[y][x] = static_cast<uint8_t>(10 * y + x);
    }
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = in;
    copy.srcPitch = 8;
    copy.srcXInBytes = 2;
    copy.srcY = 1;
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = image;
    copy.dstPitch = pitch;
    copy.dstXInBytes = 4;
    copy.dstY = 2;
    copy.WidthInBytes = 5;
    copy.Height = 2;
    OK(cuMemcpy2D_v2(&copy));
    CUDA_MEMCPY2D back{};
    back.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    back.srcDevice = image;
    back.srcPitch = pitch;
    back.dstMemoryType = CU_MEMORYTYPE_HOST;
    back.dstHost = out;
    back.dstPitch = 12;
    back.WidthInBytes = 12;
    back.Height = 4;
    OK(cuMemcpy2D_v2(&back));
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 12; ++x) {
            const bool inside = y >= 2 && x >= 4 && x < 9;
            EXPECT_EQ(out[y][x], inside ? in[y - 1][x - 2] : 9) << y << ", " << x;
        }
    }
    copy.Height = 3;  // beyond the image
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemcpy2D_v2(&copy));
}

TEST_F(DriverTest, TellsWhatAPointerIs) {
    const CUdeviceptr address = allocate(64);
    int local = 0;
    unsigned type = 9, managed = 9;
    int ordinal = 9;
    size_t size = 0;
    CUpointer_attribute which[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    void* data[] = {&type, &managed, &ordinal, &size};
    OK(cuPointerGetAttributes(4, which, data, address + 10));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_DEVICE});
    EXPECT_EQ(managed, 0u);
    EXPECT_EQ(ordinal, 0);
    EXPECT_EQ(size, 64u);
    OK(cuPointerGetAttributes(4, which, data, reinterpret_cast<uintptr_t>(&local)));
    EXPECT_EQ(type, 0u);
    EXPECT_EQ(ordinal, -2);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                                          reinterpret_cast<uintptr_t>(&local)));
    CUcontext owner = nullptr;
    OK(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, address));
    EXPECT_EQ(owner, context_);

    CUdeviceptr shared = 0;
    OK(cuMemAllocManaged(&shared, 64, CU_MEM_ATTACH_GLOBAL));
    OK(cuPointerGetAttributes(4, which, data, shared));
    EXPECT_EQ(managed, 1u);
    std::memset(reinterpret_cast<void*>(shared), 5, 64);  // the host may write there
    EXPECT_EQ(word(shared), 0x05050505u);
}

TEST_F(DriverTest, PinsHostMemory) {
    void* pinned = nullptr;
    OK(cuMemHostAlloc(&pinned, 64, CU_MEMHOSTALLOC_DEVICEMAP));
    CUdeviceptr device = 0;
    OK(cuMemHostGetDevicePointer_v2(&device, pinned, 0));
    auto* value = static_cast<uint32_t*>(pinned);
    *value = 5;
    OK(step(device, 3));
    OK(cuCtxSynchronize());
    EXPECT_EQ(*value, 13u);
    unsigned type = 0;
    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, device));
    EXPECT_EQ(type, unsigned{CU_MEMORYTYPE_HOST});
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(device));
    OK(cuMemFreeHost(pinned));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(pinned));

    std::vector<uint32_t> ordinary(16, 7);
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemHostGetDevicePointer_v2(&device, ordinary.data(), 0));
    OK(cuMemHostRegister_v2(ordinary.data(), 64, CU_MEMHOSTREGISTER_DEVICEMAP));
    FAILS(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
          cuMemHostRegister_v2(ordinary.data() + 2, 8, 0));
    OK(cuMemHostGetDevicePointer_v2(&device, ordinary.data() + 1, 0));
    OK(step(device, 1));
    OK(cuCtxSynchronize());
    EXPECT_EQ(ordinary[1], 15u);
    EXPECT_EQ(ordinary[0], 7u);
    OK(cuMemHostUnregister(ordinary.data()));
    FAILS(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(ordinary.data()));
}

TEST_F(DriverTest, AllocatesInStreamOrder) {
    CUdeviceptr address = 0;
    CUstream stream = nullptr;
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAllocAsync(&address, 64, stream));
    OK(cuMemsetD32Async(address, 3, 16, stream));
    OK(step(address, 1, stream));
    OK(cuStreamSynchronize(stream));
    EXPECT_EQ(word(address), 7u);
    CUmemoryPool pool = nullptr;
    OK(cuDeviceGetDefaultMemPool(&pool, 0));
    uint64_t used = 0, threshold = 1 << 20;
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    EXPECT_EQ(used, 64u);
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    threshold = 0;
    OK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    EXPECT_EQ(threshold, uint64_t{1} << 20);
    OK(cuMemFreeAsync(address, stream));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemFreeAsync(address, stream));
    FAILS(CUDA_ERROR_INVALID_VALUE, cuMemPoolDestroy(pool));
}

// ---- Tensor maps ----

TEST_F(DriverTest, EncodesTensorMaps) {
    const CUdeviceptr data = allocate(64 * 128 * 2);
    CUtensorMap map;
    uint64_t dims[] = {128, 64}, strides[] = {256};
    uint32_t box[] = {64, 32}, steps[] = {1, 1};
    constexpr int kHalf = 6, kSwizzle128 = 3;
    const auto encode = [&] {
        return cuTensorMapEncodeTiled(&map, kHalf, 2, reinterpret_cast<void*>(data), dims, strides,
                                      box, steps, 0, kSwizzle128, 2, 0);
    };
    OK(encode());
    TensorMap read = read_tensor_map(&map);
    EXPECT_TRUE(read.valid());
    EXPECT_EQ(read.address, data);
    EXPECT_EQ(read.rank, 2);
    EXPECT_EQ(read.type, TensorType::kF16);
    EXPECT_EQ(read.swizzle, TensorSwizzle::k128);
    EXPECT_EQ(read.extent(0), 128u);
    EXPECT_EQ(read.extent(1), 64u);
    EXPECT_EQ(read.stride[0], 256u);
    EXPECT_EQ(read.box[1], 32);
    // What CUTLASS does to NVIDIA's encoding changes nothing of ours.
    map.opaque[1] = ~map.opaque[1];
    const TensorMap after = read_tensor_map(&map);
    read.reserved[1] = after.reserved[1];
    read.reserved[2] = after.reserved[2];
    EXPECT_EQ(std::memcmp(&read, &after, sizeof read), 0);
    OK(cuTensorMapReplaceAddress(&map, reinterpret_cast<void*>(data + 16)));
    EXPECT_EQ(read_tensor_map(&map).address, data + 16);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapReplaceAddress(&map, reinterpret_cast<void*>(data + 8)));

    const auto refused = [&](auto& field, auto value) {
        const auto kept = field;
        field = value;
        EXPECT_EQ(CUDA_ERROR_INVALID_VALUE, encode());
        field = kept;
        EXPECT_EQ(CUDA_SUCCESS, encode());
    };
    refused(dims[0], 0);
    refused(dims[1], (uint64_t{1} << 32) + 1);
    refused(strides[0], 264);                // no multiple of 16
    refused(strides[0], uint64_t{1} << 40);  // too far
    refused(box[0], 128);                    // 256 bytes exceed the swizzle's span
    refused(box[0], 4);                      // 8 bytes are no multiple of 16
    refused(box[1], 257);
    refused(box[1], 0);
    refused(steps[0], 9);
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapEncodeTiled(&map, kHalf, 6, reinterpret_cast<void*>(data), dims, strides, box,
                                 steps, 0, 0, 0, 0));
    FAILS(CUDA_ERROR_INVALID_VALUE,  // NaN for integers
          cuTensorMapEncodeTiled(&map, 0, 2, reinterpret_cast<void*>(data), dims, strides, box,
                                 steps, 0, 0, 0, 1));
    FAILS(CUDA_ERROR_INVALID_VALUE,
          cuTensorMapEncodeTiled(&map, kHalf, 2, reinterpret_cast<void*>(data + 8), dims, strides,
                                 box, steps, 0, 0, 0, 0));
}

}  // namespace
}  // namespace emulator::cu
