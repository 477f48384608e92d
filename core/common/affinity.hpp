// Sets of CPUs. Those that this process may use are the affinity mask of its main thread, not of the
// calling thread: a host may pin the thread that calls us, and workers that inherited such a mask would
// all share one CPU.
#pragma once

#include <array>
#include <cstddef>

namespace fp6llm {

class AffinityMask {
  public:
    /// The mask of the process; empty if the system does not tell.
    static AffinityMask of_process() noexcept;

    static AffinityMask of_this_thread() noexcept;

    /// CPUs in the mask.
    int count() const noexcept;

    /// The same without `cpu`, which may be none.
    AffinityMask without(int cpu) const noexcept;

    /// Lets the calling thread run on these CPUs; no effect if there are none.
    void apply_to_this_thread() const noexcept;

    friend bool operator==(const AffinityMask& a, const AffinityMask& b) noexcept {
        return a.words_ == b.words_;
    }

  private:
    static AffinityMask of_thread(int tid) noexcept;

    static constexpr size_t kWordBits = 8 * sizeof(unsigned long);

    /// 8192 CPUs, the most that Linux can be built for (`cpu_set_t` ends at 1024).
    std::array<unsigned long, 8192 / kWordBits> words_{};
    size_t bytes_ = 0;  ///< as many as the kernel filled
};

}  // namespace fp6llm
