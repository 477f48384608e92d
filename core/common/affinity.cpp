#include "core/common/affinity.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace fp6llm {

// The raw calls: glibc's wrappers are typed for cpu_set_t, and the kernel's own return value tells
// how many bytes a mask has here.
AffinityMask AffinityMask::of_thread(int tid) noexcept {
    AffinityMask mask;
    const long bytes = syscall(SYS_sched_getaffinity, tid, sizeof mask.words_, &mask.words_[0]);
    if (bytes > 0) mask.bytes_ = static_cast<size_t>(bytes);
    return mask;
}

AffinityMask AffinityMask::of_process() noexcept {
    return of_thread(getpid());
}

AffinityMask AffinityMask::of_this_thread() noexcept {
    return of_thread(0);
}

int AffinityMask::count() const noexcept {
    int cpus = 0;
    for (size_t i = 0; i < bytes_ / sizeof(unsigned long); ++i) {
        cpus += __builtin_popcountl(words_[i]);
    }
    return cpus;
}

AffinityMask AffinityMask::without(int cpu) const noexcept {
    AffinityMask mask = *this;
    const auto bit = static_cast<size_t>(cpu);
    if (cpu >= 0 && bit / kWordBits < words_.size()) {
        mask.words_[bit / kWordBits] &= ~(1ul << bit % kWordBits);
    }
    return mask;
}

void AffinityMask::apply_to_this_thread() const noexcept {
    if (bytes_ > 0) syscall(SYS_sched_setaffinity, 0, bytes_, &words_[0]);
}

}  // namespace fp6llm
