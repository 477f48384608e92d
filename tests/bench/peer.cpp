// See peer.hpp.
#include "tests/bench/peer.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "tests/bench/openmp.hpp"

namespace fp6llm::bench {
namespace {

struct Library {
    const char* file;
    const char* name;
    Peer (*open)(const std::string& folder);
};
constexpr Library kLibraries[] = {{"libggml-cpu.so", "ggml", open_ggml},
                                  {"libggml.so", "ik_llama.cpp", open_ik},
                                  {"libdnnl.so.3", "oneDNN", open_onednn},
                                  {"libmkl_rt.so.3", "MKL", open_mkl}};

// All of them run on the same OpenMP threads. Those spin for some milliseconds after a call, less
// than the pause before the next contender's turn, unless these say otherwise.
constexpr const char* kOpenMpSettings[] = {
    "OMP_NUM_THREADS", "OMP_DYNAMIC",      "OMP_PROC_BIND",  "OMP_PLACES",
    "OMP_WAIT_POLICY", "OMP_THREAD_LIMIT", "GOMP_SPINCOUNT", "GOMP_CPU_AFFINITY"};

}  // namespace

void* find_symbol(void* library, const char* name) {
    void* symbol = dlsym(library, name);
    if (!symbol) throw std::runtime_error(std::string("it lacks ") + name);
    return symbol;
}

void* open_library(const std::string& path, bool global) {
    void* library = dlopen(path.c_str(), RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
    if (!library) throw std::runtime_error(dlerror());
    return library;
}

std::vector<Peer> open_peers(const std::vector<std::string>& folders,
                             const std::function<void(const std::string&)>& say) {
    for (const char* setting : kOpenMpSettings)
        unsetenv(setting);
    std::vector<Peer> peers;
    for (const Library& library : kLibraries) {
        std::string why = std::string("no ") + library.file + " in the folders of --peers";
        for (const std::string& folder : folders) {
            if (!std::filesystem::exists(std::filesystem::path(folder) / library.file)) continue;
            try {
                peers.push_back(library.open(folder));
                why.clear();
                say("peer: " + peers.back().description);
                break;
            } catch (const std::runtime_error& error) {
                why = error.what();
            }
        }
        if (!why.empty()) say(std::string(library.name) + " is left out: " + why);
    }
    return peers;
}

std::vector<LoadedPeer> load_peers(const std::vector<Peer>& peers, const Shape& shape,
                                   const float* w, size_t total,
                                   const std::function<void(const std::string&)>& say) {
    std::vector<LoadedPeer> loaded;
    for (const Peer& peer : peers) {
        for (const PeerMethod& method : peer.methods) {
            try {
                loaded.push_back({&peer, &method, method.load(shape, w, total)});
            } catch (const std::runtime_error& error) {
                say(method.name + " is left out: " + error.what());
            }
        }
    }
    return loaded;
}

void add_peers(std::vector<LoadedPeer>& loaded, const PeerCase& problem,
               std::vector<Contender>& contenders,
               const std::function<void(const std::string&)>& say) {
    const Shape& shape = problem.shape;
    const double flops = 2.0 * static_cast<double>(shape.rows * shape.cols * problem.tokens);
    for (LoadedPeer& peer : loaded) {
        const std::string& name = peer.method->name;
        try {
            const auto run =
                peer.matrix->product(problem.x, problem.y, problem.tokens, problem.threads);
            const double error = checked_run(problem.original, shape.cols, problem.x, problem.y,
                                             problem.tokens, shape.rows, [&] { run(0); });
            require_close("its result", error, peer.method->tolerance);
            const std::string kernel = peer.matrix->kernel();
            contenders.push_back({Kind::kPeer, name,
                                  peer.peer->description + (kernel.empty() ? "" : ", " + kernel),
                                  peer.matrix->bytes(), flops, error, run});
            if (problem.threads < 2) continue;
            bind_openmp_workers(problem.threads);
            contenders.back().before_turn = bind_caller;
            contenders.back().after_turn = release_caller;
        } catch (const std::runtime_error& error) {
            say(name + " is left out: " + error.what());
        }
    }
}

}  // namespace fp6llm::bench
