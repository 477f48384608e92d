// The driver's bookkeeping: contexts and their destruction, enqueueing work, memory, captures.
#include "tests/emulator/driver/state.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace emulator::cu {

namespace {

std::atomic<bool> g_touched{false};
std::atomic<bool> g_is_forked_child{false};

}  // namespace

Driver& Driver::instance() {
    static Driver& driver = *[] {
        pthread_atfork(nullptr, nullptr, [] {
            if (g_touched.load()) g_is_forked_child.store(true);
        });
        return new Driver;
    }();
    return driver;
}

bool Driver::in_forked_child() {
    return g_is_forked_child.load(std::memory_order_relaxed);
}

ThreadState& Driver::thread() {
    // Of the main thread never destroyed: thread-local objects die before static ones, whose
    // destructors may call us.
    static thread_local std::unique_ptr<ThreadState> owner;
    static thread_local ThreadState* state = nullptr;
    if (state == nullptr) {
        state = new ThreadState;
        if (gettid() != getpid()) owner.reset(state);
    }
    return *state;
}

Device& Driver::device() {
    if (device_ == nullptr) {
        g_touched.store(true);
        const Options options = Options::from_environment();
        seed = options.seed;
        device_ = std::make_unique<Device>(options);
    }
    return *device_;
}

// ---- Contexts ----

Context* Driver::current_or_null() {
    const ThreadState& state = thread();
    return state.stack.empty() ? nullptr : state.stack.back();
}

Context& Driver::current() {
    require(initialized, CUDA_ERROR_NOT_INITIALIZED);
    Context* context = current_or_null();
    require(context != nullptr, CUDA_ERROR_INVALID_CONTEXT);
    require(context->alive, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    const CUresult lost = injected(EMULATOR_FAIL_DEVICE);
    if (lost != CUDA_SUCCESS) context->sticky = lost;
    require(context->sticky == CUDA_SUCCESS, context->sticky);
    return *context;
}

Context& Driver::context_of(CUcontext handle) {
    if (handle == nullptr) return current();
    Context* context = find(handle);
    if (context == nullptr)
        fail(was_context(handle) ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT);
    return *context;
}

Context* Driver::make_context(CUdevice device, unsigned flags, bool is_primary,
                              unsigned api_version) {
    Context* context = make<Context>(nullptr);
    context->id = next_id++;
    context->device = device;
    context->flags = flags;
    context->is_primary = is_primary;
    context->api_version = api_version;
    context->limits = {{CU_LIMIT_STACK_SIZE, 1024},
                       {CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20},
                       {CU_LIMIT_MALLOC_HEAP_SIZE, 8 << 20},
                       {CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT, 2048},
                       {CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 64},
                       {CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 0}};
    context->legacy = make<Stream>(context);
    context->legacy->id = next_id++;
    context->legacy->is_legacy = true;
    return context;
}

void Driver::destroy_context(Context& context) {
    std::vector<uint64_t> owned;
    for (const auto& [base, allocation] : allocations) {
        if (allocation.context == &context) owned.push_back(base);
    }
    for (const uint64_t base : owned)
        release(base);
    for (auto it = registered.begin(); it != registered.end();)
        it = it->second.context == &context ? registered.erase(it) : std::next(it);
    for (size_t i = captures.size(); i-- > 0;) {
        if (captures[i]->origin->context == &context) end_capture(*captures[i]);
    }
    for_objects([&](Object& object) {
        if (object.context != &context) return;
        object.alive = false;
        if (auto* module = dynamic_cast<Module*>(&object)) module->loaded.reset();
    });
    host_.join(context.all);
    context.modules.clear();
    context.libraries.clear();
    context.alive = false;
}

// ---- Work ----

Stream& Driver::any_stream(CUstream handle) {
    if (handle == nullptr || handle == legacy_stream()) return *current().legacy;
    if (handle == per_thread_stream()) {
        Context& context = current();
        Stream*& stream = thread().streams[&context];
        if (stream == nullptr) {
            stream = make<Stream>(&context);
            stream->id = next_id++;
            several_streams = true;
        }
        return *stream;
    }
    return get(handle);
}

Stream& Driver::stream_of(CUstream handle) {
    Context& context = current();
    Stream& stream = any_stream(handle);
    require(stream.context == &context, CUDA_ERROR_INVALID_HANDLE);
    return stream;
}

void Driver::run(Context& context, const Work& work) {
    // A device that faulted runs nothing more.
    if (context.pending != CUDA_SUCCESS || context.sticky != CUDA_SUCCESS) return;
    try {
        work(context);
    } catch (const Failure& failure) {
        context.pending = failure.result;
    }
}

GraphNode* Driver::enqueue(Stream& stream, CUgraphNodeType type, Work work) {
    if (stream.capture != nullptr) {
        require(stream.capture->status == CU_STREAM_CAPTURE_STATUS_ACTIVE,
                CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        GraphNode* node =
            add_node(*stream.capture->graph, type, stream.dependencies, std::move(work));
        stream.dependencies = {node};
        return node;
    }
    forbid_legacy_dependency(stream);
    begin_work(stream, type == CU_GRAPH_NODE_TYPE_MEMCPY   ? "the copy"
                       : type == CU_GRAPH_NODE_TYPE_MEMSET ? "the fill"
                                                           : "the work");
    run(*stream.context, work);
    return nullptr;
}

GraphNode* Driver::add_node(Graph& graph, CUgraphNodeType type,
                            std::vector<GraphNode*> dependencies, Work work) {
    GraphNode* node = make<GraphNode>(graph.context);
    node->graph = &graph;
    node->type = type;
    node->dependencies = std::move(dependencies);
    node->work = std::move(work);
    graph.nodes.push_back(node);
    return node;
}

// ---- Capture ----

void Driver::forbid_capture() {
    const CUstreamCaptureMode mode = thread().capture_mode;
    if (mode == CU_STREAM_CAPTURE_MODE_RELAXED) return;
    bool forbidden = false;
    for (const auto& capture : captures) {
        if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE ||
            capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED)
            continue;
        const bool is_own = capture->thread == &thread();
        if (is_own || (mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                       capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL)) {
            invalidate(*capture);
            forbidden = true;
        }
    }
    require(!forbidden, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

void Driver::forbid_legacy_dependency(const Stream& stream) {
    if (!stream.is_legacy) return;
    bool forbidden = false;
    for (const auto& capture : captures) {
        if (capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE) continue;
        for (const Stream* captured : capture->streams) {
            if (captured->context == stream.context &&
                (captured->flags & CU_STREAM_NON_BLOCKING) == 0) {
                invalidate(*capture);
                forbidden = true;
                break;
            }
        }
    }
    require(!forbidden, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
}

void Driver::end_capture(Capture& capture) {
    for (Stream* stream : capture.streams) {
        stream->capture = nullptr;
        stream->dependencies.clear();
    }
    for_objects([&](Object& object) {
        auto* event = dynamic_cast<Event*>(&object);
        if (event != nullptr && event->capture == &capture) {
            event->capture = nullptr;
            event->dependencies.clear();
        }
    });
    captures.erase(std::find_if(captures.begin(), captures.end(),
                                [&](const auto& each) { return each.get() == &capture; }));
}

// ---- Memory ----

uint64_t Driver::allocate(Context& context, uint64_t bytes, Allocation::Kind kind, unsigned flags,
                          MemoryPool* pool) {
    const CUresult refused = injected(EMULATOR_FAIL_ALLOCATION);
    require(refused == CUDA_SUCCESS, refused);
    const uint64_t limit = device().options().memory_bytes;
    // Pinned host memory does not count against the device's.
    const bool counts = kind != Allocation::Kind::kHost;
    require(!counts || (bytes <= limit && used_bytes <= limit - bytes), CUDA_ERROR_OUT_OF_MEMORY);
    const uint64_t base = device().allocate(bytes);
    require(base != 0, CUDA_ERROR_OUT_OF_MEMORY);
    // Host code writes to these unseen, so all of them counts as initialized.
    if (kind == Allocation::Kind::kHost || kind == Allocation::Kind::kManaged)
        device().fill(base, 0, 1, bytes);
    allocations[base] = {bytes, kind, &context, flags, pool, next_id++};
    if (counts) used_bytes += bytes;
    if (pool != nullptr) {
        pool->used += bytes;
        pool->high = std::max(pool->high, pool->used);
    }
    return base;
}

void Driver::release(uint64_t base) {
    const auto it = allocations.find(base);
    const Allocation& allocation = it->second;
    if (allocation.kind != Allocation::Kind::kHost) used_bytes -= allocation.bytes;
    if (allocation.pool != nullptr) allocation.pool->used -= allocation.bytes;
    device().free(base);
    allocations.erase(it);
}

const Allocation* Driver::holder(uint64_t address, uint64_t bytes, uint64_t* base) const {
    auto it = allocations.upper_bound(address);
    if (it == allocations.begin()) return nullptr;
    --it;
    const uint64_t offset = address - it->first;
    if (offset >= it->second.bytes || bytes > it->second.bytes - offset) return nullptr;
    if (base != nullptr) *base = it->first;
    return &it->second;
}

const Driver::Registered* Driver::find_registered(uintptr_t address, uintptr_t* base) const {
    auto it = registered.upper_bound(address);
    if (it == registered.begin()) return nullptr;
    --it;
    if (address - it->first >= it->second.bytes) return nullptr;
    if (base != nullptr) *base = it->first;
    return &it->second;
}

}  // namespace emulator::cu
