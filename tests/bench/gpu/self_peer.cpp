// libfp6llm as its own peer, through the original fp6_llm's buffer: tests the way of adapters, and shows
// what one looks like.
#include "fp6llm/fp6llm.hpp"
#include "tests/bench/gpu/peer.h"

#pragma GCC visibility push(default)

namespace {

struct PeerWeight {
    fp6llm::Handle handle;
    fp6llm::Weight weight;
    int64_t oc, ic;
};

fp6llm::Handle make_handle() {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CUDA;
    return fp6llm::Handle(config);
}

}  // namespace

const char* fp6llmPeerName(void) {
    return "self";
}

void* fp6llmPeerPrepare(int64_t oc, int64_t ic, const void* packed, const void* scales,
                        const void* /*dense*/, void* stream) {
    fp6llmQuantConfig_t config = FP6LLM_QUANT_CONFIG_INIT;
    config.scaleType = FP6LLM_R_16F;
    try {
        fp6llm::Handle handle = make_handle();
        handle.set_stream(static_cast<fp6llmStream_t>(stream));
        fp6llmWeight_t weight = nullptr;
        fp6llm::check(fp6llmWeightCreateFromPacked(handle.get(), FP6LLM_LAYOUT_TC_FPX, &config, oc,
                                                   ic, packed, scales, &weight));
        return new PeerWeight{std::move(handle), fp6llm::Weight(weight), oc, ic};
    } catch (const fp6llm::Exception&) {
        return nullptr;
    }
}

int fp6llmPeerRun(void* weight, int64_t tokens, const void* x, void* y, int variant,
                  void* /*stream*/) {
    if (variant > 1) return 1;
    auto& w = *static_cast<PeerWeight*>(weight);
    const float alpha = 1.0f, beta = 0.0f;
    // Variants: the kernel that is chosen, and the widest tile.
    return fp6llmGemmEx(w.handle.get(), FP6LLM_OP_T, FP6LLM_OP_N, w.oc, tokens, w.ic, &alpha,
                        w.weight.get(), x, FP6LLM_R_16F, w.ic, &beta, y, FP6LLM_R_16F, w.oc,
                        FP6LLM_COMPUTE_32F, variant == 0 ? FP6LLM_ALGO_DEFAULT : 80'128);
}

void fp6llmPeerDestroy(void* weight) {
    delete static_cast<PeerWeight*>(weight);
}

#pragma GCC visibility pop
