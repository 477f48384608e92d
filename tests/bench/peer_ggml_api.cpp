// See peer_ggml_api.hpp.
#include "tests/bench/peer_ggml_api.hpp"

#include <stdexcept>
#include <string>

#include "tests/bench/peer.hpp"

namespace fp6llm::bench {
namespace {

constexpr size_t kGraph = 16;  // nodes, at most

}  // namespace

void open_ggml_api(void* library, std::initializer_list<GgmlType> types, GgmlApi& ggml) {
    find_function(library, "ggml_type_name", ggml.type_name);
    find_function(library, "ggml_blck_size", ggml.block_size);
    find_function(library, "ggml_row_size", ggml.row_size);
    find_function(library, "ggml_init", ggml.init);
    find_function(library, "ggml_free", ggml.free);
    find_function(library, "ggml_tensor_overhead", ggml.tensor_overhead);
    find_function(library, "ggml_graph_overhead_custom", ggml.graph_overhead_custom);
    find_function(library, "ggml_new_tensor_2d", ggml.new_tensor_2d);
    find_function(library, "ggml_mul_mat", ggml.mul_mat);
    find_function(library, "ggml_new_graph_custom", ggml.new_graph_custom);
    find_function(library, "ggml_build_forward_expand", ggml.build_forward_expand);
    for (const GgmlType& known : types) {
        const char* name = ggml.type_name(known.type);
        if (!name || std::string(name) != known.name) {
            throw std::runtime_error("it numbers its types otherwise than this program");
        }
    }
}

GgmlContext::GgmlContext(const GgmlApi& ggml, size_t tensors, size_t graphs, size_t data_bytes)
    : ggml_(ggml),
      context_(
          ggml.init({tensors * ggml.tensor_overhead() +
                         graphs * ggml.graph_overhead_custom(kGraph, false) + data_bytes + 4096,
                     nullptr, data_bytes == 0})) {
    if (!context_) throw std::runtime_error("no ggml context");
}

void* GgmlContext::graph(void* result) const {
    void* graph = ggml_.new_graph_custom(context_, kGraph, false);
    ggml_.build_forward_expand(graph, result);
    return graph;
}

}  // namespace fp6llm::bench
