// Any bytes as a GGUF file: refused with an error, or every tensor dequantizes in bounds.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "examples/common/gguf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace fp6llm::examples;
    // An own copy, so that one byte beyond the file is one byte beyond an allocation.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
    if (size > 0) std::memcpy(copy.get(), data, size);
    try {
        const GgufFile file = GgufFile::parse(copy.get(), size);
        for (const GgufTensor& tensor : file.tensors()) {
            std::vector<float> row(static_cast<size_t>(tensor.cols));
            for (int64_t r = 0; r < tensor.rows; ++r)
                dequantize_rows(tensor, r, 1, row.data());
        }
        file.integer("llama.block_count");
    } catch (const GgufError&) {
    }
    return 0;
}
