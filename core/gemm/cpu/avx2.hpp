// What the AVX2 translation units export to the registry row block in avx2.cpp.
#pragma once

#include "core/gemm/cpu/kernel.hpp"

namespace fp6llm::avx2 {

constexpr int kGemvTile = 1;     ///< tokens per pass over two panels
constexpr int kFusedTile = 4;    ///< tokens per pass over one
constexpr int kGemmTile = 6;     ///< tokens per register tile of the scratch kernel
constexpr int kIntegerTile = 5;  ///< the same of the integer kernels

size_t packed_bytes(int64_t k, int64_t tokens);

size_t gemv_scratch_bytes(int64_t k, int64_t tokens);
void gemv_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                      float* factor);
void gemv_pack_columns(const TokenSource& x, int64_t first, int64_t count, int64_t k0, int64_t k1,
                       void* packed, float* factor);
void gemv_multiply(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                   const float* factor, int64_t tokens, float* sums, void* scratch);

size_t fused_scratch_bytes(int64_t k, int64_t tokens);
void fused_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                       float* factor);
void fused_pack_columns(const TokenSource& x, int64_t first, int64_t count, int64_t k0, int64_t k1,
                        void* packed, float* factor);
void fused_multiply(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                    const float* factor, int64_t tokens, float* sums, void* scratch);

size_t gemm_scratch_bytes(int64_t k, int64_t tokens);
void gemm_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                      float* factor);
void gemm_pack_columns(const TokenSource& x, int64_t first, int64_t count, int64_t k0, int64_t k1,
                       void* packed, float* factor);
void gemm_multiply(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                   const float* factor, int64_t tokens, float* sums, void* scratch);

size_t i16_packed_bytes(int64_t k, int64_t tokens);
size_t i16_scratch_bytes(int64_t k, int64_t tokens);
void i16_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                     float* factor);
void i16_multiply(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                  const float* factor, int64_t tokens, float* sums, void* scratch);

size_t i8_packed_bytes(int64_t k, int64_t tokens);
size_t i8_scratch_bytes(int64_t k, int64_t tokens);
void i8_pack_tokens(const TokenSource& x, int64_t first, int64_t count, void* packed,
                    float* factor);
void i8_multiply(const CpuWeightView& weight, int64_t panel, int panels, const void* packed,
                 const float* factor, int64_t tokens, float* sums, void* scratch);

void decode_panel(const CpuWeightView& weight, int64_t panel, int64_t k0, int64_t count,
                  float* out);
void store(const OutputSink& out, const float* sums, int64_t ld, int64_t row, int64_t rows,
           int64_t token, int64_t tokens);

}  // namespace fp6llm::avx2
