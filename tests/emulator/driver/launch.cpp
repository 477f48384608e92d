// Launches: arguments gathered, limits checked, run.
#include <algorithm>
#include <cstring>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

// Tags of the `extra` list.
constexpr uintptr_t kExtraEnd = 0, kExtraPointer = 1, kExtraSize = 2;
constexpr unsigned kPortableCluster = 8, kLargestCluster = 16;

/// The error that a fault has on hardware.
CUresult result_of(const LaunchReport& report) {
    for (const Finding& finding : report.findings) {
        switch (finding.kind) {
            case FindingKind::kOutOfBounds:
                return CUDA_ERROR_ILLEGAL_ADDRESS;
            case FindingKind::kMisaligned:
                return CUDA_ERROR_MISALIGNED_ADDRESS;
            case FindingKind::kDeadlock:
                return CUDA_ERROR_LAUNCH_TIMEOUT;
            default:
                break;
        }
    }
    return CUDA_ERROR_LAUNCH_FAILED;
}

/// Registered host memory: into the kernels' copy, or back.
void synchronize_registered(Driver& driver, bool to_device) {
    for (const auto& [base, range] : driver.registered) {
        void* host = reinterpret_cast<void*>(base);
        const bool done = to_device
                              ? driver.device().copy_to_device(range.mapped, host, range.bytes)
                              : driver.device().copy_to_host(host, range.mapped, range.bytes);
        require(done, CUDA_ERROR_ILLEGAL_ADDRESS);
    }
}

/// What attributes of a launch ask for beyond its Launch.
struct Extras {
    CUevent event = nullptr;  ///< programmatic or completion event
};

void apply_attribute(Driver& driver, const CUlaunchAttribute& attribute, Launch& launch,
                     Extras& extras) {
    const CUlaunchAttributeValue& value = attribute.value;
    switch (attribute.id) {
        case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
            require(value.clusterDim.x > 0 && value.clusterDim.y > 0 && value.clusterDim.z > 0);
            require(driver.arch() >= 90, CUDA_ERROR_INVALID_CLUSTER_SIZE);
            launch.config.cluster[0] = value.clusterDim.x;
            launch.config.cluster[1] = value.clusterDim.y;
            launch.config.cluster[2] = value.clusterDim.z;
            return;
        case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
            require(value.cooperative == 0 || value.cooperative == 1);
            launch.is_cooperative = value.cooperative != 0;
            return;
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
            require(value.programmaticStreamSerializationAllowed == 0 || driver.arch() >= 90,
                    CUDA_ERROR_NOT_SUPPORTED);
            return;  // kernels of a stream run one after the other here: one order that it allows
        case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
        case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT: {
            const Event& event = driver.get(value.programmaticEvent.event);
            require((event.flags & CU_EVENT_DISABLE_TIMING) != 0);
            extras.event = value.programmaticEvent.event;
            return;
        }
        case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
            require(value.clusterSchedulingPolicyPreference >= 0 &&
                    value.clusterSchedulingPolicyPreference <= 2);
            return;
        case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
            require(value.sharedMemCarveout <= 100);
            return;
        case CU_LAUNCH_ATTRIBUTE_IGNORE:
        case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
        case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
        case CU_LAUNCH_ATTRIBUTE_PRIORITY:
        case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
        case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
            return;  // hints
        case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
            fail(CUDA_ERROR_NOT_SUPPORTED);
    }
    fail(CUDA_ERROR_INVALID_VALUE);
}

void launch_into(Driver& driver, const CUlaunchConfig& config, CUfunction handle, void** parameters,
                 void** extra, bool is_cooperative) {
    Stream& stream = driver.stream_of(config.hStream);
    Launch launch;
    launch.function = &function_of(driver, *stream.context, handle);
    launch.config.grid[0] = config.gridDimX;
    launch.config.grid[1] = config.gridDimY;
    launch.config.grid[2] = config.gridDimZ;
    launch.config.block[0] = config.blockDimX;
    launch.config.block[1] = config.blockDimY;
    launch.config.block[2] = config.blockDimZ;
    launch.config.dynamic_shared = config.sharedMemBytes;
    launch.is_cooperative = is_cooperative;
    require(config.numAttrs == 0 || config.attrs != nullptr);
    Extras extras;
    for (unsigned i = 0; i < config.numAttrs; ++i)
        apply_attribute(driver, config.attrs[i], launch, extras);
    check_launch(driver, launch);
    launch.parameters = gather_parameters(*launch.function, parameters, extra);
    const CUresult refused = driver.injected(EMULATOR_FAIL_LAUNCH);
    require(refused == CUDA_SUCCESS, refused);

    GraphNode* node =
        driver.enqueue(stream, CU_GRAPH_NODE_TYPE_KERNEL,
                       [&driver, launch](Context& context) { driver.launch(context, launch); });
    if (node != nullptr) node->launch = launch;
    if (extras.event != nullptr) {
        const CUresult recorded = cuEventRecord(extras.event, config.hStream);
        require(recorded == CUDA_SUCCESS, recorded);
    }
    // Findings that count as failures are told at once: the launch's caller is to blame.
    if (driver.findings_fail && node == nullptr) Driver::surface(*stream.context);
}

}  // namespace

std::vector<uint8_t> gather_parameters(const Function& function, void** parameters, void** extra) {
    const auto& layout = function.facts.parameters;
    size_t bytes = 0;
    for (const auto& [offset, size] : layout)
        bytes = std::max<size_t>(bytes, size_t{offset} + size);
    std::vector<uint8_t> block(bytes);
    require(parameters == nullptr || extra == nullptr);
    if (extra != nullptr) {
        const void* buffer = nullptr;
        size_t given = 0;
        bool has_size = false;
        for (void** at = extra; reinterpret_cast<uintptr_t>(*at) != kExtraEnd; at += 2) {
            const auto tag = reinterpret_cast<uintptr_t>(*at);
            require(tag == kExtraPointer || tag == kExtraSize);
            if (tag == kExtraPointer) {
                buffer = at[1];
            } else {
                require(at[1] != nullptr);
                given = *static_cast<const size_t*>(at[1]);
                has_size = true;
            }
        }
        require(has_size && (buffer != nullptr || given == 0));
        require(given >= bytes);
        if (bytes > 0) std::memcpy(block.data(), buffer, bytes);
        return block;
    }
    require(layout.empty() || parameters != nullptr);
    for (size_t i = 0; i < layout.size(); ++i) {
        require(parameters[i] != nullptr);
        std::memcpy(block.data() + layout[i].first, parameters[i], layout[i].second);
    }
    return block;
}

void check_launch(Driver& driver, const Launch& launch) {
    const Function& function = *launch.function;
    const LaunchConfig& config = launch.config;
    const auto limit = [&](CUdevice_attribute first, int dimension) {
        return static_cast<uint32_t>(
            device_attribute(driver, static_cast<CUdevice_attribute>(first + dimension)));
    };
    uint64_t threads = 1, blocks = 1;
    for (int d = 0; d < 3; ++d) {
        require(config.grid[d] > 0 && config.block[d] > 0);
        require(config.grid[d] <= limit(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, d));
        require(config.block[d] <= limit(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, d));
        threads *= config.block[d];
        blocks *= config.grid[d];
    }
    // Also what .maxntid and .reqntid of the kernel say.
    require(threads <= static_cast<uint64_t>(std::max(0, function.facts.max_threads)));
    require(config.dynamic_shared <= static_cast<uint32_t>(function.max_dynamic_shared));

    const int* required = function.facts.required_cluster;
    uint64_t cluster = 1;
    for (int d = 0; d < 3; ++d) {
        const uint32_t own = required[0] > 0 ? static_cast<uint32_t>(std::max(1, required[d])) : 0;
        const uint32_t asked = config.cluster[d];
        require(own == 0 || asked == 0 || own == asked, CUDA_ERROR_INVALID_CLUSTER_SIZE);
        const uint32_t size = std::max({1u, own, asked});
        require(config.grid[d] % size == 0, CUDA_ERROR_INVALID_CLUSTER_SIZE);
        cluster *= size;
    }
    const unsigned largest = function.non_portable_cluster ? kLargestCluster : kPortableCluster;
    require(cluster == 1 || (driver.arch() >= 90 && cluster <= largest),
            CUDA_ERROR_INVALID_CLUSTER_SIZE);

    const int active =
        active_blocks(driver, function, static_cast<int>(threads), config.dynamic_shared);
    require(active > 0, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    const uint64_t resident = static_cast<uint64_t>(active) *
                              static_cast<uint64_t>(driver.device().options().multiprocessors);
    require(!launch.is_cooperative || blocks <= resident, CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    require(cluster <= resident, CUDA_ERROR_INVALID_CLUSTER_SIZE);
}

void Driver::launch(Context&, const Launch& launch) {
    // A graph may be launched after the module it came from was unloaded.
    require(launch.function->alive, CUDA_ERROR_ILLEGAL_ADDRESS);
    const CUresult faulted = injected(EMULATOR_FAIL_EXECUTION);
    require(faulted == CUDA_SUCCESS, faulted);
    synchronize_registered(*this, true);
    const LaunchReport report =
        device().launch(*launch.function->loaded, launch.config, launch.parameters);
    record(report);
    synchronize_registered(*this, false);
    if (report.faulted) fail(result_of(report));
    if (findings_fail && !report.findings.empty()) fail(CUDA_ERROR_LAUNCH_FAILED);
}

extern "C" {

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                        CUstream stream, void** parameters, void** extra) {
    return guard([&](Driver& driver) {
        const CUlaunchConfig config{grid_x,  grid_y, grid_z, block_x, block_y,
                                    block_z, shared, stream, nullptr, 0};
        launch_into(driver, config, function, parameters, extra, false);
    });
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                   unsigned grid_z, unsigned block_x, unsigned block_y,
                                   unsigned block_z, unsigned shared, CUstream stream,
                                   void** parameters) {
    return guard([&](Driver& driver) {
        const CUlaunchConfig config{grid_x,  grid_y, grid_z, block_x, block_y,
                                    block_z, shared, stream, nullptr, 0};
        launch_into(driver, config, function, parameters, nullptr, true);
    });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra) {
    return guard([&](Driver& driver) {
        require(config != nullptr);
        launch_into(driver, *config, function, parameters, extra, false);
    });
}

}  // extern "C"

}  // namespace emulator::cu
