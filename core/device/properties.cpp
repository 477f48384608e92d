#include "core/device/properties.hpp"

#include <map>
#include <mutex>

#include "core/device/driver.hpp"

namespace fp6llm::cuda {
namespace {

DeviceProperties ask(int ordinal) {
    const Driver& cu = driver();
    CUdevice device;
    check(cu.DeviceGet(&device, ordinal), "cuDeviceGet");
    const auto attribute = [&](CUdevice_attribute which) {
        int value = 0;
        check(cu.DeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
        return value;
    };
    const auto bytes = [&](CUdevice_attribute which) {
        return static_cast<size_t>(attribute(which));
    };
    DeviceProperties out{};
    out.ordinal = ordinal;
    check(cu.DeviceGetName(out.name, sizeof out.name, device), "cuDeviceGetName");
    check(cu.DeviceTotalMem(&out.total_memory, device), "cuDeviceTotalMem");
    out.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    out.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    out.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    out.threads_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
    out.blocks_per_multiprocessor = attribute(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
    out.registers_per_multiprocessor =
        attribute(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
    out.shared_per_multiprocessor = bytes(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
    out.shared_per_block = bytes(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    out.reserved_shared_per_block = bytes(CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
    out.l2_bytes = bytes(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
    return out;
}

}  // namespace

int device_count() {
    int count = 0;
    check(driver().DeviceGetCount(&count), "cuDeviceGetCount");
    return count;
}

const DeviceProperties& device_properties(int ordinal) {
    // Never destroyed: handles may outlive static destruction.
    static std::mutex& mutex = *new std::mutex;
    static auto& known = *new std::map<int, DeviceProperties>;
    driver();  // in a forked child this throws before the mutex is touched
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = known.find(ordinal);
    if (found != known.end()) return found->second;
    return known.emplace(ordinal, ask(ordinal)).first->second;
}

}  // namespace fp6llm::cuda
