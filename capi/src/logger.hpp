// The process-wide log receiver. Without one, log() is a load and a branch.
#pragma once

#include "fp6llm/fp6llm.h"

namespace fp6llm::capi {

void log(fp6llmLogLevel_t level, const char* message) noexcept;

}  // namespace fp6llm::capi
