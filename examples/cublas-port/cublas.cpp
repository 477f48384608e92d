// A linear layer in fp16 on a GPU: Y = X W^T, all row-major.
#include <cublas_v2.h>

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

constexpr int kOutputs = 96, kInputs = 160, kTokens = 5;

// Success is 0 in all of these libraries.
void check(int status, const char* what) {
    if (status == 0) return;
    std::fprintf(stderr, "%s: %d\n", what, status);
    std::exit(1);
}
#define CHECK(call) check(call, #call)

// Uniform in [-1, 1), on the device.
__half* numbers(std::size_t count, std::uint32_t& state) {
    std::vector<__half> values(count);
    for (__half& value : values) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        value = __float2half(static_cast<float>(state >> 8) / 8388608.0f - 1.0f);
    }
    void* device = nullptr;
    CHECK(cudaMalloc(&device, count * sizeof(__half)));
    CHECK(cudaMemcpy(device, values.data(), count * sizeof(__half), cudaMemcpyHostToDevice));
    return static_cast<__half*>(device);
}

int main() {
    std::uint32_t state = 2463534242u;
    __half* w = numbers(kOutputs * kInputs, state);
    __half* x = numbers(kTokens * kInputs, state);
    __half* y = numbers(kTokens * kOutputs, state);
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));

    cublasHandle_t handle;
    CHECK(cublasCreate(&handle));
    CHECK(cublasSetStream(handle, stream));

    // Column-major, as BLAS has it: C [outputs, tokens] is Y.
    const float alpha = 1, beta = 0;
    CHECK(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, kOutputs, kTokens, kInputs,  // m, n, k
                       &alpha, w, CUDA_R_16F, kInputs,                                // A
                       x, CUDA_R_16F, kInputs,                                        // B
                       &beta, y, CUDA_R_16F, kOutputs,                                // C
                       CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));

    std::vector<__half> result(kTokens * kOutputs);
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaMemcpy(result.data(), y, result.size() * sizeof(__half), cudaMemcpyDeviceToHost));
    double sum = 0;
    for (const __half value : result)
        sum += std::fabs(__half2float(value));
    std::printf("y[0] = %.4f, mean |y| = %.4f\n", __half2float(result[0]), sum / result.size());

    CHECK(cublasDestroy(handle));
    CHECK(cudaStreamDestroy(stream));
    CHECK(cudaFree(w));
    CHECK(cudaFree(x));
    CHECK(cudaFree(y));
    return 0;
}
