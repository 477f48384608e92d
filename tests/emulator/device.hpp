// The emulated device: modules in, launches out. driver/ puts the CUDA driver API on top of it, and
// the emulator's own tests use it directly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/emulator/check/counters.hpp"
#include "tests/emulator/check/finding.hpp"

namespace emulator {

/// From the environment (EMU_ARCH=90, EMU_SMS, EMU_SEED, EMU_CHECKS=0|1, EMU_THREADS, EMU_REPORT=path)
/// unless a test sets it.
struct Options {
    int arch = 90;  ///< compute capability x 10
    int multiprocessors = 4;
    uint64_t seed = 1;
    bool checks = true;  ///< detectors; off: plain execution, faster
    bool random_schedule = true;
    bool double_writes = false;  ///< report elements of global memory that a launch writes twice
    int host_threads = 0;        ///< 0: one per CPU
    uint64_t memory_bytes = uint64_t{8} << 30;
    int devices = 1;          ///< of the driver, all alike
    std::string report_path;  ///< JSON, a line per launch

    static Options from_environment();
};

struct LoadedFunction;  ///< a kernel of a loaded module
struct LoadedModule;

struct LaunchConfig {
    uint32_t grid[3] = {1, 1, 1};
    uint32_t block[3] = {1, 1, 1};
    uint32_t cluster[3] = {0, 0, 0};  ///< 0: the kernel's own, else 1
    uint32_t dynamic_shared = 0;
};

struct LaunchReport {
    std::string kernel;
    LaunchConfig config;
    Counters counters;
    std::vector<Finding> findings;
    bool faulted = false;  ///< the launch ended early: the context is unusable, as on hardware
    std::string fault;
    uint64_t seed = 0;
};

struct StreamClock;
struct StreamWork;

class Device {
  public:
    explicit Device(const Options& options);
    ~Device();

    const Options& options() const noexcept;
    /// For launches and loads from now on (driver/control.h).
    void set_seed(uint64_t seed);
    void set_checks(bool checks);

    /// Throws std::runtime_error with opcode and line for what it does not know.
    std::shared_ptr<LoadedModule> load(std::string_view ptx);
    const LoadedFunction* function(const LoadedModule& module, std::string_view name) const;
    /// Address and bytes of a module-scope variable; 0 if there is none.
    uint64_t global(const LoadedModule& module, std::string_view name, uint64_t* bytes) const;

    /// Device memory; address 0 if out of memory. Contents are uninitialized (poisoned).
    uint64_t allocate(uint64_t bytes);
    bool free(uint64_t address);
    /// Base and size of the live allocation that holds an address.
    bool find(uint64_t address, uint64_t* base, uint64_t* bytes) const;
    /// Copies between host and device or on the device (memory is identity-mapped); marks what is
    /// written as initialized. False if a device range is not inside one live allocation.
    bool copy_to_device(uint64_t device, const void* host, uint64_t bytes);
    bool copy_to_host(void* host, uint64_t device, uint64_t bytes);
    bool copy_on_device(uint64_t to, uint64_t from, uint64_t bytes);
    bool fill(uint64_t device, uint32_t value, int value_bytes, uint64_t count);

    /// The work that launches and touches from now on are, to find those of other streams that nothing
    /// orders before it (check/streams.hpp). `host`: what all further work is ordered behind.
    void set_work(std::shared_ptr<StreamWork> work, const StreamClock& host);
    /// The work is a copy or fill of device memory, which is done by other functions: its findings.
    LaunchReport touch(uint64_t address, uint64_t bytes, bool writes);

    /// Runs a launch to its end. `parameters`: the kernel's parameters laid out as PTX lays them out.
    LaunchReport launch(const LoadedFunction& function, const LaunchConfig& config,
                        const std::vector<uint8_t>& parameters);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Facts of a function that the driver API reports.
struct FunctionFacts {
    int max_threads;
    int static_shared;
    int registers;  ///< PTX registers say nothing: a fixed plausible number
    std::vector<std::pair<uint32_t, uint32_t>> parameters;  ///< offset, bytes
    int required_cluster[3];
    int local_bytes;
};
FunctionFacts facts(const LoadedFunction& function);

}  // namespace emulator
