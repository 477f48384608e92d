// Where the threads of OpenMP run that other libraries share: each on a CPU of its own, as
// OMP_PROC_BIND does it, but with the calling thread bound for their turns only.
//
// A worker that sleeps can be woken onto the caller's CPU while the caller waits spinning: the call
// then takes a tick of the scheduler, milliseconds. And a caller that stays bound would hand its one
// CPU on to every thread that it starts for other contenders.
#pragma once

namespace fp6llm::bench {

/// Binds the workers that the next parallel regions of `threads` threads get, while OpenMP is open;
/// else does nothing.
void bind_openmp_workers(int threads);

/// Binds the calling thread to the CPU that the workers leave free, and lets it go again.
void bind_caller() noexcept;
void release_caller() noexcept;

}  // namespace fp6llm::bench
