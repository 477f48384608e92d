// Copies and memsets. Both sides are checked when the copy is asked for: what is device memory must
// lie in one live allocation, and a host pointer where the API wants a device's is an error, as is the
// reverse.
#include <cstring>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

enum class Side { kHost, kDevice, kEither };

/// Checks `bytes` bytes at an address against what the API asks for; true if it is device memory.
bool is_on_device(Driver& driver, uint64_t address, uint64_t bytes, Side side) {
    require(address != 0);
    uint64_t base = 0, size = 0;
    const bool found = driver.device().find(address, &base, &size);
    if (!found) {
        require(side != Side::kDevice);
        return false;
    }
    const Allocation* allocation = driver.holder(address, 1);
    const bool is_reachable_by_host =
        allocation != nullptr && (allocation->kind == Allocation::Kind::kHost ||
                                  allocation->kind == Allocation::Kind::kManaged);
    require(side != Side::kHost || is_reachable_by_host);
    require(bytes <= size && address - base <= size - bytes);
    return true;
}

/// Copies now, for the work that runs; a device range that has been freed since it was checked is an illegal address.
void copy_now(Driver& driver, uint64_t to, bool to_device, uint64_t from, bool from_device,
              uint64_t bytes) {
    Device& device = driver.device();
    if (from_device) driver.touch(from, bytes, false);
    if (to_device) driver.touch(to, bytes, true);
    bool done = true;
    if (to_device && from_device)
        done = device.copy_on_device(to, from, bytes);
    else if (to_device)
        done = device.copy_to_device(to, reinterpret_cast<const void*>(from), bytes);
    else if (from_device)
        done = device.copy_to_host(reinterpret_cast<void*>(to), from, bytes);
    else
        std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    require(done, CUDA_ERROR_ILLEGAL_ADDRESS);
}

/// A copy of `height` rows.
struct Copy {
    uint64_t to, from;
    Side to_side, from_side;
    uint64_t width, height = 1, to_pitch = 0, from_pitch = 0;

    uint64_t extent(uint64_t pitch) const { return (height - 1) * pitch + width; }
};

void enqueue_copy(Driver& driver, const Copy& copy, Stream& stream) {
    if (copy.width == 0 || copy.height == 0) return;
    const bool to_device = is_on_device(driver, copy.to, copy.extent(copy.to_pitch), copy.to_side);
    const bool from_device =
        is_on_device(driver, copy.from, copy.extent(copy.from_pitch), copy.from_side);
    const CUresult refused = driver.injected(EMULATOR_FAIL_COPY);
    require(refused == CUDA_SUCCESS, refused);
    driver.enqueue(stream, CU_GRAPH_NODE_TYPE_MEMCPY, [=, &driver](Context&) {
        for (uint64_t row = 0; row < copy.height; ++row)
            copy_now(driver, copy.to + row * copy.to_pitch, to_device,
                     copy.from + row * copy.from_pitch, from_device, copy.width);
    });
}

/// The synchronous form: on the legacy stream, waited for.
void copy_and_wait(Driver& driver, const Copy& copy) {
    Context& context = driver.current();
    driver.forbid_capture();
    driver.synchronize(context);
    enqueue_copy(driver, copy, *context.legacy);
    driver.synchronize(context);
}

CUresult copy_sync(CUdeviceptr to, Side to_side, CUdeviceptr from, Side from_side, size_t bytes) {
    return guard([&](Driver& driver) {
        copy_and_wait(driver, {to, from, to_side, from_side, bytes});
    });
}

CUresult copy_async(CUdeviceptr to, Side to_side, CUdeviceptr from, Side from_side, size_t bytes,
                    CUstream stream) {
    return guard([&](Driver& driver) {
        Stream& known = driver.stream_of(stream);
        enqueue_copy(driver, {to, from, to_side, from_side, bytes}, known);
    });
}

uint64_t address_of(const void* host) {
    return reinterpret_cast<uintptr_t>(host);
}

/// One side of a 2D copy: its first byte.
uint64_t side_of(CUmemorytype type, const void* host, CUdeviceptr device, size_t x, size_t y,
                 size_t pitch, Side* side) {
    uint64_t base = 0;
    switch (type) {
        case CU_MEMORYTYPE_HOST:
            base = address_of(host);
            *side = Side::kHost;
            break;
        case CU_MEMORYTYPE_DEVICE:
            base = device;
            *side = Side::kDevice;
            break;
        case CU_MEMORYTYPE_UNIFIED:
            base = device;
            *side = Side::kEither;
            break;
        case CU_MEMORYTYPE_ARRAY:
            fail(CUDA_ERROR_NOT_SUPPORTED);
        default:
            fail(CUDA_ERROR_INVALID_VALUE);
    }
    require(base != 0);
    return base + y * pitch + x;
}

Copy copy_2d(const CUDA_MEMCPY2D* parameters) {
    require(parameters != nullptr);
    const CUDA_MEMCPY2D& p = *parameters;
    Copy copy{};
    copy.width = p.WidthInBytes;
    copy.height = p.Height;
    copy.to_pitch = p.dstPitch != 0 ? p.dstPitch : p.WidthInBytes + p.dstXInBytes;
    copy.from_pitch = p.srcPitch != 0 ? p.srcPitch : p.WidthInBytes + p.srcXInBytes;
    require(copy.to_pitch >= p.dstXInBytes + p.WidthInBytes &&
            copy.from_pitch >= p.srcXInBytes + p.WidthInBytes);
    copy.to = side_of(p.dstMemoryType, p.dstHost, p.dstDevice, p.dstXInBytes, p.dstY, copy.to_pitch,
                      &copy.to_side);
    copy.from = side_of(p.srcMemoryType, p.srcHost, p.srcDevice, p.srcXInBytes, p.srcY,
                        copy.from_pitch, &copy.from_side);
    return copy;
}

/// `height` rows of `width` elements.
struct Fill {
    CUdeviceptr to;
    uint32_t value;
    int element;
    size_t width, height = 1, pitch = 0;
};

void enqueue_fill(Driver& driver, const Fill& fill, Stream& stream) {
    require(fill.to % static_cast<unsigned>(fill.element) == 0);
    require(fill.height <= 1 || fill.pitch % static_cast<unsigned>(fill.element) == 0);
    if (fill.width == 0 || fill.height == 0) return;
    size_t row_bytes = 0;
    require(!__builtin_mul_overflow(fill.width, static_cast<size_t>(fill.element), &row_bytes));
    require(fill.height == 1 || fill.pitch >= row_bytes);
    is_on_device(driver, fill.to, (fill.height - 1) * fill.pitch + row_bytes, Side::kDevice);
    const CUresult refused = driver.injected(EMULATOR_FAIL_COPY);
    require(refused == CUDA_SUCCESS, refused);
    driver.enqueue(stream, CU_GRAPH_NODE_TYPE_MEMSET, [=, &driver](Context&) {
        for (size_t row = 0; row < fill.height; ++row) {
            driver.touch(fill.to + row * fill.pitch,
                         fill.width * static_cast<uint64_t>(fill.element), true);
            require(driver.device().fill(fill.to + row * fill.pitch, fill.value, fill.element,
                                         fill.width),
                    CUDA_ERROR_ILLEGAL_ADDRESS);
        }
    });
}

CUresult fill_sync(const Fill& fill) {
    return guard([&](Driver& driver) {
        Context& context = driver.current();
        driver.forbid_capture();
        // Asynchronous to the host, but on the legacy stream.
        enqueue_fill(driver, fill, *context.legacy);
    });
}

CUresult fill_async(const Fill& fill, CUstream stream) {
    return guard([&](Driver& driver) { enqueue_fill(driver, fill, driver.stream_of(stream)); });
}

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return copy_sync(to, Side::kEither, from, Side::kEither, bytes);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
    return copy_sync(to, Side::kDevice, address_of(from), Side::kHost, bytes);
}
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
    return copy_sync(address_of(to), Side::kHost, from, Side::kDevice, bytes);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return copy_sync(to, Side::kDevice, from, Side::kDevice, bytes);
}
CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy_async(to, Side::kEither, from, Side::kEither, bytes, stream);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    return copy_async(to, Side::kDevice, address_of(from), Side::kHost, bytes, stream);
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy_async(address_of(to), Side::kHost, from, Side::kDevice, bytes, stream);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    return copy_async(to, Side::kDevice, from, Side::kDevice, bytes, stream);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* copy) {
    return guard([&](Driver& driver) { copy_and_wait(driver, copy_2d(copy)); });
}
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* copy) {
    return cuMemcpy2D_v2(copy);
}
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* copy, CUstream stream) {
    return guard(
        [&](Driver& driver) { enqueue_copy(driver, copy_2d(copy), driver.stream_of(stream)); });
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
    return fill_sync({to, value, 1, count});
}
CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
    return fill_sync({to, value, 2, count});
}
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
    return fill_sync({to, value, 4, count});
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    return fill_async({to, value, 1, count}, stream);
}
CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
    return fill_async({to, value, 2, count}, stream);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    return fill_async({to, value, 4, count}, stream);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr to, size_t pitch, unsigned char value, size_t width,
                         size_t height) {
    return fill_sync({to, value, 1, width, height, pitch});
}
CUresult cuMemsetD2D16_v2(CUdeviceptr to, size_t pitch, unsigned short value, size_t width,
                          size_t height) {
    return fill_sync({to, value, 2, width, height, pitch});
}
CUresult cuMemsetD2D32_v2(CUdeviceptr to, size_t pitch, unsigned value, size_t width,
                          size_t height) {
    return fill_sync({to, value, 4, width, height, pitch});
}
CUresult cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width,
                           size_t height, CUstream stream) {
    return fill_async({to, value, 1, width, height, pitch}, stream);
}
CUresult cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width,
                            size_t height, CUstream stream) {
    return fill_async({to, value, 2, width, height, pitch}, stream);
}
CUresult cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width,
                            size_t height, CUstream stream) {
    return fill_async({to, value, 4, width, height, pitch}, stream);
}

}  // extern "C"

}  // namespace emulator::cu
