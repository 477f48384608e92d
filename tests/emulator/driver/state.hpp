// What the emulated driver knows: its objects, who is current, what went wrong.
//
// One lock serializes all calls; work runs when it is enqueued, so a stream's work is always done.
// Errors of that work are kept back until a synchronizing call asks, as on hardware; from then on the
// context answers with nothing else. An object that was destroyed stays in the table, dead: a stale
// handle is told from a good one and never means another object.
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/emulator/check/streams.hpp"
#include "tests/emulator/device.hpp"
#include "tests/emulator/driver/control.h"
#include "tests/emulator/driver/cuda_api.hpp"

namespace emulator::cu {

/// Thrown inside the driver; guard() makes it the call's result.
struct Failure {
    CUresult result;
};

[[noreturn]] inline void fail(CUresult result) {
    throw Failure{result};
}
inline void require(bool holds, CUresult otherwise = CUDA_ERROR_INVALID_VALUE) {
    if (!holds) fail(otherwise);
}

struct Object {
    virtual ~Object() = default;
    bool alive = true;
    Context* context = nullptr;
};

struct Context : Object {
    uint64_t id = 0;
    unsigned flags = 0;
    unsigned api_version = 0;
    CUdevice device = 0;
    bool is_primary = false;
    CUresult sticky = CUDA_SUCCESS;   ///< every call answers it
    CUresult pending = CUDA_SUCCESS;  ///< of work that ran; becomes sticky when somebody asks
    std::map<int, size_t> limits;
    Stream* legacy = nullptr;
    std::set<Module*> modules;
    std::map<Library*, Module*> libraries;  ///< loaded here
    CUfunc_cache cache_config = CU_FUNC_CACHE_PREFER_NONE;
    StreamClock blocking, all;  ///< work of the streams that the legacy one waits for; of all
};

struct Module : Object {
    std::shared_ptr<LoadedModule> loaded;
    std::map<std::string, Function*> functions;
    std::vector<std::string> kernel_names;  ///< of its entries, sorted
    int arch = 0;                           ///< of its PTX
};

/// A kernel in a module of a context.
struct Function : Object {
    Module* module = nullptr;
    std::string name;
    const LoadedFunction* loaded = nullptr;
    FunctionFacts facts{};
    int max_dynamic_shared = 0;  ///< MAX_DYNAMIC_SHARED_SIZE_BYTES
    int carveout = -1;
    bool non_portable_cluster = false;
    int cluster_policy = 0;
};

struct Library : Object {
    std::string ptx;
    std::vector<std::string> kernel_names;
    std::map<std::string, Kernel*> kernels;
};

/// A kernel of a library, in no context yet.
struct Kernel : Object {
    Library* library = nullptr;
    std::string name;
};

struct Capture;

struct Stream : Object {
    uint64_t id = 0;
    unsigned flags = 0;
    int priority = 0;
    bool is_legacy = false;
    Capture* capture = nullptr;
    std::vector<GraphNode*> dependencies;  ///< while capturing: what the next node depends on
    std::vector<CUgraphNode> reported;     ///< storage of cuStreamGetCaptureInfo
    StreamClock clock;                     ///< what its next work is ordered behind
    std::vector<uint32_t> columns;         ///< its own, then those of branches of its graphs
};

struct Event : Object {
    unsigned flags = 0;
    bool recorded = false;
    std::chrono::steady_clock::time_point when;
    Capture* capture = nullptr;  ///< recorded inside it
    std::vector<GraphNode*> dependencies;
    StreamClock clock;  ///< of the stream, when it was recorded
};

/// One operation on the device; enqueued, or a graph's node.
using Work = std::function<void(Context& context)>;

/// What a launch does, kept so that graphs can show and change it.
struct Launch {
    Function* function = nullptr;
    LaunchConfig config;
    bool is_cooperative = false;
    std::vector<uint8_t> parameters;
};

struct GraphNode : Object {
    Graph* graph = nullptr;
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    std::vector<GraphNode*> dependencies;
    Work work;
    std::optional<Launch> launch;
    std::vector<void*> parameter_pointers;  ///< storage of cuGraphKernelNodeGetParams
};

struct Graph : Object {
    std::vector<GraphNode*> nodes;
};

struct GraphExec : Object {
    struct Step {
        GraphNode* origin;
        CUgraphNodeType type;
        std::vector<size_t> dependencies;
        Work work;
        std::optional<Launch> launch;
    };
    unsigned long long flags = 0;
    std::vector<Step> steps;
};

/// One capture sequence: a graph that grows while streams are captured into it.
struct Capture {
    uint64_t id = 0;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    Stream* origin = nullptr;
    Graph* graph = nullptr;
    const void* thread = nullptr;  ///< that began it
    bool owns_graph = true;
    std::set<Stream*> streams;
};

struct MemoryPool : Object {
    bool is_default = false;
    uint64_t release_threshold = 0;
    uint64_t used = 0, high = 0;
    std::map<int, int> reuse;
};

struct Allocation {
    enum class Kind { kDevice, kPool, kHost, kManaged };
    uint64_t bytes;
    Kind kind;
    Context* context;
    unsigned flags;
    MemoryPool* pool;
    uint64_t id;
};

/// The thread's own: what is current.
struct ThreadState {
    std::vector<Context*> stack;
    CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::map<Context*, Stream*> streams;  ///< per-thread default streams
    bool in_host_function = false;
};

class Driver {
  public:
    /// Never destroyed: programs call us from their static destructors.
    static Driver& instance();

    std::recursive_mutex mutex;
    bool initialized = false;

    // ---- Objects ----
    template <typename T, typename... Arguments>
    T* make(Context* context, Arguments&&... arguments) {
        auto object = std::make_unique<T>(std::forward<Arguments>(arguments)...);
        object->context = context;
        T* raw = object.get();
        objects_.emplace(raw, std::move(object));
        return raw;
    }
    /// The live object of a handle; nullptr if there is none.
    template <typename T>
    T* find(const T* handle) {
        const auto it = objects_.find(static_cast<const void*>(handle));
        if (it == objects_.end() || !it->second->alive) return nullptr;
        return dynamic_cast<T*>(it->second.get());
    }
    /// The same; fails with `otherwise`.
    template <typename T>
    T& get(const T* handle, CUresult otherwise = CUDA_ERROR_INVALID_HANDLE) {
        T* object = find(handle);
        if (object == nullptr) fail(otherwise);
        return *object;
    }
    /// A handle that was good once.
    bool was_context(const Context* handle) const {
        const auto it = objects_.find(static_cast<const void*>(handle));
        return it != objects_.end() && dynamic_cast<Context*>(it->second.get()) != nullptr;
    }
    template <typename Fn>
    void for_objects(Fn&& fn) {
        for (auto& [handle, object] : objects_)
            fn(*object);
    }

    // ---- The devices ----
    /// What all of them are: they differ in their contexts only, and reach each other's memory.
    Device& device();
    int arch() { return device().options().arch; }
    void check_device(CUdevice device_handle) {
        require(initialized, CUDA_ERROR_NOT_INITIALIZED);
        require(device_handle >= 0 && device_handle < device().options().devices,
                CUDA_ERROR_INVALID_DEVICE);
    }

    // ---- Contexts ----
    /// The current context; fails if there is none, it was destroyed or it has failed.
    Context& current();
    Context* current_or_null();
    Context& context_of(CUcontext handle);
    Context* make_context(CUdevice device, unsigned flags, bool is_primary, unsigned api_version);
    void destroy_context(Context& context);
    /// Lets the context's kept-back error surface.
    static void surface(Context& context);
    /// The same where the API waits for all work of a context, a stream or an event.
    void synchronize(Context& context);
    void synchronize(Stream& stream);
    void synchronize(Event& event);
    /// The work that a launch, copy, ... is: into the stream's capture, or done at once.
    /// Returns the node while capturing.
    GraphNode* enqueue(Stream& stream, CUgraphNodeType type, Work work);

    // ---- Order between streams (order.cpp) ----
    /// `stream` comes to know what its next work waits for.
    void arrive(Stream& stream);
    /// Work on the stream begins: what follows on the device is its doing.
    void begin_work(Stream& stream, const char* what);
    /// Runs steps of a graph as the work that has begun, each ordered behind its dependencies alone.
    void run_graph(Context& context, const std::vector<GraphExec::Step>& steps);
    /// The host learns what the work that runs now is ordered behind, and that it was done.
    void host_learns_of_work() { host_.join(work_clock_); }
    const StreamClock& work_clock() const { return work_clock_; }
    void order_work_behind(const StreamClock& clock) { work_clock_.join(clock); }
    /// A copy or a fill touches device memory.
    void touch(uint64_t address, uint64_t bytes, bool writes);
    /// Set by the first stream that a program makes: before, there is nothing to be unordered with.
    bool several_streams = false;

    /// Runs work; a failure of it is kept back.
    void run(Context& context, const Work& work);
    /// The stream of a handle, to put work into: one of the current context.
    Stream& stream_of(CUstream handle);
    /// The same, of any context: to ask or wait.
    Stream& any_stream(CUstream handle);
    struct Primary {
        Context* context = nullptr;
        unsigned references = 0;
        unsigned flags = 0;
    };
    std::map<CUdevice, Primary> primaries;

    // ---- Capture ----
    /// Fails if a call that might synchronize or allocate is not allowed by some capture now.
    void forbid_capture();
    /// Fails if the legacy stream's implicit order would reach into a capture.
    void forbid_legacy_dependency(const Stream& stream);
    void invalidate(Capture& capture) { capture.status = CU_STREAM_CAPTURE_STATUS_INVALIDATED; }
    GraphNode* add_node(Graph& graph, CUgraphNodeType type, std::vector<GraphNode*> dependencies,
                        Work work);
    void end_capture(Capture& capture);
    std::vector<std::unique_ptr<Capture>> captures;  ///< active or invalidated

    // ---- Memory ----
    std::map<uint64_t, Allocation> allocations;  ///< by base
    uint64_t used_bytes = 0;
    uint64_t allocate(Context& context, uint64_t bytes, Allocation::Kind kind, unsigned flags,
                      MemoryPool* pool);
    void release(uint64_t base);
    /// The allocation that holds [address, address + bytes); nullptr if none does.
    const Allocation* holder(uint64_t address, uint64_t bytes, uint64_t* base = nullptr) const;
    /// cuMemHostRegister: kernels see a copy of the memory at another address, which is brought up to
    /// date before a launch and brought back after it.
    struct Registered {
        uint64_t bytes;
        unsigned flags;
        uint64_t mapped;
        Context* context;
    };
    std::map<uintptr_t, Registered> registered;
    /// The registered range that holds an address; nullptr if there is none.
    const Registered* find_registered(uintptr_t address, uintptr_t* base = nullptr) const;
    MemoryPool* default_pool = nullptr;
    MemoryPool* current_pool = nullptr;

    // ---- Launches ----
    void launch(Context& context, const Launch& launch);

    // ---- Reports and failures (control.cpp) ----
    void record(const LaunchReport& report);
    /// What an injected failure does to one operation of the kind; CUDA_SUCCESS: nothing.
    CUresult injected(emulatorFailure kind);
    void read_environment();
    struct Injection {
        long after;
        CUresult code;
        bool forever;
    };
    std::map<int, Injection> injections;
    std::vector<std::string> reports;
    uint64_t report_count = 0;
    uint64_t finding_count = 0;
    bool findings_fail = false;
    uint64_t seed = 1;
    uint64_t next_id = 1;

    static ThreadState& thread();
    static bool in_forked_child();

  private:
    void begin_moment(uint64_t stream, uint32_t column, const StreamClock& behind,
                      const char* what);

    StreamClock host_;        ///< what the host has waited for, all of its threads taken together
    StreamClock work_clock_;  ///< of the work that runs now
    Stream* working_ = nullptr;
    bool in_graph_ = false;
    std::vector<uint32_t> ticks_;  ///< by column
    std::unordered_map<const void*, std::unique_ptr<Object>> objects_;
    std::unique_ptr<Device> device_;
};

/// Runs the body of an API function under the lock and turns what it throws into a result.
/// `needs_init`: fails before cuInit.
template <typename Fn>
CUresult guard(Fn&& body, bool needs_init = true) noexcept {
    try {
        Driver& driver = Driver::instance();
        // CUDA does not survive fork(); the lock may be held by a thread that the child lacks.
        if (Driver::in_forked_child()) return CUDA_ERROR_NOT_INITIALIZED;
        const std::lock_guard<std::recursive_mutex> lock(driver.mutex);
        if (needs_init && !driver.initialized) return CUDA_ERROR_NOT_INITIALIZED;
        if (Driver::thread().in_host_function) return CUDA_ERROR_NOT_PERMITTED;
        body(driver);
        return CUDA_SUCCESS;
    } catch (const Failure& failure) {
        return failure.result;
    } catch (const std::bad_alloc&) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    } catch (const std::exception& error) {
        // None of ours: what the interpreter cannot do, or a bad environment variable.
        std::fprintf(stderr, "emulated GPU: %s\n", error.what());
        return CUDA_ERROR_UNKNOWN;
    }
}

/// Loads PTX into a context; fails with the driver's error, the reason in `log` (may be null).
Module* load_module(Driver& driver, Context& context, const void* image, std::string* log);
Function& find_function(Driver& driver, Module& module, const std::string& name);
/// CUfunction, or a CUkernel in the place of one, as launches accept it.
Function& function_of(Driver& driver, Context& context, CUfunction handle);
/// Parameter block from kernelParams or `extra`.
std::vector<uint8_t> gather_parameters(const Function& function, void** parameters, void** extra);
/// Checks a launch against the device's and the function's limits.
void check_launch(Driver& driver, const Launch& launch);
int active_blocks(Driver& driver, const Function& function, int threads, size_t dynamic_shared);
int device_attribute(Driver& driver, CUdevice_attribute attribute);

}  // namespace emulator::cu
