#include "core/common/error.hpp"

#include <cstdarg>
#include <cstdio>

namespace fp6llm {

void fail(Status status, const char* format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof text, format, args);
    va_end(args);
    throw Error(status, text);
}

}  // namespace fp6llm
