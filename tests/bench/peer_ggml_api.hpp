// What ggml and its fork ik_llama.cpp have in common of ggml.h: tensors, graphs, quantized rows. How a
// graph is computed and where data lie differ: peer_ggml.cpp, peer_ik.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace fp6llm::bench {

struct GgmlInitParams {
    size_t memory_bytes;
    void* memory;
    bool no_data;
};

struct GgmlApi {
    const char* (*type_name)(int type);
    int64_t (*block_size)(int type);
    size_t (*row_size)(int type, int64_t count);
    void* (*init)(GgmlInitParams params);
    void (*free)(void* context);
    size_t (*tensor_overhead)();
    size_t (*graph_overhead_custom)(size_t size, bool gradients);
    void* (*new_tensor_2d)(void* context, int type, int64_t ne0, int64_t ne1);
    void* (*mul_mat)(void* context, void* a, void* b);
    void* (*new_graph_custom)(void* context, size_t size, bool gradients);
    void (*build_forward_expand)(void* graph, void* tensor);
};

/// A type by the number that a program knows it by, and the name that it must have in the library.
struct GgmlType {
    int type;
    const char* name;
};

/// Finds the functions and checks the types. Throws std::runtime_error.
void open_ggml_api(void* library, std::initializer_list<GgmlType> types, GgmlApi& ggml);

/// A context that holds descriptions of tensors and graphs and, unless told otherwise, none of their data.
class GgmlContext {
  public:
    /// Throws std::runtime_error.
    GgmlContext(const GgmlApi& ggml, size_t tensors, size_t graphs, size_t data_bytes = 0);
    ~GgmlContext() { ggml_.free(context_); }
    GgmlContext(const GgmlContext&) = delete;
    GgmlContext& operator=(const GgmlContext&) = delete;

    void* matrix(int type, int64_t cols, int64_t rows) const {
        return ggml_.new_tensor_2d(context_, type, cols, rows);
    }
    void* multiply(void* w, void* x) const { return ggml_.mul_mat(context_, w, x); }
    void* graph(void* result) const;

  private:
    const GgmlApi& ggml_;
    void* context_;
};

}  // namespace fp6llm::bench
