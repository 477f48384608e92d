// The linear layers of a Llama-architecture GGUF file, as fp32.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "examples/common/gguf.hpp"

namespace fp6llm::examples {

struct Layer {
    std::string kind;            ///< "attn_q", ..., "lm_head"
    GgufType origin;             ///< type in the file
    int64_t rows;                ///< output channels
    int64_t cols;                ///< input channels
    std::vector<float> weights;  ///< row-major [rows, cols]
};

/// All layers in the order in which one token passes them: attention and feed-forward of each
/// block, then the head, which is the token embedding where the model ties the two. `progress` is
/// called after each with the layers done and in all. Throws GgufError.
std::vector<Layer> load_linear_layers(const GgufFile& file,
                                      const std::function<void(size_t, size_t)>& progress);

}  // namespace fp6llm::examples
