// Other 6-bit libraries, through adapters with the functions of peer.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/bench/gpu/gpu.hpp"
#include "tests/bench/gpu/peer.h"

namespace fp6llm::bench {

class Peer {
  public:
    /// The libraries that FP6LLM_BENCH_PEERS names. Throws std::runtime_error if one is no adapter.
    static std::vector<std::unique_ptr<Peer>> load_all();
    const std::string& name() const noexcept { return name_; }

    decltype(&::fp6llmPeerPrepare) prepare = nullptr;
    decltype(&::fp6llmPeerRun) run = nullptr;
    decltype(&::fp6llmPeerDestroy) destroy = nullptr;

  private:
    std::string name_;
};

/// A peer's copies of one weight.
class PeerWeights {
  public:
    PeerWeights(const Peer& peer, std::vector<void*> copies) : peer_(&peer), copies_(copies) {}
    PeerWeights(const PeerWeights&) = delete;
    PeerWeights& operator=(const PeerWeights&) = delete;
    ~PeerWeights() {
        for (void* copy : copies_)
            peer_->destroy(copy);
    }
    const Peer& peer() const noexcept { return *peer_; }
    int64_t count() const noexcept { return static_cast<int64_t>(copies_.size()); }
    void* copy(int64_t call) const noexcept { return copies_[static_cast<size_t>(call % count())]; }

  private:
    const Peer* peer_;
    std::vector<void*> copies_;
};

}  // namespace fp6llm::bench
