// The object behind fp6llmHandle_t: backend, stream, workspace, executor, last error.
#pragma once

#include <memory>
#include <mutex>

#include "core/backend/backend.hpp"
#include "core/common/aligned_buffer.hpp"
#include "core/common/cpu.hpp"
#include "core/common/thread_pool.hpp"
#include "fp6llm/fp6llm.h"

namespace fp6llm::capi {

constexpr size_t kErrorTextBytes = 512;

/// Text of a handle's last failure, readable while another thread uses the handle.
class ErrorText {
  public:
    void set(const char* message) noexcept;
    void get(char (&out)[kErrorTextBytes]) const noexcept;

  private:
    mutable std::mutex mutex_;
    char text_[kErrorTextBytes] = "";
};

/// Runs loops on the caller's executor. Tasks are dealt into at most kMaxThreads chunks, with a bit
/// each that tells whether it was run exactly once; a repeated or unknown index is ignored.
class CallerExecutor final : public Executor {
  public:
    void set(fp6llmParallelFor_t parallel_for, void* user) noexcept {
        parallel_for_ = parallel_for;
        user_ = user;
    }
    bool is_set() const noexcept { return parallel_for_ != nullptr; }
    void set_concurrency(int threads) noexcept { threads_ = threads; }
    int concurrency() const noexcept override { return threads_; }
    void run(int64_t count, TaskRef task) override;

  private:
    fp6llmParallelFor_t parallel_for_ = nullptr;
    void* user_ = nullptr;
    int threads_ = 1;
};

constexpr uint64_t kHandleMagic = 0x6670366C6C6D4831;  // "fp6llmH1"

}  // namespace fp6llm::capi

struct fp6llmContext {
    uint64_t magic = fp6llm::capi::kHandleMagic;
    fp6llmBackend_t backend = FP6LLM_BACKEND_CPU;
    /// The GPU of a CUDA handle; null on the CPU, where calls go straight to the core.
    std::unique_ptr<fp6llm::DeviceBackend> device;
    fp6llmStream_t stream = nullptr;
    fp6llmPointerMode_t pointer_mode = FP6LLM_POINTER_MODE_HOST;
    fp6llm::Isa isa = fp6llm::Isa::kPortable;

    void* lent_workspace = nullptr;
    size_t lent_workspace_bytes = 0;
    fp6llm::AlignedBuffer own_workspace;

    fp6llm::PoolExecutor pool{1};
    fp6llm::capi::CallerExecutor caller;

    fp6llm::capi::ErrorText error;

    fp6llm::Executor& executor() noexcept {
        return caller.is_set() ? static_cast<fp6llm::Executor&>(caller) : pool;
    }
    void set_threads(int threads) noexcept;  ///< 0 = default
    int ordinal() const noexcept { return device != nullptr ? device->ordinal() : 0; }
    /// Throws INVALID_VALUE, naming the argument, for host memory on a CUDA handle and, as far as can
    /// be told, for device memory on a CPU handle. NULL passes.
    void check_memory(const void* pointer, const char* name) const {
        if (device != nullptr) {
            device->check_pointer(pointer, name);
        } else {
            fp6llm::check_host_pointer(pointer, name);
        }
    }
    /// The same for what check_buffer() checks, unless it holds nothing.
    void check_memory(const void* pointer, bool is_empty, const char* name) const {
        if (!is_empty) check_memory(pointer, name);
    }
    /// Memory for one multiplication: the lent workspace, else own scratch, grown if need be.
    uint8_t* workspace(size_t bytes);
};

namespace fp6llm::capi {

/// Whether this can be a handle of ours that has not been destroyed, as far as can be told.
bool is_live(fp6llmHandle_t handle) noexcept;

}  // namespace fp6llm::capi
