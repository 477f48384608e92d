#include "core/prepack/cuda/weight.hpp"

namespace fp6llm::cuda {
namespace {

[[noreturn]] void fail_not_there() {
    fail(Status::kNotSupported, "weights on CUDA are not in this version; a CPU handle makes them");
}

}  // namespace

size_t Weight::blob_bytes(const QuantSpec&, int64_t, int64_t) {
    fail_not_there();
}

void Weight::pack_blob(const Queue&, const QuantSpec&, int64_t, int64_t, const uint8_t*,
                       const void*, uint8_t*) {
    fail_not_there();
}

std::unique_ptr<Weight> Weight::from_floats(const Queue&, const QuantSpec&, const MatrixView&) {
    fail_not_there();
}

std::unique_ptr<Weight> Weight::from_codes(const Queue&, const QuantSpec&, int64_t, int64_t,
                                           const uint8_t*, const void*) {
    fail_not_there();
}

std::unique_ptr<Weight> Weight::from_packed(const Queue&, PackedLayout, const QuantSpec&, int64_t,
                                            int64_t, const uint8_t*, const void*) {
    fail_not_there();
}

std::unique_ptr<Weight> Weight::from_blob(const Queue&, const uint8_t*, size_t) {
    fail_not_there();
}

const char* Weight::layout_name() const noexcept {
    return "cuda-l3/1";
}

void Weight::export_codes(const Queue&, uint8_t*, void*) const {
    fail_not_there();
}

void Weight::export_packed(const Queue&, PackedLayout, uint8_t*, void*) const {
    fail_not_there();
}

}  // namespace fp6llm::cuda
