// Any bytes as a sequence of calls to the C ABI. See capi_session.hpp for what must hold.
#include "tests/fuzz/capi_session.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr int kMostSteps = 24;
    fp6llm::fuzz::Choices choices(data, size);
    fp6llm::fuzz::Session session(choices);
    for (int i = 0; i < kMostSteps && !choices.done(); ++i)
        session.step();
    return 0;
}
