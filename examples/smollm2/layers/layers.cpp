// See layers.hpp.
#include "examples/smollm2/layers/layers.hpp"

#include <utility>

namespace fp6llm::examples {

std::vector<Layer> load_linear_layers(const GgufFile& file,
                                      const std::function<void(size_t, size_t)>& progress) {
    if (file.text("general.architecture") != "llama") {
        throw GgufError("architecture is not llama, whose layers this program knows");
    }
    std::vector<std::pair<const char*, const GgufTensor*>> found;
    const uint64_t blocks = file.integer("llama.block_count");
    for (uint64_t block = 0; block < blocks; ++block) {
        for (const char* kind :
             {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
            const std::string name = "blk." + std::to_string(block) + "." + kind + ".weight";
            found.emplace_back(kind, &file.tensor(name));
        }
    }
    const GgufTensor* head = nullptr;
    for (const GgufTensor& tensor : file.tensors()) {
        if (tensor.name == "output.weight") head = &tensor;
    }
    found.emplace_back("lm_head", head ? head : &file.tensor("token_embd.weight"));

    std::vector<Layer> layers;
    layers.reserve(found.size());
    for (const auto& [kind, tensor] : found) {
        Layer layer{kind, tensor->type, tensor->rows, tensor->cols, {}};
        layer.weights.resize(static_cast<size_t>(tensor->rows * tensor->cols));
        dequantize_rows(*tensor, 0, tensor->rows, layer.weights.data());
        layers.push_back(std::move(layer));
        progress(layers.size(), found.size());
    }
    return layers;
}

}  // namespace fp6llm::examples
