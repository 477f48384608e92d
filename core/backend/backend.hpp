// What a handle needs of a GPU, without CUDA headers: so that the C ABI is the same source with and
// without CUDA. The CPU needs no such class; the C ABI calls the core directly.
//
// All matrices, codes, scales and blobs are device pointers, checked before (not NULL, aligned,
// device-accessible, sizes in range). Calls enqueue on the stream and return; those that make a
// weight or report what they found (quantize with stats or NonFinite::kError) wait for the stream.
// Everything may throw Error.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/gemm/device_problem.hpp"

struct CUstream_st;

namespace fp6llm {

/// A GPU as fp6llmGetDeviceInfo() describes it.
struct DeviceDescription {
    std::string name;
    std::string isa;  ///< "sm_90"
    int major;
    int minor;
    int multiprocessors;
    int driver_version;
    uint64_t total_memory;
    uint64_t shared_per_block;
    uint64_t l2_bytes;
};

class DeviceBackend {
  public:
    virtual ~DeviceBackend() = default;

    virtual int ordinal() const noexcept = 0;
    virtual void set_stream(CUstream_st* stream) noexcept = 0;
    /// Lends memory for multiplications; nullptr returns to own scratch.
    virtual void set_workspace(void* workspace, size_t bytes) = 0;
    /// Throws INVALID_VALUE with the argument's name unless the device can follow the pointer.
    virtual void check_pointer(const void* pointer, const char* name) const = 0;

    virtual DataType quantize(const QuantSpec& spec, const MatrixView& w, uint8_t* codes,
                              void* scales, QuantStats* stats) = 0;
    virtual void dequantize(const QuantSpec& spec, const uint8_t* codes, const void* scales,
                            const MutableMatrixView& w) = 0;

    virtual std::unique_ptr<DeviceWeight> weight_from_floats(const QuantSpec& spec,
                                                             const MatrixView& w) = 0;
    virtual std::unique_ptr<DeviceWeight> weight_from_codes(const QuantSpec& spec, int64_t rows,
                                                            int64_t cols, const uint8_t* codes,
                                                            const void* scales) = 0;
    virtual std::unique_ptr<DeviceWeight> weight_from_packed(PackedLayout layout,
                                                             const QuantSpec& spec, int64_t rows,
                                                             int64_t cols, const uint8_t* packed,
                                                             const void* scales) = 0;
    virtual std::unique_ptr<DeviceWeight> weight_from_blob(const uint8_t* blob, size_t bytes) = 0;
    virtual size_t blob_bytes(const QuantSpec& spec, int64_t rows, int64_t cols) const = 0;
    virtual void pack_blob(const QuantSpec& spec, int64_t rows, int64_t cols, const uint8_t* codes,
                           const void* scales, uint8_t* blob) = 0;
    /// Either output may be nullptr.
    virtual void export_codes(const DeviceWeight& weight, uint8_t* codes, void* scales) = 0;
    virtual void export_packed(const DeviceWeight& weight, PackedLayout layout, uint8_t* packed,
                               void* scales) = 0;

    /// Ways to run a problem, best first; empty if there is none.
    virtual std::vector<GemmChoice> plan_gemm(const DeviceGemmProblem& problem) = 0;
    /// The way of one `algo` (-1 = the best). Throws as choose_plan() of core/gemm/plan.hpp does.
    virtual GemmChoice choose_gemm(const DeviceGemmProblem& problem, int32_t algo) = 0;
    virtual void run_gemm(const DeviceGemmProblem& problem, int32_t algo, const TokenSource& x,
                          const OutputSink& y, const DeviceScalars& scalars) = 0;
};

/// Whether this build can have CUDA devices.
bool cuda_is_built() noexcept;

/// Usable or not, 0 where there is no driver; then `why`, if given, says why. Does not throw but for
/// want of memory.
int cuda_device_count(std::string* why);

/// Throws NOT_SUPPORTED as cuda::driver() does, INVALID_VALUE if there is no such device.
DeviceDescription cuda_device_description(int ordinal);

/// A backend on device `ordinal`. Throws NOT_SUPPORTED, saying why, without a driver or devices;
/// INVALID_VALUE if there is no such device; ARCH_MISMATCH if it is too old.
std::unique_ptr<DeviceBackend> make_cuda_backend(int ordinal);

/// Throws INVALID_VALUE, with the argument's name, if a pointer meant for the CPU is known to be
/// device memory; `taker` is what takes host memory. Costs a load and a branch in processes that have
/// not used CUDA through this library.
void check_host_pointer(const void* pointer, const char* name,
                        const char* taker = "the handle's backend is CPU");

}  // namespace fp6llm
