// The CPUs this process may use: the affinity mask of its main thread, not of the calling thread. A
// host may pin the thread that calls us; workers that inherited such a mask would all share one
// CPU.
#pragma once

#include <array>
#include <cstddef>

namespace fp6llm {

class AffinityMask {
  public:
    /// The mask of the process; empty if the system does not tell.
    static AffinityMask of_process() noexcept;

    /// CPUs in the mask.
    int count() const noexcept;

    /// Lets the calling thread run on these CPUs; no effect if the mask is empty.
    void apply_to_this_thread() const noexcept;

  private:
    /// 8192 CPUs, the most that Linux can be built for (`cpu_set_t` ends at 1024).
    std::array<unsigned long, 8192 / (8 * sizeof(unsigned long))> words_{};
    size_t bytes_ = 0;  ///< as many as the kernel filled
};

}  // namespace fp6llm
