// See peers.hpp.
#include "tests/bench/gpu/peers.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace fp6llm::bench {
namespace {

template <typename Function>
void find(void* library, const std::string& path, const char* name, Function& out) {
    out = reinterpret_cast<Function>(dlsym(library, name));
    if (out == nullptr) throw std::runtime_error(path + " lacks " + name + " (peer.h)");
}

}  // namespace

std::vector<std::unique_ptr<Peer>> Peer::load_all() {
    std::vector<std::unique_ptr<Peer>> peers;
    const char* names = std::getenv("FP6LLM_BENCH_PEERS");
    std::istringstream list(names != nullptr ? names : "");
    for (std::string path; std::getline(list, path, ':');) {
        if (path.empty()) continue;
        void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw std::runtime_error(dlerror());
        auto peer = std::make_unique<Peer>();
        decltype(&::fp6llmPeerName) name = nullptr;
        find(library, path, "fp6llmPeerName", name);
        find(library, path, "fp6llmPeerPrepare", peer->prepare);
        find(library, path, "fp6llmPeerRun", peer->run);
        find(library, path, "fp6llmPeerDestroy", peer->destroy);
        peer->name_ = name();
        peers.push_back(std::move(peer));
    }
    return peers;
}

}  // namespace fp6llm::bench
