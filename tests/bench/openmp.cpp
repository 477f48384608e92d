// See openmp.hpp.
#include "tests/bench/openmp.hpp"

#include <dlfcn.h>
#include <sched.h>

#include <vector>

namespace fp6llm::bench {
namespace {

// The CPUs that this process may use, as it was started.
const cpu_set_t& allowed() {
    static const cpu_set_t set = [] {
        cpu_set_t mask;
        CPU_ZERO(&mask);
        sched_getaffinity(0, sizeof mask, &mask);
        return mask;
    }();
    return set;
}

std::vector<int> allowed_cpus() {
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed())) cpus.push_back(cpu);
    }
    return cpus;
}

void bind_to(int cpu) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

struct Region {
    int (*thread_number)();
    std::vector<int> cpus;  // of each thread
};

void bind_worker(void* data) {
    const auto& region = *static_cast<const Region*>(data);
    const int thread = region.thread_number();
    if (thread > 0) bind_to(region.cpus[static_cast<size_t>(thread)]);
}

}  // namespace

void bind_openmp_workers(int threads) {
    const std::vector<int> cpus = allowed_cpus();
    if (threads < 2 || static_cast<size_t>(threads) > cpus.size()) return;
    void* library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (!library) return;
    // What the compiler makes of a parallel region with a num_threads clause.
    const auto parallel = reinterpret_cast<void (*)(void (*)(void*), void*, unsigned, unsigned)>(
        dlsym(library, "GOMP_parallel"));
    Region region{reinterpret_cast<int (*)()>(dlsym(library, "omp_get_thread_num")), {}};
    if (parallel && region.thread_number) {
        // Evenly over all, for CPUs with neighbouring numbers may share a core.
        for (size_t i = 0; i < static_cast<size_t>(threads); ++i)
            region.cpus.push_back(cpus[i * cpus.size() / static_cast<size_t>(threads)]);
        parallel(bind_worker, &region, static_cast<unsigned>(threads), 0);
    }
    dlclose(library);
}

void bind_caller() noexcept {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed())) continue;
        bind_to(cpu);
        return;
    }
}

void release_caller() noexcept {
    sched_setaffinity(0, sizeof(cpu_set_t), &allowed());
}

}  // namespace fp6llm::bench
