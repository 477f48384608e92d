// Memory, copies, symbols, pointers.
#include "tests/emulator/runtime/runtime.hpp"

namespace emulator::cudart {

namespace {

/// A copy whose direction the caller names; both pointers are checked against it.
CUresult copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    switch (kind) {
        case cudaMemcpyHostToDevice:
            return cu::cuMemcpyHtoD_v2(device_pointer(to), from, bytes);
        case cudaMemcpyDeviceToHost:
            return cu::cuMemcpyDtoH_v2(to, device_pointer(from), bytes);
        case cudaMemcpyDeviceToDevice:
            return cu::cuMemcpyDtoD_v2(device_pointer(to), device_pointer(from), bytes);
        default:
            return cu::cuMemcpy(device_pointer(to), device_pointer(from), bytes);
    }
}

CUresult copy_async(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                    cu::CUstream stream) {
    switch (kind) {
        case cudaMemcpyHostToDevice:
            return cu::cuMemcpyHtoDAsync_v2(device_pointer(to), from, bytes, stream);
        case cudaMemcpyDeviceToHost:
            return cu::cuMemcpyDtoHAsync_v2(to, device_pointer(from), bytes, stream);
        case cudaMemcpyDeviceToDevice:
            return cu::cuMemcpyDtoDAsync_v2(device_pointer(to), device_pointer(from), bytes,
                                            stream);
        default:
            return cu::cuMemcpyAsync(device_pointer(to), device_pointer(from), bytes, stream);
    }
}

bool is_direction(cudaMemcpyKind kind) {
    return kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault;
}

cu::CUDA_MEMCPY2D copy_2d(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                          size_t width, size_t height, cudaMemcpyKind kind) {
    const auto side = [&](bool is_device) {
        return kind == cudaMemcpyDefault ? cu::CU_MEMORYTYPE_UNIFIED
               : is_device               ? cu::CU_MEMORYTYPE_DEVICE
                                         : cu::CU_MEMORYTYPE_HOST;
    };
    cu::CUDA_MEMCPY2D p{};
    p.dstMemoryType = side(kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice);
    p.srcMemoryType = side(kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice);
    p.dstHost = to;
    p.dstDevice = device_pointer(to);
    p.dstPitch = to_pitch;
    p.srcHost = from;
    p.srcDevice = device_pointer(from);
    p.srcPitch = from_pitch;
    p.WidthInBytes = width;
    p.Height = height;
    return p;
}

/// The part of a symbol that a copy means; checked against its size.
cudaError_t symbol_range(Runtime& runtime, const void* symbol, size_t bytes, size_t offset,
                         void** address) {
    cu::CUdeviceptr base = 0;
    size_t size = 0;
    const cudaError_t found = runtime.find_variable(symbol, &base, &size);
    if (found != cudaSuccess) return found;
    if (offset > size || bytes > size - offset) return cudaErrorInvalidValue;
    *address = reinterpret_cast<void*>(base + offset);
    return cudaSuccess;
}

}  // namespace

EMULATOR_CUDART cudaError_t cudaMalloc(void** pointer, size_t bytes) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        *pointer = nullptr;
        // The runtime, unlike the driver, has nothing against nothing.
        if (bytes == 0) return cu::CUDA_SUCCESS;
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemAlloc_v2(&address, bytes);
        if (result == cu::CUDA_SUCCESS) *pointer = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width,
                                            size_t height) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemAllocPitch_v2(&address, pitch, width, height, 16);
        if (result == cu::CUDA_SUCCESS) *pointer = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned flags) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemAllocManaged(&address, bytes, flags);
        if (result == cu::CUDA_SUCCESS) *pointer = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaFree(void* pointer) {
    return with_driver([&] { return cu::cuMemFree_v2(device_pointer(pointer)); });
}

EMULATOR_CUDART cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
    return with_driver([&] { return cu::cuMemHostAlloc(pointer, bytes, flags); });
}

EMULATOR_CUDART cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
    return cudaHostAlloc(pointer, bytes, 0);
}

EMULATOR_CUDART cudaError_t cudaFreeHost(void* pointer) {
    return with_driver([&] { return cu::cuMemFreeHost(pointer); });
}

EMULATOR_CUDART cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
    return with_driver([&] { return cu::cuMemHostRegister_v2(pointer, bytes, flags); });
}

EMULATOR_CUDART cudaError_t cudaHostUnregister(void* pointer) {
    return with_driver([&] { return cu::cuMemHostUnregister(pointer); });
}

EMULATOR_CUDART cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
    if (device == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemHostGetDevicePointer_v2(&address, host, flags);
        if (result == cu::CUDA_SUCCESS) *device = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
    return with_driver([&] { return cu::cuMemHostGetFlags(flags, host); });
}

EMULATOR_CUDART cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    return with_driver([&] { return cu::cuMemGetInfo_v2(free, total); });
}

// ---- Stream-ordered ----

EMULATOR_CUDART cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cu::CUstream stream) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemAllocAsync(&address, bytes, stream);
        if (result == cu::CUDA_SUCCESS) *pointer = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes,
                                                    cu::CUmemoryPool pool, cu::CUstream stream) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        cu::CUdeviceptr address = 0;
        const CUresult result = cu::cuMemAllocFromPoolAsync(&address, bytes, pool, stream);
        if (result == cu::CUDA_SUCCESS) *pointer = reinterpret_cast<void*>(address);
        return result;
    });
}

EMULATOR_CUDART cudaError_t cudaFreeAsync(void* pointer, cu::CUstream stream) {
    return with_driver([&] { return cu::cuMemFreeAsync(device_pointer(pointer), stream); });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetDefaultMemPool(cu::CUmemoryPool* pool, int device) {
    return with_driver([&] { return cu::cuDeviceGetDefaultMemPool(pool, device); });
}

EMULATOR_CUDART cudaError_t cudaDeviceGetMemPool(cu::CUmemoryPool* pool, int device) {
    return with_driver([&] { return cu::cuDeviceGetMemPool(pool, device); });
}

EMULATOR_CUDART cudaError_t cudaDeviceSetMemPool(int device, cu::CUmemoryPool pool) {
    return with_driver([&] { return cu::cuDeviceSetMemPool(device, pool); });
}

EMULATOR_CUDART cudaError_t cudaMemPoolCreate(cu::CUmemoryPool* pool,
                                              const cu::CUmemPoolProps* properties) {
    return with_driver([&] { return cu::cuMemPoolCreate(pool, properties); });
}

EMULATOR_CUDART cudaError_t cudaMemPoolDestroy(cu::CUmemoryPool pool) {
    return with_driver([&] { return cu::cuMemPoolDestroy(pool); });
}

EMULATOR_CUDART cudaError_t cudaMemPoolTrimTo(cu::CUmemoryPool pool, size_t keep) {
    return with_driver([&] { return cu::cuMemPoolTrimTo(pool, keep); });
}

EMULATOR_CUDART cudaError_t cudaMemPoolSetAttribute(cu::CUmemoryPool pool, int attribute,
                                                    void* value) {
    return with_driver([&] {
        return cu::cuMemPoolSetAttribute(pool, static_cast<cu::CUmemPool_attribute>(attribute),
                                         value);
    });
}

EMULATOR_CUDART cudaError_t cudaMemPoolGetAttribute(cu::CUmemoryPool pool, int attribute,
                                                    void* value) {
    return with_driver([&] {
        return cu::cuMemPoolGetAttribute(pool, static_cast<cu::CUmemPool_attribute>(attribute),
                                         value);
    });
}

// ---- Copies ----

EMULATOR_CUDART cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes,
                                       cudaMemcpyKind kind) {
    if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
    return with_driver([&] { return copy(to, from, bytes, kind); });
}

EMULATOR_CUDART cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes,
                                            cudaMemcpyKind kind, cu::CUstream stream) {
    if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
    return with_driver([&] { return copy_async(to, from, bytes, kind, stream); });
}

EMULATOR_CUDART cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from,
                                         size_t from_pitch, size_t width, size_t height,
                                         cudaMemcpyKind kind) {
    if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
    return with_driver([&] {
        const cu::CUDA_MEMCPY2D p = copy_2d(to, to_pitch, from, from_pitch, width, height, kind);
        return cu::cuMemcpy2DUnaligned_v2(&p);
    });
}

EMULATOR_CUDART cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from,
                                              size_t from_pitch, size_t width, size_t height,
                                              cudaMemcpyKind kind, cu::CUstream stream) {
    if (!is_direction(kind)) return remember(cudaErrorInvalidMemcpyDirection);
    return with_driver([&] {
        const cu::CUDA_MEMCPY2D p = copy_2d(to, to_pitch, from, from_pitch, width, height, kind);
        return cu::cuMemcpy2DAsync_v2(&p, stream);
    });
}

EMULATOR_CUDART cudaError_t cudaMemset(void* to, int value, size_t bytes) {
    return with_driver([&] {
        return cu::cuMemsetD8_v2(device_pointer(to), static_cast<unsigned char>(value), bytes);
    });
}

EMULATOR_CUDART cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes,
                                            cu::CUstream stream) {
    return with_driver([&] {
        return cu::cuMemsetD8Async(device_pointer(to), static_cast<unsigned char>(value), bytes,
                                   stream);
    });
}

EMULATOR_CUDART cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width,
                                         size_t height) {
    return with_driver([&] {
        return cu::cuMemsetD2D8_v2(device_pointer(to), pitch, static_cast<unsigned char>(value),
                                   width, height);
    });
}

EMULATOR_CUDART cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width,
                                              size_t height, cu::CUstream stream) {
    return with_driver([&] {
        return cu::cuMemsetD2D8Async(device_pointer(to), pitch, static_cast<unsigned char>(value),
                                     width, height, stream);
    });
}

// ---- Symbols ----

EMULATOR_CUDART cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
    if (pointer == nullptr) return remember(cudaErrorInvalidValue);
    return with_runtime(
        [&](Runtime& runtime) { return symbol_range(runtime, symbol, 0, 0, pointer); });
}

EMULATOR_CUDART cudaError_t cudaGetSymbolSize(size_t* bytes, const void* symbol) {
    if (bytes == nullptr) return remember(cudaErrorInvalidValue);
    return with_runtime([&](Runtime& runtime) {
        cu::CUdeviceptr address = 0;
        return runtime.find_variable(symbol, &address, bytes);
    });
}

EMULATOR_CUDART cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes,
                                               size_t offset, cudaMemcpyKind kind) {
    return with_runtime([&](Runtime& runtime) {
        void* to = nullptr;
        const cudaError_t found = symbol_range(runtime, symbol, bytes, offset, &to);
        return found != cudaSuccess ? found : error_of(copy(to, from, bytes, kind));
    });
}

EMULATOR_CUDART cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes,
                                                 size_t offset, cudaMemcpyKind kind) {
    return with_runtime([&](Runtime& runtime) {
        void* from = nullptr;
        const cudaError_t found = symbol_range(runtime, symbol, bytes, offset, &from);
        return found != cudaSuccess ? found : error_of(copy(to, from, bytes, kind));
    });
}

EMULATOR_CUDART cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from,
                                                    size_t bytes, size_t offset,
                                                    cudaMemcpyKind kind, cu::CUstream stream) {
    return with_runtime([&](Runtime& runtime) {
        void* to = nullptr;
        const cudaError_t found = symbol_range(runtime, symbol, bytes, offset, &to);
        return found != cudaSuccess ? found : error_of(copy_async(to, from, bytes, kind, stream));
    });
}

EMULATOR_CUDART cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t bytes,
                                                      size_t offset, cudaMemcpyKind kind,
                                                      cu::CUstream stream) {
    return with_runtime([&](Runtime& runtime) {
        void* from = nullptr;
        const cudaError_t found = symbol_range(runtime, symbol, bytes, offset, &from);
        return found != cudaSuccess ? found : error_of(copy_async(to, from, bytes, kind, stream));
    });
}

// ---- Pointers ----

EMULATOR_CUDART cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out,
                                                     const void* pointer) {
    if (out == nullptr) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        unsigned type = 0, managed = 0;
        int ordinal = 0;
        cu::CUdeviceptr device = 0;
        void* host = nullptr;
        cu::CUpointer_attribute which[] = {
            cu::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, cu::CU_POINTER_ATTRIBUTE_IS_MANAGED,
            cu::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, cu::CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
            cu::CU_POINTER_ATTRIBUTE_HOST_POINTER};
        void* values[] = {&type, &managed, &ordinal, &device, &host};
        const CUresult result =
            cu::cuPointerGetAttributes(5, which, values, device_pointer(pointer));
        if (result != cu::CUDA_SUCCESS) return result;
        constexpr int kUnregistered = 0, kManaged = 3;
        *out = {};
        out->type = managed != 0 ? kManaged : type == 0 ? kUnregistered : static_cast<int>(type);
        out->device = ordinal;
        out->devicePointer = reinterpret_cast<void*>(device);
        out->hostPointer = type == 0 ? const_cast<void*>(pointer) : host;
        return cu::CUDA_SUCCESS;
    });
}

/// cudaMemLocation.
struct MemoryLocation {
    int type, id;
};

EMULATOR_CUDART cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes, MemoryLocation,
                                                 unsigned flags, cu::CUstream stream) {
    if (flags != 0) return remember(cudaErrorInvalidValue);
    // Moves nothing here; that the range is managed memory is checked.
    return with_driver([&] {
        return cu::cuStreamAttachMemAsync(stream, device_pointer(pointer), bytes,
                                          cu::CU_MEM_ATTACH_GLOBAL);
    });
}

EMULATOR_CUDART cudaError_t cudaMemAdvise(const void* pointer, size_t bytes, int advice,
                                          MemoryLocation) {
    if (advice < 1 || advice > 6) return remember(cudaErrorInvalidValue);
    return with_driver([&] {
        return cu::cuStreamAttachMemAsync(nullptr, device_pointer(pointer), bytes,
                                          cu::CU_MEM_ATTACH_GLOBAL);
    });
}

}  // namespace emulator::cudart
