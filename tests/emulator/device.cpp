#include "tests/emulator/device.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/emulator/exec/launch.hpp"
#include "tests/emulator/ptx/parser.hpp"

namespace emulator {
namespace {

constexpr uint32_t kMaxThreadsPerBlock = 1024;
constexpr uint32_t kMaxClusterBlocks = 16;
/// Fixed, as PTX says nothing about registers.
constexpr int kRegistersPerThread = 128;
/// Launches below this many clusters a host thread are not worth a second one.
constexpr uint64_t kClustersPerThread = 2;

struct SharedLimits {
    uint32_t per_block, per_multiprocessor;
};
/// CUDA C++ programming guide, "Technical Specifications per Compute Capability".
SharedLimits shared_limits(int arch) {
    if (arch >= 90 && arch < 120) return {227 * 1024, 228 * 1024};
    if (arch == 80 || arch == 87) return {163 * 1024, 164 * 1024};
    return {99 * 1024, 100 * 1024};
}
uint32_t threads_per_multiprocessor(int arch) {
    return arch == 80 || arch == 87 || (arch >= 90 && arch < 120) ? 2048 : 1536;
}

uint64_t number_from(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == 0) return otherwise;
    char* end = nullptr;
    const uint64_t value = std::strtoull(text, &end, 0);
    if (*end != 0) throw std::runtime_error(std::string(name) + " is no number: " + text);
    return value;
}

}  // namespace

Options Options::from_environment() {
    Options options;
    options.arch = static_cast<int>(number_from("EMU_ARCH", 90));
    options.multiprocessors = static_cast<int>(number_from("EMU_SMS", 4));
    options.devices = static_cast<int>(number_from("EMU_DEVICES", 1));
    options.seed = number_from("EMU_SEED", 1);
    options.checks = number_from("EMU_CHECKS", 1) != 0;
    options.random_schedule = number_from("EMU_RANDOM", 1) != 0;
    options.double_writes = number_from("EMU_DOUBLE_WRITES", 0) != 0;
    options.host_threads = static_cast<int>(number_from("EMU_THREADS", 0));
    options.memory_bytes = number_from("EMU_MEMORY", options.memory_bytes);
    if (const char* path = std::getenv("EMU_REPORT")) options.report_path = path;
    return options;
}

struct LoadedFunction {
    std::shared_ptr<const ptx::Module> module;
    const ptx::Function* function = nullptr;
    std::unique_ptr<Program> program;
    uint64_t parameter_address = 0;
};

struct LoadedModule {
    std::shared_ptr<const ptx::Module> module;
    Linkage linkage;
    std::map<std::string, uint64_t> bytes;  ///< of variables
    std::map<std::string, std::unique_ptr<LoadedFunction>> functions;
    std::vector<uint64_t> allocations;
    Arena* arena = nullptr;

    ~LoadedModule() {
        bool intact;
        for (const uint64_t base : allocations)
            if (arena->contains(base)) arena->free(base, &intact);
    }
};

struct Device::State {
    explicit State(const Options& o)
        : options(o),
          arena(std::make_shared<Arena>(o.memory_bytes)),
          shadow(arena->base(), arena->reserved()) {}
    Options options;
    std::shared_ptr<Arena> arena;
    GlobalShadow shadow;
    GlobalSync sync;
    std::mutex mutex;  ///< one launch at a time
    uint64_t launches = 0;
    std::shared_ptr<StreamWork> work;
};

Device::Device(const Options& options) : state_(std::make_unique<State>(options)) {}
Device::~Device() = default;

const Options& Device::options() const noexcept {
    return state_->options;
}
void Device::set_seed(uint64_t seed) {
    state_->options.seed = seed;
}
void Device::set_checks(bool checks) {
    state_->options.checks = checks;
}

// --- modules ---------------------------------------------------------------------------------------

std::shared_ptr<LoadedModule> Device::load(std::string_view text) {
    auto parsed = std::make_shared<ptx::Module>(ptx::parse(text));
    std::shared_ptr<Arena> arena = state_->arena;
    // The module gives its memory back; it may outlive the device.
    std::shared_ptr<LoadedModule> module(new LoadedModule, [arena](LoadedModule* m) { delete m; });
    module->arena = arena.get();
    module->module = parsed;
    module->linkage.module = parsed.get();
    module->linkage.arch = state_->options.arch;

    const auto place = [&](uint64_t bytes, bool read_only) {
        const uint64_t address = arena->allocate(std::max<uint64_t>(bytes, 1), read_only);
        if (address == 0) throw std::runtime_error("no memory for the module's variables");
        module->allocations.push_back(address);
        return address;
    };
    std::vector<const ptx::Variable*> variables;
    for (const ptx::Variable& variable : parsed->variables)
        variables.push_back(&variable);
    for (const ptx::Function& function : parsed->functions)
        for (const ptx::Variable& variable : function.locals)
            variables.push_back(&variable);
    for (const ptx::Variable* variable : variables) {
        const bool constant = variable->space == ptx::Space::kConst;
        if (variable->space != ptx::Space::kGlobal && !constant) continue;
        if (variable->is_extern && variable->bytes == 0)
            throw std::runtime_error("unresolved variable " + variable->name);
        const uint64_t address = place(static_cast<uint64_t>(variable->bytes), constant);
        module->linkage.addresses[variable->name] = address;
        module->bytes[variable->name] = static_cast<uint64_t>(variable->bytes);
        auto* data = reinterpret_cast<uint8_t*>(address);
        std::memset(data, 0, static_cast<size_t>(variable->bytes));
        std::memcpy(data, variable->init.data(),
                    std::min(variable->init.size(), static_cast<size_t>(variable->bytes)));
        arena->set_initialized(*arena->find(address), address,
                               static_cast<uint64_t>(variable->bytes));
    }
    for (const ptx::Variable* variable : variables) {
        for (const auto& relocation : variable->relocations) {
            uint64_t target = 0;
            if (const auto found = module->linkage.addresses.find(relocation.symbol);
                found != module->linkage.addresses.end())
                target = found->second;
            else
                target = function_address(*parsed, relocation.symbol);
            if (target == 0)
                throw std::runtime_error("unresolved symbol " + relocation.symbol +
                                         " in the initializer of " + variable->name);
            target += static_cast<uint64_t>(relocation.addend);
            std::memcpy(reinterpret_cast<uint8_t*>(module->linkage.addresses.at(variable->name)) +
                            relocation.at,
                        &target, 8);
        }
    }
    for (const ptx::Function& function : parsed->functions) {
        if (!function.is_entry || function.is_declaration) continue;
        auto loaded = std::make_unique<LoadedFunction>();
        loaded->module = parsed;
        loaded->function = &function;
        uint64_t bytes = 0;
        for (const ptx::Variable& parameter : function.parameters) {
            const auto align = static_cast<uint64_t>(std::max<int64_t>(parameter.align, 1));
            bytes = (bytes + align - 1) / align * align + static_cast<uint64_t>(parameter.bytes);
        }
        loaded->parameter_address = place(bytes, true);
        const Allocation& allocation = *arena->find(loaded->parameter_address);
        arena->set_initialized(allocation, allocation.base, allocation.bytes);
        loaded->program = lower_entry(module->linkage, function, loaded->parameter_address);
        module->functions[function.name] = std::move(loaded);
    }
    return module;
}

const LoadedFunction* Device::function(const LoadedModule& module, std::string_view name) const {
    const auto found = module.functions.find(std::string(name));
    return found == module.functions.end() ? nullptr : found->second.get();
}

uint64_t Device::global(const LoadedModule& module, std::string_view name, uint64_t* bytes) const {
    const auto found = module.linkage.addresses.find(std::string(name));
    if (found == module.linkage.addresses.end()) return 0;
    if (bytes != nullptr) *bytes = module.bytes.at(found->first);
    return found->second;
}

FunctionFacts facts(const LoadedFunction& loaded) {
    FunctionFacts result{};
    const ptx::Function& function = *loaded.function;
    int64_t threads = 1, required = 1;
    for (int i = 0; i < 3; ++i) {
        threads *= std::max(1, function.max_threads[i]);
        required *= std::max(1, function.required_threads[i]);
        result.required_cluster[i] = function.cluster[i];
    }
    result.max_threads = kMaxThreadsPerBlock;
    if (function.max_threads[0] != 0)
        result.max_threads = static_cast<int>(std::min<int64_t>(threads, kMaxThreadsPerBlock));
    if (function.required_threads[0] != 0) result.max_threads = static_cast<int>(required);
    result.static_shared = static_cast<int>(loaded.program->static_shared);
    result.registers = std::min(kRegistersPerThread, 65536 / std::max(32, result.max_threads));
    for (const ParameterPlace& place : loaded.program->parameters)
        result.parameters.emplace_back(place.offset, place.bytes);
    for (const auto& kernel : loaded.program->functions)
        result.local_bytes += static_cast<int>(kernel->local_bytes);
    return result;
}

// --- memory ----------------------------------------------------------------------------------------

uint64_t Device::allocate(uint64_t bytes) {
    return state_->arena->allocate(bytes);
}

bool Device::free(uint64_t address) {
    bool intact = true;
    return state_->arena->free(address, &intact);
}

bool Device::find(uint64_t address, uint64_t* base, uint64_t* bytes) const {
    const Allocation* allocation = state_->arena->holder(address, 1);
    if (allocation == nullptr) return false;
    if (base != nullptr) *base = allocation->base;
    if (bytes != nullptr) *bytes = allocation->bytes;
    return true;
}

bool Device::copy_to_device(uint64_t device, const void* host, uint64_t bytes) {
    if (bytes == 0) return true;
    const Allocation* allocation = state_->arena->holder(device, bytes);
    if (allocation == nullptr) return false;
    std::memcpy(reinterpret_cast<void*>(device), host, bytes);
    state_->arena->set_initialized(*allocation, device, bytes);
    return true;
}

bool Device::copy_to_host(void* host, uint64_t device, uint64_t bytes) {
    if (bytes == 0) return true;
    if (state_->arena->holder(device, bytes) == nullptr) return false;
    std::memcpy(host, reinterpret_cast<const void*>(device), bytes);
    return true;
}

bool Device::copy_on_device(uint64_t to, uint64_t from, uint64_t bytes) {
    if (bytes == 0) return true;
    Arena& arena = *state_->arena;
    const Allocation* target = arena.holder(to, bytes);
    const Allocation* source = arena.holder(from, bytes);
    if (target == nullptr || source == nullptr) return false;
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    if (arena.is_initialized(*source, from, bytes)) {
        arena.set_initialized(*target, to, bytes);
        return true;
    }
    for (uint64_t i = 0; i < bytes; ++i) {
        if (arena.is_initialized(*source, from + i, 1))
            arena.set_initialized(*target, to + i, 1);
        else
            arena.set_uninitialized(*target, to + i, 1);
    }
    return true;
}

bool Device::fill(uint64_t device, uint32_t value, int value_bytes, uint64_t count) {
    const uint64_t bytes = count * static_cast<uint64_t>(value_bytes);
    if (bytes == 0) return true;
    const Allocation* allocation = state_->arena->holder(device, bytes);
    if (allocation == nullptr) return false;
    auto* to = reinterpret_cast<uint8_t*>(device);
    if (value_bytes == 1) {
        std::memset(to, static_cast<int>(value), bytes);
    } else {
        for (uint64_t i = 0; i < count; ++i)
            std::memcpy(to + i * static_cast<uint64_t>(value_bytes), &value,
                        static_cast<size_t>(value_bytes));
    }
    state_->arena->set_initialized(*allocation, device, bytes);
    return true;
}

// --- the order of streams --------------------------------------------------------------------------

void Device::set_work(std::shared_ptr<StreamWork> work, const StreamClock& host) {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->work = state_->options.checks ? std::move(work) : nullptr;
    state_->shadow.set_work(state_->work, host);
}

LaunchReport Device::touch(uint64_t address, uint64_t bytes, bool writes) {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    LaunchReport report;
    if (state_->work == nullptr || state_->arena->holder(address, bytes) == nullptr) return report;
    report.kernel = state_->work->what;
    report.seed = state_->options.seed;
    const Conflict conflict = state_->shadow.touch(address, bytes, writes);
    if (!conflict) return report;
    char place[24];
    std::snprintf(place, sizeof place, "0x%llx", static_cast<unsigned long long>(conflict.address));
    Finding finding{};
    finding.kind = conflict.kind;
    finding.kernel = report.kernel;
    finding.message = state_->work->what + " in stream " + std::to_string(state_->work->stream) +
                      (writes ? " writes " : " reads ") + place + ", unordered with the " +
                      (conflict.other_writes ? "write" : "read") + " by " +
                      conflict.other_work->what + " in stream " +
                      std::to_string(conflict.other_work->stream) +
                      ": no event, stream or synchronization orders them";
    report.findings.push_back(std::move(finding));
    return report;
}

// --- launches --------------------------------------------------------------------------------------

namespace {

/// What is wrong with a launch before it starts; "" if nothing.
std::string refuse(const LoadedFunction& loaded, Launch& launch, size_t parameter_bytes) {
    const auto& config = launch.config;
    const ptx::Function& function = *loaded.function;
    const int arch = launch.options->arch;
    uint64_t threads = 1;
    for (int i = 0; i < 3; ++i) {
        if (config.grid[i] == 0 || config.block[i] == 0) return "an empty grid or block";
        threads *= config.block[i];
    }
    if (threads > kMaxThreadsPerBlock || config.block[2] > 64) return "too many threads per block";
    uint64_t most = 1;
    for (int i = 0; i < 3; ++i) {
        most *= static_cast<uint64_t>(std::max(1, function.max_threads[i]));
        if (function.required_threads[0] != 0 &&
            config.block[i] != static_cast<uint32_t>(std::max(1, function.required_threads[i])))
            return "the block differs from .reqntid";
    }
    if (function.max_threads[0] != 0 && threads > most) return "more threads than .maxntid";
    uint32_t blocks = 1;
    for (int i = 0; i < 3; ++i) {
        uint32_t wanted = config.cluster[i];
        if (function.cluster[i] != 0) {
            if (wanted != 0 && wanted != static_cast<uint32_t>(function.cluster[i]))
                return "the cluster differs from the kernel's own";
            wanted = static_cast<uint32_t>(function.cluster[i]);
        }
        wanted = std::max(1u, wanted);
        if (config.grid[i] % wanted != 0) return "the grid is no multiple of the cluster";
        launch.cluster_shape[static_cast<size_t>(i)] = static_cast<int>(wanted);
        blocks *= wanted;
    }
    if (blocks > 1 && arch < 90) return "clusters need compute capability 9.0";
    if (blocks > kMaxClusterBlocks) return "the cluster is too large";
    launch.cluster_blocks = blocks;
    const SharedLimits limits = shared_limits(arch);
    launch.shared_bytes = config.dynamic_shared == 0
                              ? loaded.program->static_shared
                              : loaded.program->dynamic_shared_at + config.dynamic_shared;
    if (launch.shared_bytes > limits.per_block) return "too much shared memory";
    if (parameter_bytes < loaded.program->parameter_bytes) return "too few parameter bytes";
    launch.threads_per_block = static_cast<uint32_t>(threads);
    launch.warps_per_block = (launch.threads_per_block + 31) / 32;
    launch.blocks = uint64_t{config.grid[0]} * config.grid[1] * config.grid[2];
    uint32_t resident =
        std::min(32u, threads_per_multiprocessor(arch) / (launch.warps_per_block * 32));
    resident = std::min(resident, limits.per_multiprocessor / (launch.shared_bytes + 1024));
    launch.blocks_per_multiprocessor = std::max(1u, resident);
    return "";
}

void add_findings(std::vector<Finding>& all, const std::vector<Finding>& more) {
    for (const Finding& finding : more) {
        const auto same = std::find_if(all.begin(), all.end(), [&](const Finding& other) {
            return other.kind == finding.kind && other.line == finding.line &&
                   other.other_source == finding.other_source;
        });
        if (same == all.end())
            all.push_back(finding);
        else
            same->count += finding.count;
    }
}

}  // namespace

LaunchReport Device::launch(const LoadedFunction& loaded, const LaunchConfig& config,
                            const std::vector<uint8_t>& parameters) {
    State& state = *state_;
    const std::lock_guard<std::mutex> lock(state.mutex);
    const Options options = state.options;
    LaunchReport report;
    report.kernel = loaded.function->name;
    report.config = config;
    report.seed = options.seed;

    Launch launch;
    launch.program = loaded.program.get();
    launch.options = &options;
    launch.config = config;
    launch.checks = options.checks;
    launch.arena = state.arena.get();
    launch.shadow = &state.shadow;
    launch.sync = &state.sync;
    launch.number = ++state.launches;
    if (state.work != nullptr) state.work->what = "kernel " + report.kernel;
    // Every launch of a process shuffles differently, and the same from run to run.
    launch.seed = options.seed * 0x9E3779B97F4A7C15ull + launch.number;
    const std::string refused = refuse(loaded, launch, parameters.size());
    if (!refused.empty()) {
        report.faulted = true;
        report.fault = "invalid launch: " + refused;
        return report;
    }
    if (loaded.program->parameter_bytes != 0)
        std::memcpy(reinterpret_cast<void*>(loaded.parameter_address), parameters.data(),
                    loaded.program->parameter_bytes);

    const uint64_t clusters = launch.blocks / launch.cluster_blocks;
    int threads = options.host_threads;
    if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    threads = static_cast<int>(std::min<uint64_t>(
        static_cast<uint64_t>(threads), std::max<uint64_t>(1, clusters / kClustersPerThread)));
    threads = std::max(1, std::min(threads, options.multiprocessors));
    launch.parallel = threads > 1;
    launch.quiet = std::vector<std::atomic<uint64_t>>(static_cast<size_t>(threads));
    state.shadow.new_launch();
    state.shadow.set_parallel(launch.parallel);
    state.sync.clear();

    std::vector<std::unique_ptr<Worker>> workers;
    std::vector<std::string> faults(static_cast<size_t>(threads));
    std::vector<std::exception_ptr> errors(static_cast<size_t>(threads));
    for (int i = 0; i < threads; ++i)
        workers.push_back(std::make_unique<Worker>(launch, i));
    const auto work = [&](int i) {
        try {
            run_share(*workers[static_cast<size_t>(i)], i, threads);
        } catch (const Fault& fault) {
            faults[static_cast<size_t>(i)] = fault.what();
            launch.stop = true;
        } catch (...) {
            errors[static_cast<size_t>(i)] = std::current_exception();
            launch.stop = true;
        }
    };
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i)
        others.emplace_back(work, i);
    work(0);
    for (std::thread& other : others)
        other.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
    for (int i = 0; i < threads; ++i) {
        Worker& worker = *workers[static_cast<size_t>(i)];
        finish_memory(worker);
        report.counters.add(worker.counters);
        add_findings(report.findings, worker.findings);
        if (!faults[static_cast<size_t>(i)].empty() && !report.faulted) {
            report.faulted = true;
            report.fault = faults[static_cast<size_t>(i)];
        }
    }
    for (uint32_t i = 1; options.checks && i < state.arena->allocation_count(); ++i) {
        const Allocation& allocation = state.arena->allocation(i);
        if (!allocation.live || state.arena->canaries_intact(allocation)) continue;
        Finding finding{};
        finding.kind = FindingKind::kOutOfBounds;
        finding.kernel = report.kernel;
        finding.message = "the canary of an allocation of " + std::to_string(allocation.bytes) +
                          " bytes was overwritten";
        report.findings.push_back(finding);
    }
    std::stable_sort(report.findings.begin(), report.findings.end(),
                     [](const Finding& a, const Finding& b) {
                         return a.line != b.line ? a.line < b.line : a.kind < b.kind;
                     });
    return report;
}

}  // namespace emulator
