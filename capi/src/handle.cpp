#include "capi/src/handle.hpp"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"
#include "capi/src/logger.hpp"

namespace fp6llm::capi {

void ErrorText::set(const char* message) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::snprintf(text_, sizeof text_, "%s", message);
}

void ErrorText::get(char (&out)[kErrorTextBytes]) const noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::memcpy(out, text_, sizeof text_);
}

void CallerExecutor::run(int64_t count, TaskRef task) {
    if (count == 0) return;
    constexpr int kShards = kMaxThreads / 64;
    struct alignas(64) Shard {  // a cache line each: neighbouring chunks write to different ones
        std::atomic<uint64_t> started{0};  ///< bit i: chunk i * kShards + the shard's number
        std::atomic<int64_t> finished{0};
    };
    struct Chunks {
        TaskRef task;
        int64_t count;
        int64_t chunks;
        Shard shards[kShards]{};
    } state{task, count, count < threads_ ? count : threads_};

    const fp6llmTask_t run_chunk = [](void* context, int64_t index) {
        auto& chunks = *static_cast<Chunks*>(context);
        if (index < 0 || index >= chunks.chunks) return;
        Shard& shard = chunks.shards[index % kShards];
        const uint64_t bit = uint64_t{1} << (index / kShards);
        if (shard.started.fetch_or(bit, std::memory_order_relaxed) & bit) return;
        const IndexRange range = split_range(chunks.count, index, chunks.chunks);
        for (int64_t i = range.begin; i < range.end; ++i)
            chunks.task(i);
        shard.finished.fetch_add(1, std::memory_order_release);
    };
    try {
        parallel_for_(user_, state.chunks, run_chunk, &state);
    } catch (...) {
        // Even if it was out of memory: outputs may have been written, which ALLOC_FAILED excludes.
        fail(Status::kExecutionFailed, "the caller's parallelFor threw an exception");
    }
    int64_t finished = 0;
    for (const Shard& shard : state.shards)
        finished += shard.finished.load(std::memory_order_acquire);
    if (finished != state.chunks) {
        fail(Status::kExecutionFailed, "the caller's parallelFor finished %lld of %lld tasks",
             static_cast<long long>(finished), static_cast<long long>(state.chunks));
    }
}

bool is_live(fp6llmHandle_t handle) noexcept {
    return handle != nullptr && reinterpret_cast<uintptr_t>(handle) % alignof(fp6llmContext) == 0 &&
           handle->magic == kHandleMagic;
}

namespace {

void check_threads(int threads, const char* name) {
    if (threads < 0 || threads > kMaxThreads) {
        fail(Status::kInvalidValue, "%s = %d is not in 0..%d", name, threads, kMaxThreads);
    }
}

/// The GPU that was asked for by name, or the reason why not.
std::unique_ptr<DeviceBackend> make_device(int ordinal) {
    try {
        return make_cuda_backend(ordinal);
    } catch (const Error& error) {
        if (error.status() != Status::kNotSupported) throw;
        fail(Status::kNotSupported, "backend CUDA is not available: %s. CPU is", error.what());
    }
}

/// AUTO: the GPU if it is usable, else nullptr and the reason.
std::unique_ptr<DeviceBackend> find_device(int ordinal, std::string& why) {
    try {
        return make_cuda_backend(ordinal);
    } catch (const Error& error) {
        if (error.status() == Status::kAllocFailed) throw;
        why = error.what();
        return nullptr;
    }
}

void log_backend(const fp6llmContext& context, const std::string& why_not_cuda) {
    char text[kErrorTextBytes];
    if (context.device != nullptr) {
        const DeviceDescription device = cuda_device_description(context.ordinal());
        std::snprintf(text, sizeof text, "handle: backend CUDA, device %d, %s (%s)",
                      context.ordinal(), device.name.c_str(), device.isa.c_str());
    } else {
        std::snprintf(text, sizeof text, "handle: backend CPU, kernels %s, %d threads%s%s",
                      isa_name(context.isa), context.pool.concurrency(),
                      why_not_cuda.empty() ? "" : "; not CUDA: ", why_not_cuda.c_str());
    }
    log(FP6LLM_LOG_INFO, text);
}

std::unique_ptr<fp6llmContext> make_context(const fp6llmHandleConfig_t& config) {
    check_backend(config.backend, "config->backend");
    check_threads(config.numThreads, "config->numThreads");
    if (config.reserved != 0) {
        fail(Status::kInvalidValue, "config->reserved = %d is not 0", config.reserved);
    }
    auto context = std::make_unique<fp6llmContext>();
    std::string why_not_cuda;
    if (config.backend == FP6LLM_BACKEND_CUDA) {
        context->device = make_device(config.device);
    } else if (config.backend == FP6LLM_BACKEND_AUTO) {
        context->device = find_device(config.device, why_not_cuda);
    }
    if (context->device != nullptr) {
        context->backend = FP6LLM_BACKEND_CUDA;
    } else if (config.device != 0) {
        fail(Status::kInvalidValue, "config->device = %d: the CPU is device 0%s%s", config.device,
             why_not_cuda.empty() ? "" : "; not CUDA: ", why_not_cuda.c_str());
    }
    context->isa = active_isa();
    context->set_threads(config.numThreads);
    log_backend(*context, why_not_cuda);
    return context;
}

}  // namespace
}  // namespace fp6llm::capi

using namespace fp6llm;
using namespace fp6llm::capi;

void fp6llmContext::set_threads(int threads) noexcept {
    const int count = threads == 0 ? default_thread_count() : threads;
    pool = PoolExecutor(count);
    caller.set_concurrency(count);
}

uint8_t* fp6llmContext::workspace(size_t bytes) {
    if (lent_workspace != nullptr) {
        if (lent_workspace_bytes < bytes) {
            fail(Status::kInvalidValue, "workspace = %zu bytes < %zu needed", lent_workspace_bytes,
                 bytes);
        }
        return static_cast<uint8_t*>(lent_workspace);
    }
    if (own_workspace.size() < bytes) own_workspace = AlignedBuffer(bytes);
    return own_workspace.data();
}

fp6llmStatus_t fp6llmCreate(fp6llmHandle_t* handle) {
    const fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    return fp6llmCreateWithConfig(handle, &config);
}

fp6llmStatus_t fp6llmCreateWithConfig(fp6llmHandle_t* handle, const fp6llmHandleConfig_t* config) {
    return guard([&] {
        check_out(handle, "handle");
        *handle = make_context(read_struct(config, "config")).release();
    });
}

fp6llmStatus_t fp6llmDestroy(fp6llmHandle_t handle) {
    if (handle == nullptr) return FP6LLM_STATUS_SUCCESS;
    return guard(handle, [](fp6llmContext& context) {
        context.magic = 0;
        delete &context;
    });
}

fp6llmStatus_t fp6llmGetErrorString(fp6llmHandle_t handle, char* buffer, size_t size,
                                    size_t* needed) {
    if (!is_live(handle)) {
        return report(nullptr, Status::kNotInitialized,
                      handle == nullptr ? "handle is NULL" : "handle is not a live handle");
    }
    char text[kErrorTextBytes];
    handle->error.get(text);
    return copy_text(text, buffer, size, needed);
}

fp6llmStatus_t fp6llmSetStream(fp6llmHandle_t handle, fp6llmStream_t stream) {
    return guard(handle, [&](fp6llmContext& context) {
        context.stream = stream;
        if (context.device != nullptr) context.device->set_stream(stream);
    });
}

fp6llmStatus_t fp6llmGetStream(fp6llmHandle_t handle, fp6llmStream_t* stream) {
    return guard(handle, [&](fp6llmContext& context) {
        check_out(stream, "stream");
        *stream = context.stream;
    });
}

fp6llmStatus_t fp6llmSetWorkspace(fp6llmHandle_t handle, void* workspace, size_t size) {
    return guard(handle, [&](fp6llmContext& context) {
        if ((workspace == nullptr) != (size == 0)) {
            fail(Status::kInvalidValue, "workspace is %s but size = %zu",
                 workspace == nullptr ? "NULL" : "given", size);
        }
        check_aligned(workspace, AlignedBuffer::kAlignment, "workspace");
        context.check_memory(workspace, "workspace");
        if (context.device != nullptr) return context.device->set_workspace(workspace, size);
        context.lent_workspace = workspace;
        context.lent_workspace_bytes = size;
        if (workspace != nullptr) context.own_workspace = AlignedBuffer();
    });
}

fp6llmStatus_t fp6llmSetPointerMode(fp6llmHandle_t handle, fp6llmPointerMode_t mode) {
    return guard(handle, [&](fp6llmContext& context) {
        if (mode == FP6LLM_POINTER_MODE_DEVICE && context.device == nullptr) {
            fail(Status::kNotSupported, "mode DEVICE on a CPU handle; HOST is supported");
        }
        if (mode != FP6LLM_POINTER_MODE_HOST && mode != FP6LLM_POINTER_MODE_DEVICE) {
            fail(Status::kInvalidValue, "mode = %d is not an fp6llmPointerMode_t",
                 static_cast<int>(mode));
        }
        context.pointer_mode = mode;
    });
}

fp6llmStatus_t fp6llmGetPointerMode(fp6llmHandle_t handle, fp6llmPointerMode_t* mode) {
    return guard(handle, [&](fp6llmContext& context) {
        check_out(mode, "mode");
        *mode = context.pointer_mode;
    });
}

fp6llmStatus_t fp6llmGetBackend(fp6llmHandle_t handle, fp6llmBackend_t* backend) {
    return guard(handle, [&](fp6llmContext& context) {
        check_out(backend, "backend");
        *backend = context.backend;
    });
}

fp6llmStatus_t fp6llmSetNumThreads(fp6llmHandle_t handle, int threads) {
    return guard(handle, [&](fp6llmContext& context) {
        check_threads(threads, "threads");
        context.set_threads(threads);
    });
}

fp6llmStatus_t fp6llmGetNumThreads(fp6llmHandle_t handle, int* threads) {
    return guard(handle, [&](fp6llmContext& context) {
        check_out(threads, "threads");
        *threads = context.pool.concurrency();
    });
}

fp6llmStatus_t fp6llmSetParallelFor(fp6llmHandle_t handle, fp6llmParallelFor_t parallelFor,
                                    void* user) {
    return guard(handle, [&](fp6llmContext& context) { context.caller.set(parallelFor, user); });
}
