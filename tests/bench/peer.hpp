// Other libraries as contenders: opened at run time, so that nothing here needs them to build, and
// each checked before it is timed. peer_*.cpp hold one library each, with its functions declared as
// far as they are called.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/measure.hpp"
#include "tests/bench/weights.hpp"

namespace fp6llm::bench {

/// One matrix in a library's own format, in cold copies.
class PeerMatrix {
  public:
    virtual ~PeerMatrix() = default;

    /// What multiplies `tokens` rows of x [.., cols] into y [.., rows], both at 64-byte alignment, by
    /// copy `call`, on `threads` threads: valid until the next product() or the matrix ends. Throws
    /// std::runtime_error with the reason where the library cannot.
    virtual std::function<void(int64_t call)> product(float* x, float* y, int64_t tokens,
                                                      int threads) = 0;
    /// Bytes of a copy.
    virtual double bytes() const = 0;
    /// The library's name for what product() gave last; may be empty.
    virtual std::string kernel() const { return ""; }
};

/// A way that a library stores and multiplies weights.
struct PeerMethod {
    std::string name;
    /// Largest error / rms, against the fp32 weights, that its number formats explain: see each.
    double tolerance = 0;
    /// Stores W [shape], `total` bytes of copies; `w` must stay. Throws std::runtime_error where it cannot.
    std::function<std::unique_ptr<PeerMatrix>(const Shape& shape, const float* w, size_t total)>
        load{};
};

struct Peer {
    std::string description;  ///< name and release
    std::vector<PeerMethod> methods;
};

/// Each in the folder that holds its library; throw std::runtime_error where that is not usable.
Peer open_ggml(const std::string& folder);
Peer open_ik(const std::string& folder);
Peer open_onednn(const std::string& folder);
Peer open_mkl(const std::string& folder);

/// Every peer that the folders hold; `say` gets a line for each, found or left out. Call it before
/// anything else opens OpenMP: it clears the environment's settings of that, for the defaults that
/// users get.
std::vector<Peer> open_peers(const std::vector<std::string>& folders,
                             const std::function<void(const std::string&)>& say);

/// The matrices that the methods of all peers make of one W; what cannot is left out, and said.
struct LoadedPeer {
    const Peer* peer;
    const PeerMethod* method;
    std::unique_ptr<PeerMatrix> matrix;
};
std::vector<LoadedPeer> load_peers(const std::vector<Peer>& peers, const Shape& shape,
                                   const float* w, size_t total,
                                   const std::function<void(const std::string&)>& say);

/// What a product is checked and measured on.
struct PeerCase {
    const CheckedRows& original;  ///< rows of the fp32 weights
    Shape shape;
    int64_t tokens;
    int threads;
    float* x;
    float* y;
};

/// Adds every product that is right to the contenders. One that is wrong is never timed: it is left
/// out, and said.
void add_peers(std::vector<LoadedPeer>& loaded, const PeerCase& problem,
               std::vector<Contender>& contenders,
               const std::function<void(const std::string&)>& say);

/// A function of a library by its name. Throws std::runtime_error if the library lacks it.
void* find_symbol(void* library, const char* name);
template <typename Function>
void find_function(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(find_symbol(library, name));
}

/// dlopen(), throwing std::runtime_error.
void* open_library(const std::string& path, bool global = false);

}  // namespace fp6llm::bench
