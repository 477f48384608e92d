// operator new that can fail, and knows how many blocks live. Replaces the program's own; in a file
// of its own because compilers must not see through it (they warn of mismatched new and delete).
#pragma once

#include <cstdint>

namespace fp6llm::capi_test {

/// The n-th operator new from now (1 = the next) on this thread throws; 0 = none.
void fail_new_after(int n) noexcept;

/// Blocks allocated and not yet freed, by all threads.
int64_t live_news() noexcept;

/// Blocks ever allocated, by all threads.
int64_t all_news() noexcept;

}  // namespace fp6llm::capi_test
