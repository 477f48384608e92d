// The functions behind the _INIT macros. They write the structs as ABI 0 froze them: when a struct
// grows, its function goes on writing (and declaring in structSize) the first version's fields
// only, because the caller may have been built against that version.
#include <cstddef>
#include <cstring>

#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"

namespace fp6llm::capi {
namespace {

/// `frozen`: bytes of the struct in ABI 0.
template <typename Struct>
fp6llmStatus_t initialize(Struct* output, const char* name, Struct value,
                          size_t frozen = sizeof(Struct)) noexcept {
    return guard([&] {
        check_out(output, name);
        value.structSize = frozen;
        std::memcpy(output, &value, frozen);
    });
}

}  // namespace
}  // namespace fp6llm::capi

using namespace fp6llm::capi;

fp6llmStatus_t fp6llmHandleConfigInit(fp6llmHandleConfig_t* config) {
    return initialize(config, "config", fp6llmHandleConfig_t FP6LLM_HANDLE_CONFIG_INIT);
}

fp6llmStatus_t fp6llmDeviceInfoInit(fp6llmDeviceInfo_t* info) {
    return initialize(info, "info", fp6llmDeviceInfo_t FP6LLM_DEVICE_INFO_INIT);
}

fp6llmStatus_t fp6llmQuantConfigInit(fp6llmQuantConfig_t* config) {
    return initialize(config, "config", fp6llmQuantConfig_t FP6LLM_QUANT_CONFIG_INIT,
                      offsetof(fp6llmQuantConfig_t, computeHint));
}

fp6llmStatus_t fp6llmQuantStatsInit(fp6llmQuantStats_t* stats) {
    return initialize(stats, "stats", fp6llmQuantStats_t FP6LLM_QUANT_STATS_INIT);
}

fp6llmStatus_t fp6llmWeightInfoInit(fp6llmWeightInfo_t* info) {
    return initialize(info, "info", fp6llmWeightInfo_t FP6LLM_WEIGHT_INFO_INIT);
}

fp6llmStatus_t fp6llmEpilogueInit(fp6llmEpilogue_t* epilogue) {
    return initialize(epilogue, "epilogue", fp6llmEpilogue_t FP6LLM_EPILOGUE_INIT);
}

fp6llmStatus_t fp6llmHeuristicResultInit(fp6llmHeuristicResult_t* result) {
    return initialize(result, "result", fp6llmHeuristicResult_t FP6LLM_HEURISTIC_RESULT_INIT);
}
