// Initialization, errors' names, and what the device is like.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr int kDriverVersion = 13000;
/// The bus of a device; device 0 is on 1.
constexpr const char* kPciBusId = "0000:%02x:00.0";

/// What differs between architectures; the figures of the data centre part of each, where there is
/// one (A100, A10, L40S, H100 SXM, B200, RTX PRO 6000).
struct ArchRow {
    int arch;
    int threads_per_sm, blocks_per_sm;
    int shared_per_sm, shared_optin;
    int l2_mib, clock_mhz, memory_clock_mhz, bus_bits, double_ratio;
};
constexpr ArchRow kArchitectures[] = {
    {75, 1024, 16, 65536, 65536, 4, 1590, 5001, 256, 32},
    {80, 2048, 32, 167936, 166912, 40, 1410, 1215, 5120, 2},
    {86, 1536, 16, 102400, 101376, 6, 1695, 6251, 384, 64},
    {89, 1536, 24, 102400, 101376, 96, 2520, 9001, 384, 64},
    {90, 2048, 32, 233472, 232448, 50, 1980, 2619, 5120, 2},
    {100, 2048, 32, 233472, 232448, 126, 1965, 3996, 8192, 2},
    {120, 1536, 24, 102400, 101376, 128, 2617, 14001, 512, 64},
};

const ArchRow& arch_row(int arch) {
    const ArchRow* found = &kArchitectures[0];
    for (const ArchRow& row : kArchitectures) {
        if (row.arch <= arch) found = &row;
    }
    return *found;
}

}  // namespace

int device_attribute(Driver& driver, CUdevice_attribute attribute) {
    const Options& options = driver.device().options();
    const ArchRow& row = arch_row(options.arch);
    const bool is_hopper = options.arch >= 90;
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
            return 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
            return 64;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
            return 0x7FFFFFFF;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
            return 65535;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
            return 48 * 1024;
        case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
            return 65536;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
            return 32;
        case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
            return 0x7FFFFFFF;
        case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
        case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
            return 65536;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
            return row.clock_mhz * 1000;
        case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
        case CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT:
            return 512;
        case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
            return 32;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
            return options.multiprocessors;
        case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
        case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
        case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
        case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
        case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
        case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
        case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
        case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
        case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
        case CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS:
            return 1;
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
            return row.memory_clock_mhz * 1000;
        case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
            return row.bus_bits;
        case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
            return row.l2_mib << 20;
        case CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE:
            return row.l2_mib << 19;
        case CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE:
            return 128 << 20;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
            return row.threads_per_sm;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
            return row.blocks_per_sm;
        case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
            return 3;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
            return options.arch / 10;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
            return options.arch % 10;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
            return row.shared_per_sm;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
            return row.shared_optin;
        case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK:
            return options.arch >= 80 ? 1024 : 0;
        case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
            return row.double_ratio;
        case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH:
        case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED:
            return is_hopper ? 1 : 0;
        case CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT:
            return is_hopper ? 4 : 1;
        default:
            break;
    }
    // The others, textures' limits among them, are what this device does not have.
    require(attribute > 0 && attribute <= CU_DEVICE_ATTRIBUTE_LAST);
    return 0;
}

extern "C" {

CUresult cuInit(unsigned flags) {
    return guard(
        [&](Driver& driver) {
            require(flags == 0);
            if (driver.initialized) return;
            driver.device();
            driver.read_environment();
            driver.initialized = true;
        },
        false);
}

CUresult cuDriverGetVersion(int* version) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = kDriverVersion;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (error) {
#define EMULATOR_CUDA_RESULT(id, value, text) \
    case id:                                  \
        *name = #id;                          \
        return CUDA_SUCCESS;
        EMULATOR_CUDA_RESULTS(EMULATOR_CUDA_RESULT)
#undef EMULATOR_CUDA_RESULT
    }
    *name = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (error) {
#define EMULATOR_CUDA_RESULT(id, value, words) \
    case id:                                   \
        *text = words;                         \
        return CUDA_SUCCESS;
        EMULATOR_CUDA_RESULTS(EMULATOR_CUDA_RESULT)
#undef EMULATOR_CUDA_RESULT
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    return guard([&](Driver& driver) {
        require(device != nullptr);
        driver.check_device(ordinal);
        *device = ordinal;
    });
}

CUresult cuDeviceGetCount(int* count) {
    return guard([&](Driver& driver) {
        require(count != nullptr);
        *count = driver.device().options().devices;
    });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(name != nullptr && length > 0);
        const int arch = driver.arch();
        std::snprintf(name, static_cast<size_t>(length), "Emulated GPU (sm_%d)", arch);
    });
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(uuid != nullptr);
        std::memset(uuid->bytes, 0, sizeof uuid->bytes);
        char text[32];
        std::snprintf(text, sizeof text, "emulated-%d-sm%d", device, driver.arch());
        std::memcpy(uuid->bytes, text, std::min(std::strlen(text), sizeof uuid->bytes));
    });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    return cuDeviceGetUuid(uuid, device);
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(bytes != nullptr);
        *bytes = driver.device().options().memory_bytes;
    });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(value != nullptr);
        *value = device_attribute(driver, attribute);
    });
}

CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(major != nullptr && minor != nullptr);
        *major = driver.arch() / 10;
        *minor = driver.arch() % 10;
    });
}

CUresult cuDeviceGetPCIBusId(char* id, int length, CUdevice device) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        require(id != nullptr && length > 0);
        std::snprintf(id, static_cast<size_t>(length), kPciBusId, device + 1);
    });
}

CUresult cuDeviceGetByPCIBusId(CUdevice* device, const char* id) {
    return guard([&](Driver& driver) {
        require(device != nullptr && id != nullptr);
        unsigned bus = 0;
        require(std::sscanf(id, kPciBusId, &bus) == 1, CUDA_ERROR_INVALID_DEVICE);
        const int found = static_cast<int>(bus) - 1;
        driver.check_device(found);
        *device = found;
    });
}

CUresult cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
    return guard([&](Driver& driver) {
        driver.check_device(device);
        driver.check_device(peer);
        require(can != nullptr);
        *can = 0;
    });
}

}  // extern "C"

}  // namespace emulator::cu
