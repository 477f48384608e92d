// The sweep: for each shape and number of tokens, libfp6llm's formats beside dense products of cuBLAS,
// each checked first, then timed in turns.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/bench/gpu/cublas.hpp"
#include "tests/bench/gpu/layer.hpp"
#include "tests/bench/gpu/options.hpp"

namespace fp6llm::bench {

enum class GpuKind { kFp6, kDense, kDenseSwapped, kPeer };
const char* kind_name(GpuKind kind) noexcept;

struct GpuContender {
    GpuKind kind;
    std::string name;    ///< "e3m2-row", "cublas"
    std::string type;    ///< of activations and outputs: "f16", "bf16"
    std::string detail;  ///< kernel, or cublasLt's proposal
    double weight_bytes;
    double error;                   ///< largest |error| / rms, before any timing
    std::vector<double> samples{};  ///< microseconds per call, one per round; empty in a dry run
};

struct GpuCase {
    Shape shape;
    int64_t tokens;
    std::vector<GpuContender> contenders;
    double flops() const noexcept {
        return 2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.cols) *
               static_cast<double>(tokens);
    }
};

struct GpuQuantizeCase {
    Shape shape;
    std::string format;
    double bytes;                   ///< of the fp16 input
    std::vector<double> samples{};  ///< microseconds to quantize and prepack; empty in a dry run
};

struct GpuSweep {
    double copy_bytes_per_second = 0;  ///< read + written, of cuMemcpyDtoD; 0 in a dry run
    std::vector<GpuCase> cases;
    std::vector<GpuQuantizeCase> quantize;
    int left_out = 0;  ///< cases for which there was no time
};

/// Runs the options' cases, the most telling first, until they or the time are used up. `report` sees
/// each as it is done. Throws std::runtime_error if a product is wrong.
GpuSweep run_sweep(Gpu& gpu, const GpuOptions& options, CublasLt* cublas,
                   const std::function<void(const GpuSweep&, const GpuCase&)>& report);

}  // namespace fp6llm::bench
