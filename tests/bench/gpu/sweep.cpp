// See sweep.hpp.
#include "tests/bench/gpu/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>

#include "core/common/float16.hpp"
#include "tests/bench/gpu/peers.hpp"
#include "tests/bench/measure.hpp"

namespace fp6llm::bench {
namespace {

constexpr size_t kCublasWorkspace = size_t{32} << 20;
constexpr int kCublasProposals = 8;
constexpr int kCheckedRows = 67, kCheckedTokens = 64;
constexpr int kGraphCalls = 20;
constexpr int kMostPeerVariants = 64;
constexpr int64_t kMostGraphCalls = 2000;
/// A case's timing takes about so long, unless fewest rounds take longer.
constexpr double kCaseMicroseconds = 2e6;
constexpr int kFewestRounds = 3;

const char* type_name(fp6llmDataType_t type) {
    return type == FP6LLM_R_16F ? "f16" : "bf16";
}

/// What a wrong digit costs: outputs are rounded to 11 or 8 bits, and the largest of thousands of
/// errors is compared with the outputs' rms, of which the largest outputs are some four. fp32 sums and
/// their order add less than a tenth of that.
double tolerance(fp6llmDataType_t type) {
    return type == FP6LLM_R_16F ? 4e-3 : 3e-2;
}

/// Activations and outputs of a case.
struct Activations {
    Activations(Gpu& gpu, fp6llmDataType_t data_type, int64_t token_count, const Shape& shape)
        : type(data_type),
          tokens(token_count),
          x(gpu, data_type, token_count, shape.cols, 1.0f, 99),
          y(gpu, static_cast<size_t>(token_count * shape.rows) * 2),
          checked(spread(kCheckedTokens, token_count)) {
        for (const int64_t t : checked) {
            const std::vector<float> row = x.row(t);
            checked_x.insert(checked_x.end(), row.begin(), row.end());
        }
    }
    fp6llmDataType_t type;
    int64_t tokens;
    RandomMatrix x;
    GpuBuffer y;
    std::vector<int64_t> checked;  // tokens
    std::vector<float> checked_x;  // [checked, cols]
};

/// One way to compute a case.
struct Way {
    GpuContender contender;
    const CheckedRows* checked;
    const Activations* activations;
    bool is_swapped;  // Y is [rows, tokens]
    int64_t copies;
    std::function<void(int64_t call)> enqueue;
    GpuGraph graph{};
    int64_t calls = 0;
};

/// Largest error of what `way` left in Y, on the checked rows and tokens; infinity if a checked token has
/// an element that was not written.
double error_of(Gpu& gpu, const Way& way, const Shape& shape) {
    const Activations& a = *way.activations;
    const auto rows = static_cast<size_t>(shape.rows), tokens = static_cast<size_t>(a.tokens);
    std::vector<float> y(a.checked.size() * rows);
    std::vector<uint16_t> bits(way.is_swapped ? rows * tokens : rows);
    if (way.is_swapped) gpu.download(bits.data(), a.y.data(), bits.size() * 2);
    for (size_t i = 0; i < a.checked.size(); ++i) {
        const auto t = static_cast<size_t>(a.checked[i]);
        if (!way.is_swapped) gpu.download(bits.data(), a.y.data() + t * rows * 2, rows * 2);
        for (size_t r = 0; r < rows; ++r) {
            const uint16_t value = way.is_swapped ? bits[r * tokens + t] : bits[r];
            y[i * rows + r] = a.type == FP6LLM_R_16F ? half_to_float(value) : bf16_to_float(value);
        }
    }
    return product_error(*way.checked, shape.cols, a.checked_x.data(), y.data(),
                         static_cast<int64_t>(a.checked.size()), shape.rows);
}

void require(bool ok, const Way& way, const GpuCase& result, const char* when, double error) {
    if (ok) return;
    char text[256];
    std::snprintf(text, sizeof text, "%s %s, %lldx%lld, %lld tokens: wrong %s (error %.3g of rms)",
                  way.contender.name.c_str(), way.contender.type.c_str(),
                  static_cast<long long>(result.shape.rows),
                  static_cast<long long>(result.shape.cols), static_cast<long long>(result.tokens),
                  when, error);
    throw std::runtime_error(text);
}

class Sweep {
  public:
    Sweep(Gpu& gpu, const GpuOptions& options, CublasLt* cublas)
        : gpu_(gpu),
          options_(options),
          cublas_(cublas),
          handle_(make_handle(FP6LLM_BACKEND_CUDA, options.device)),
          cpu_(make_handle(FP6LLM_BACKEND_CPU, 0)),
          peers_(Peer::load_all()),
          workspace_(gpu, cublas != nullptr ? kCublasWorkspace : 0),
          cold_bytes_(options.dry ? 0
                                  : 5 * static_cast<size_t>(
                                            gpu.attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE))),
          start_(Clock::now()) {
        handle_.set_stream(gpu.stream());
    }

    GpuSweep run(const std::function<void(const GpuSweep&, const GpuCase&)>& report) {
        GpuSweep sweep;
        if (!options_.dry) sweep.copy_bytes_per_second = copy_speed();
        for (const auto& [shape, tokens] : ordered_cases()) {
            if (is_late()) {
                ++sweep.left_out;
                continue;
            }
            enter(shape, sweep);
            GpuCase result{shape, tokens, {}};
            run_case(result);
            sweep.cases.push_back(std::move(result));
            report(sweep, sweep.cases.back());
        }
        return sweep;
    }

  private:
    using Clock = std::chrono::steady_clock;

    static Handle make_handle(fp6llmBackend_t backend, int device) {
        fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
        config.backend = backend;
        config.device = device;
        return Handle(config);
    }

    bool is_late() const {
        const std::chrono::duration<double> passed = Clock::now() - start_;
        return options_.seconds > 0 && passed.count() > options_.seconds;
    }

    /// The most telling first: a few numbers of tokens on the 70B shapes, then more of both.
    std::vector<std::pair<Shape, int64_t>> ordered_cases() const {
        const auto shape_class = [](const Shape& s) {
            const int64_t key = s.rows * 100'000 + s.cols;
            for (const int64_t first :
                 {819'208'192LL, 5'734'408'192LL, 819'228'672LL, 1'024'008'192LL, 409'604'096LL})
                if (key == first) return 0;
            return s.cols == 4096 || s.cols == 14336 ? 1 : 2;
        };
        const auto token_class = [](int64_t m) {
            if (m == 1 || m == 16 || m == 64 || m == 256) return 0;
            return m == 8 || m == 32 || m == 128 || m == 1024 ? 1 : 2;
        };
        std::vector<std::pair<Shape, int64_t>> cases;
        for (const Shape& shape : options_.shapes)
            for (const int64_t tokens : options_.tokens)
                cases.emplace_back(shape, tokens);
        // Stable: within a class the shapes' order stays, so that each is prepared once per class.
        std::stable_sort(cases.begin(), cases.end(), [&](const auto& a, const auto& b) {
            return shape_class(a.first) + token_class(a.second) <
                   shape_class(b.first) + token_class(b.second);
        });
        return cases;
    }

    double copy_speed() {
        const size_t bytes = size_t{512} << 20;
        const GpuBuffer from(gpu_, bytes), to(gpu_, bytes);
        gpu_.fill(from.data(), 0x5A, bytes);
        constexpr int kCopies = 10;
        std::vector<double> samples;
        for (int i = 0; i < 5; ++i) {
            samples.push_back(gpu_.time([&] {
                for (int c = 0; c < kCopies; ++c)
                    gpu_.copy(to.data(), from.data(), bytes);
            }));
        }
        return 2.0 * static_cast<double>(bytes) * kCopies / (median(samples) * 1e-6);
    }

    /// Prepares a shape, unless it is the one before. Dense matrices that do not fit are left out.
    void enter(const Shape& shape, GpuSweep& sweep) {
        if (shape.rows == shape_.rows && shape.cols == shape_.cols) return;
        packed_.clear();
        dense_.clear();
        peer_weights_.clear();
        shape_ = shape;
        const std::vector<int64_t> rows = spread(kCheckedRows, shape.rows);
        const float deviation = 1.0f / std::sqrt(static_cast<float>(shape.cols));
        {
            const RandomMatrix w(gpu_, FP6LLM_R_16F, shape.rows, shape.cols, deviation, 7);
            for (const Format& format : options_.formats) {
                packed_.push_back(std::make_unique<PackedLayer>(gpu_, handle_, cpu_, format, w,
                                                                rows, cold_bytes_));
                if (options_.quantize && !is_timed_[{shape.rows, shape.cols}])
                    sweep.quantize.push_back(time_quantize(format, w));
            }
            is_timed_[{shape.rows, shape.cols}] = true;
            prepare_peers(w, rows);
        }
        if (cublas_ == nullptr) return;
        for (const fp6llmDataType_t type : options_.types) {
            try {
                Dense dense;
                dense.type = type;
                const RandomMatrix w(gpu_, type, shape.rows, shape.cols, deviation, 7);
                dense.checked.rows = rows;
                for (const int64_t row : rows) {
                    const std::vector<float> values = w.row(row);
                    dense.checked.values.insert(dense.checked.values.end(), values.begin(),
                                                values.end());
                }
                dense.copies = std::make_unique<GpuCopies>(gpu_, w.data(), w.bytes(), cold_bytes_);
                dense_.push_back(std::move(dense));
            } catch (const std::runtime_error& error) {
                std::printf("no dense %s of %lldx%lld: %s\n", type_name(type),
                            static_cast<long long>(shape.rows), static_cast<long long>(shape.cols),
                            error.what());
            }
        }
    }

    GpuQuantizeCase time_quantize(const Format& format, const RandomMatrix& w) {
        GpuQuantizeCase result{shape_, format.name, static_cast<double>(w.bytes())};
        const QuantSizes sizes = quant_sizes(format.config, w.rows(), w.cols());
        size_t bytes = 0;
        check(fp6llmWeightGetBlobSize(handle_.get(), &format.config, w.rows(), w.cols(), &bytes));
        const GpuBuffer codes(gpu_, sizes.code_bytes), scales(gpu_, sizes.scale_bytes);
        const GpuBuffer blob(gpu_, bytes);
        const auto quantize_and_pack = [&] {
            check(fp6llmQuantize(handle_.get(), &format.config, w.rows(), w.cols(), w.data(),
                                 FP6LLM_R_16F, w.cols(), codes.data(), scales.data(), nullptr));
            check(fp6llmWeightPackBlob(handle_.get(), &format.config, w.rows(), w.cols(),
                                       codes.data(), scales.data(), blob.data(), bytes));
        };
        quantize_and_pack();
        gpu_.synchronize();
        if (!options_.dry)
            for (int round = 0; round < options_.rounds; ++round)
                result.samples.push_back(gpu_.time(quantize_and_pack));
        return result;
    }

    void add_fp6(std::vector<Way>& ways, const Activations& a) {
        for (const std::unique_ptr<PackedLayer>& layer : packed_) {
            fp6llmHeuristicResult_t found[16] = {FP6LLM_HEURISTIC_RESULT_INIT};
            int count = 0;
            check(fp6llmGemmGetHeuristic(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, shape_.rows,
                                         a.tokens, shape_.cols, layer->weight(0), a.type, a.type,
                                         FP6LLM_COMPUTE_32F, 16, found, &count));
            for (int i = 0; i < count; ++i) {
                if (i > 0 && (!options_.all_algos || found[i].isReference != 0)) break;
                Way way;
                way.contender = {GpuKind::kFp6,
                                 layer->name(),
                                 type_name(a.type),
                                 found[i].name,
                                 static_cast<double>(layer->plain_bytes()),
                                 0.0,
                                 {}};
                way.checked = &layer->checked();
                way.activations = &a;
                way.is_swapped = false;
                way.copies = layer->copies();
                way.enqueue = [this, &a, layer = layer.get(), algo = found[i].algo](int64_t call) {
                    const float alpha = 1.0f, beta = 0.0f;
                    check(fp6llmGemmEx(handle_.get(), FP6LLM_OP_T, FP6LLM_OP_N, shape_.rows,
                                       a.tokens, shape_.cols, &alpha, layer->weight(call),
                                       a.x.data(), a.type, shape_.cols, &beta, a.y.data(), a.type,
                                       shape_.rows, FP6LLM_COMPUTE_32F, algo));
                };
                ways.push_back(std::move(way));
            }
        }
    }

    /// Microseconds of a graph of calls; infinity for what cannot run after all. In a dry run, 0.
    double trial(const std::function<void(int64_t call)>& call) {
        try {
            call(0);
            gpu_.synchronize();
            if (options_.dry) return 0;
            const GpuGraph graph = gpu_.capture([&] {
                for (int64_t i = 0; i < kGraphCalls; ++i)
                    call(i);
            });
            std::vector<double> times;
            for (int round = 0; round < 3; ++round)
                times.push_back(gpu_.time([&] { graph.launch(); }));
            return median(times);
        } catch (const std::runtime_error&) {
            return std::numeric_limits<double>::infinity();
        }
    }

    void add_dense(std::vector<Way>& ways, const Activations& a, bool is_swapped) {
        for (const Dense& dense : dense_) {
            if (dense.type != a.type) continue;
            std::vector<DenseProduct> products = cublas_->proposals(
                a.type, is_swapped ? a.tokens : shape_.rows, is_swapped ? shape_.rows : a.tokens,
                shape_.cols, workspace_.data(), workspace_.size(), kCublasProposals);
            std::shared_ptr<DenseProduct> best;
            double best_time = std::numeric_limits<double>::infinity();
            for (DenseProduct& product : products) {
                auto candidate = std::make_shared<DenseProduct>(std::move(product));
                const double time =
                    trial([&](int64_t i) { enqueue_dense(*candidate, dense, a, is_swapped, i); });
                if (time < best_time) best_time = time, best = candidate;
            }
            if (best == nullptr) continue;
            Way way;
            way.contender = {is_swapped ? GpuKind::kDenseSwapped : GpuKind::kDense,
                             is_swapped ? "cublas-swapped" : "cublas",
                             type_name(a.type),
                             "proposal " + std::to_string(best->index()),
                             2.0 * static_cast<double>(shape_.rows * shape_.cols),
                             0.0,
                             {}};
            way.checked = &dense.checked;
            way.activations = &a;
            way.is_swapped = is_swapped;
            way.copies = dense.copies->count();
            way.enqueue = [this, &a, &dense, best, is_swapped](int64_t i) {
                enqueue_dense(*best, dense, a, is_swapped, i);
            };
            ways.push_back(std::move(way));
        }
    }

    void enqueue_peer(const PeerWeights& weights, const Activations& a, int variant, int64_t call) {
        const int status = weights.peer().run(weights.copy(call), a.tokens, a.x.data(), a.y.data(),
                                              variant, gpu_.stream());
        if (status != 0) throw std::runtime_error("the peer answers " + std::to_string(status));
    }

    void add_peers(std::vector<Way>& ways, const Activations& a) {
        if (a.type != FP6LLM_R_16F) return;
        for (const std::unique_ptr<PeerWeights>& weights : peer_weights_) {
            int best = -1;
            double best_time = std::numeric_limits<double>::infinity();
            for (int variant = 0; variant < kMostPeerVariants; ++variant) {
                const double time =
                    trial([&](int64_t i) { enqueue_peer(*weights, a, variant, i); });
                if (std::isinf(time)) break;
                if (time < best_time) best_time = time, best = variant;
            }
            if (best < 0) continue;
            Way way;
            way.contender = {GpuKind::kPeer,
                             weights->peer().name(),
                             type_name(a.type),
                             "variant " + std::to_string(best),
                             static_cast<double>(peer_checked_bytes_),
                             0.0,
                             {}};
            way.checked = &peer_checked_;
            way.activations = &a;
            way.is_swapped = false;
            way.copies = weights->count();
            way.enqueue = [this, &a, weights = weights.get(), best](int64_t i) {
                enqueue_peer(*weights, a, best, i);
            };
            ways.push_back(std::move(way));
        }
    }

    /// The peers' weights: E3M2 with fp16 row scales, quantized here.
    void prepare_peers(const RandomMatrix& w, const std::vector<int64_t>& rows) {
        if (peers_.empty() || w.rows() % 64 != 0 || w.cols() % 64 != 0) return;
        Format format{"e3m2-row-f16", FP6LLM_QUANT_CONFIG_INIT};
        format.config.scaleType = FP6LLM_R_16F;
        const PackedLayer layer(gpu_, handle_, cpu_, format, w, rows, 0);
        peer_checked_ = layer.checked();
        peer_checked_bytes_ = layer.plain_bytes();
        const PackedSizes sizes =
            packed_sizes(FP6LLM_LAYOUT_TC_FPX, format.config, w.rows(), w.cols());
        const QuantSizes plain = quant_sizes(format.config, w.rows(), w.cols());
        const GpuBuffer packed(gpu_, sizes.packed_bytes), scales(gpu_, sizes.scale_bytes);
        const GpuBuffer codes(gpu_, plain.code_bytes), dense(gpu_, w.bytes());
        check(fp6llmWeightExportPacked(handle_.get(), layer.weight(0), FP6LLM_LAYOUT_TC_FPX,
                                       packed.data(), scales.data()));
        check(fp6llmWeightExportCodes(handle_.get(), layer.weight(0), codes.data(), nullptr));
        check(fp6llmDequantize(handle_.get(), &format.config, w.rows(), w.cols(), codes.data(),
                               scales.data(), dense.data(), FP6LLM_R_16F, w.cols()));
        const size_t count =
            std::max<size_t>(1, (cold_bytes_ + sizes.packed_bytes - 1) / sizes.packed_bytes);
        for (const std::unique_ptr<Peer>& peer : peers_) {
            std::vector<void*> copies;
            for (size_t i = 0; i < count; ++i) {
                void* copy = peer->prepare(w.rows(), w.cols(), packed.data(), scales.data(),
                                           dense.data(), gpu_.stream());
                if (copy == nullptr) break;
                copies.push_back(copy);
            }
            gpu_.synchronize();
            if (!copies.empty())
                peer_weights_.push_back(std::make_unique<PeerWeights>(*peer, copies));
        }
    }

    struct Dense {
        fp6llmDataType_t type{};
        CheckedRows checked;
        std::unique_ptr<GpuCopies> copies;
    };

    void enqueue_dense(const DenseProduct& product, const Dense& dense, const Activations& a,
                       bool is_swapped, int64_t call) {
        const void* w = dense.copies->copy(call);
        product.enqueue(is_swapped ? a.x.data() : w, is_swapped ? w : a.x.data(), a.y.data(),
                        gpu_.stream());
    }

    void run_case(GpuCase& result) {
        std::vector<std::unique_ptr<Activations>> activations;
        std::vector<Way> ways;
        for (const fp6llmDataType_t type : options_.types) {
            activations.push_back(
                std::make_unique<Activations>(gpu_, type, result.tokens, result.shape));
            add_fp6(ways, *activations.back());
            if (cublas_ != nullptr) {
                add_dense(ways, *activations.back(), false);
                if (result.tokens <= 512) add_dense(ways, *activations.back(), true);
            }
            add_peers(ways, *activations.back());
        }
        for (Way& way : ways)
            prepare(way, result);
        if (!options_.dry) measure_ways(ways);
        for (Way& way : ways)
            result.contenders.push_back(std::move(way.contender));
    }

    /// Checks one call into poisoned outputs, captures many, and checks what the last of those leaves.
    void prepare(Way& way, const GpuCase& result) {
        const Activations& a = *way.activations;
        gpu_.fill(a.y.data(), 0xFF, a.y.size());  // NaN
        way.enqueue(0);
        way.contender.error = error_of(gpu_, way, result.shape);
        require(way.contender.error <= tolerance(a.type), way, result, "result",
                way.contender.error);

        way.calls =
            options_.dry ? 2 : std::clamp<int64_t>(way.copies, kGraphCalls, kMostGraphCalls);
        way.graph = gpu_.capture([&] {
            for (int64_t i = 0; i < way.calls; ++i)
                way.enqueue(i);
        });
        for (int replay = 0; replay < 2; ++replay) {
            gpu_.fill(a.y.data(), 0xFF, a.y.size());
            way.graph.launch();
        }
        const double error = error_of(gpu_, way, result.shape);
        require(error == way.contender.error, way, result, "result of a graph", error);
    }

    /// Ways take turns; a turn replays once untimed, for clocks and instruction caches.
    void measure_ways(std::vector<Way>& ways) {
        double one_round = 0;
        for (int round = 0; round < options_.rounds; ++round) {
            for (Way& way : ways) {
                way.graph.launch();
                const double microseconds = gpu_.time([&] { way.graph.launch(); });
                way.contender.samples.push_back(microseconds / static_cast<double>(way.calls));
                if (round == 0) one_round += 2 * microseconds;
            }
            if (round + 1 >= kFewestRounds && one_round * (round + 2) > kCaseMicroseconds) break;
        }
    }

    Gpu& gpu_;
    const GpuOptions& options_;
    CublasLt* cublas_;
    Handle handle_, cpu_;
    std::vector<std::unique_ptr<Peer>> peers_;
    GpuBuffer workspace_;
    size_t cold_bytes_;
    Clock::time_point start_;
    Shape shape_{0, 0};
    std::vector<std::unique_ptr<PackedLayer>> packed_;
    std::vector<Dense> dense_;
    std::vector<std::unique_ptr<PeerWeights>> peer_weights_;
    CheckedRows peer_checked_;
    size_t peer_checked_bytes_ = 0;
    std::map<std::pair<int64_t, int64_t>, bool> is_timed_;  // quantizing, by shape
};

}  // namespace

const char* kind_name(GpuKind kind) noexcept {
    switch (kind) {
        case GpuKind::kFp6:
            return "fp6";
        case GpuKind::kDense:
            return "dense";
        case GpuKind::kDenseSwapped:
            return "dense swapped";
        case GpuKind::kPeer:
            return "peer";
    }
    return "?";
}

GpuSweep run_sweep(Gpu& gpu, const GpuOptions& options, CublasLt* cublas,
                   const std::function<void(const GpuSweep&, const GpuCase&)>& report) {
    return Sweep(gpu, options, cublas).run(report);
}

}  // namespace fp6llm::bench
