#include "core/common/affinity.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace fp6llm {

// The raw calls: glibc's wrappers are typed for cpu_set_t, and the kernel's own return value tells
// how many bytes a mask has here.
AffinityMask AffinityMask::of_process() noexcept {
    AffinityMask mask;
    const long bytes =
        syscall(SYS_sched_getaffinity, getpid(), sizeof mask.words_, &mask.words_[0]);
    if (bytes > 0) mask.bytes_ = static_cast<size_t>(bytes);
    return mask;
}

int AffinityMask::count() const noexcept {
    int cpus = 0;
    for (size_t i = 0; i < bytes_ / sizeof(unsigned long); ++i) {
        cpus += __builtin_popcountl(words_[i]);
    }
    return cpus;
}

void AffinityMask::apply_to_this_thread() const noexcept {
    if (bytes_ > 0) syscall(SYS_sched_setaffinity, 0, bytes_, &words_[0]);
}

}  // namespace fp6llm
