// Who runs next: clusters on multiprocessors, warps of a cluster, groups of a warp.
//
// A host thread runs the clusters of its multiprocessors. Without talk between blocks (no atomics,
// fences or strong accesses of global memory) clusters run one after another in random order; with
// it as many are resident as occupancy allows, and start in order, because such kernels may wait for
// blocks before them. Blocks on different host threads meet at the host's speed: the same seed gives the
// same schedule with one host thread only. Warps of a cluster take turns of random length. A warp whose groups are all
// blocked waits until the others had a turn; if nobody gets on in two rounds, that is a deadlock.
//
// Within a warp the group with the lowest pc in the deepest frame runs first, so that lanes meet
// again behind branches; but now and then another one gets a turn, and always when the first keeps
// jumping back: it may wait for the others.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "tests/emulator/exec/frames.hpp"
#include "tests/emulator/exec/launch.hpp"

namespace emulator {

namespace {

constexpr uint32_t kSpinsBeforeTurn = 32;
constexpr uint32_t kPollingSpinsBeforeTurn = 3;  ///< while polls fail
/// No sign of life for so many operations of a host thread: a livelock, if somebody polls or even if
/// nobody does.
constexpr uint64_t kQuietPolling = 4'000'000;
constexpr uint64_t kQuietPolls = 20'000;
constexpr uint64_t kQuiet = 400'000'000;
constexpr uint64_t kPollsBeforeYield = 256;

/// Kinds of operations for which a suspicious guard is a suspicious decision.
bool decides(OpKind kind) {
    switch (kind) {
        case OpKind::kControl:
        case OpKind::kStoreGlobal:
        case OpKind::kStoreShared:
        case OpKind::kAtomic:
        case OpKind::kBarrier:
        case OpKind::kAsyncCopy:
        case OpKind::kWgmma:
            return true;
        default:
            return false;
    }
}

}  // namespace

class Scheduler {
  public:
    Scheduler(Worker& worker, int index, int threads)
        : worker_(worker), launch_(worker.launch()), index_(index), threads_(threads) {}

    void run();

  private:
    struct Storage {
        std::vector<uint8_t> bytes;
        std::unique_ptr<SharedShadow> shadow;
    };
    struct Resident {
        Cluster cluster;
        std::vector<std::unique_ptr<Block>> blocks;
        std::vector<std::unique_ptr<Storage>> storage;
        std::vector<Warp*> ready, waiting;
        std::vector<std::shared_ptr<Frame>> frames;  ///< the entry's, to be used again
        size_t queue = 0;
        int quiet_rounds = 0;
        bool advanced = false;
        uint32_t steps = 0;
        uint32_t left = 0;  ///< warps that have not exited
    };
    enum class Result { kTurnOver, kBlocked, kDone };

    std::unique_ptr<Resident> start(uint64_t number, int multiprocessor);
    void finish(Resident& resident);
    /// One turn of one warp. False when the cluster is done.
    bool step(Resident& resident);
    Result turn(Resident& resident, Warp& warp, uint32_t operations);
    template <bool kChecks>
    uint32_t execute(Warp& warp, uint32_t operations, uint32_t stop_pc, bool* advanced);
    static void activate(Warp& warp, Group& group);
    Group* select(Warp& warp, uint32_t* burst);
    static void merge(Warp& warp);
    void deadlock(std::vector<Resident*> residents, const char* why);
    bool seems_dead();
    void check_guard(Warp& warp, const Op& op, LaneMask group);

    Worker& worker_;
    Launch& launch_;
    int index_, threads_;
    std::vector<std::unique_ptr<Storage>> free_storage_;
    std::vector<std::vector<std::shared_ptr<Frame>>> free_frames_;  ///< of the entry, by warp
    uint64_t signs_seen_ = 0, published_ = 0;
    uint32_t idle_turns_ = 0;
};

void Scheduler::activate(Warp& warp, Group& group) {
    warp.group_ = &group;
    warp.registers_ = group.frame->registers;
    warp.taint_ = group.frame->taint.data();
    warp.causes_ = group.frame->causes.data();
}

void Scheduler::check_guard(Warp& warp, const Op& op, LaneMask group) {
    const LaneMask suspicious = warp.taint_[op.guard] & group;
    if (decides(op.kind)) {
        warp.report_taint(op, op.guard, suspicious,
                          op.kind == OpKind::kControl ? "a branch depends on a value"
                                                      : "a guard depends on a value");
        return;
    }
    warp.taint_[op.dst] |= suspicious;
    warp.causes_[op.dst] = warp.causes_[op.guard];
}

/// Runs the warp's current group until it jumps away, blocks, reaches stop_pc or has used up its
/// operations; returns how many are left. 0xFFFFFFFF: the group is blocked.
template <bool kChecks>
uint32_t Scheduler::execute(Warp& warp, uint32_t operations, uint32_t stop_pc, bool* advanced) {
    Group& group = *warp.group_;
    const Frame* frame = group.frame.get();
    const Op* ops = frame->code->ops.data();
    Counters& counters = worker_.counters;
    const bool alone = warp.groups_.size() == 1;
    uint32_t left = operations;
    uint32_t pc = group.pc;
    while (left != 0) {
        const Op& op = ops[pc];
        LaneMask lanes = group.lanes;
        if (op.has_guard) {
            LaneMask guard =
                *reinterpret_cast<const LaneMask*>(warp.registers_ + size_t{op.guard} * 128);
            if ((op.flags & Op::kGuardNegated) != 0) guard = ~guard;
            lanes &= guard;
            if (kChecks && (warp.taint_[op.guard] & group.lanes) != 0)
                check_guard(warp, op, group.lanes);
            if (lanes == 0 && (op.flags & Op::kRunsEmpty) == 0) {
                group.pc = ++pc;
                --left;
                ++worker_.operations;
                if (pc == stop_pc) break;
                continue;
            }
        }
        if (kChecks) warp.trace_.add(pc);
        const Outcome outcome = op.execute(warp, op, lanes);
        if (outcome == Outcome::kBlocked) {
            worker_.operations += 1;
            if (left != operations) *advanced = true;
            if (lanes != group.lanes && lanes != 0) {
                // The lanes that the guard keeps out do not wait.
                Group rest = group;
                rest.lanes &= ~lanes;
                rest.pc = pc + 1;
                rest.token = 0;
                rest.missing = 0;
                group.lanes &= lanes;
                warp.groups_.push_back(std::move(rest));
                *advanced = true;
            }
            return 0xFFFFFFFFu;
        }
        ++counters.warp_instructions[static_cast<size_t>(op.kind)];
        counters.lane_instructions[static_cast<size_t>(op.kind)] +=
            static_cast<unsigned>(__builtin_popcount(lanes));
        --left;
        ++worker_.operations;
        if (outcome == Outcome::kNext) {
            if (kChecks && (op.flags & Op::kOwnTaint) == 0) {
                const LaneMask* taint = warp.taint_;
                const LaneMask t =
                    taint[op.src[0]] | taint[op.src[1]] | taint[op.src[2]] | taint[op.src[3]];
                LaneMask& d = warp.taint_[op.dst];
                if ((t | d) != 0) {
                    lanes &= group.lanes;
                    if ((t & lanes) != 0) {
                        for (const Slot source : op.src)
                            if ((taint[source] & lanes) != 0) {
                                warp.causes_[op.dst] = warp.causes_[source];
                                break;
                            }
                    }
                    d = (d & ~lanes) | (t & lanes);
                    if (op.has_guard && (taint[op.guard] & group.lanes) != 0)
                        d |= taint[op.guard] & group.lanes;
                }
            }
            group.token = 0;
            group.missing = 0;
            group.pc = ++pc;
            if (pc == stop_pc || (!alone && warp.groups_.size() == 1)) break;
            if (alone && warp.groups_.size() != 1) break;
            continue;
        }
        // Jumped.
        group.token = 0;
        group.missing = 0;
        if (group.lanes == 0 || group.frame.get() != frame || !alone || warp.groups_.size() != 1)
            break;
        pc = group.pc;
    }
    if (left != operations) *advanced = true;
    return left;
}

void Scheduler::merge(Warp& warp) {
    auto& groups = warp.groups_;
    for (size_t i = 0; i < groups.size(); ++i) {
        if (groups[i].lanes == 0) {
            groups.erase(groups.begin() + static_cast<long>(i));
            --i;
            continue;
        }
        for (size_t k = i + 1; k < groups.size(); ++k) {
            if (groups[k].pc != groups[i].pc || groups[k].frame != groups[i].frame ||
                groups[k].token != groups[i].token || groups[k].lanes == 0)
                continue;
            groups[i].lanes |= groups[k].lanes;
            groups[i].spins = std::min(groups[i].spins, groups[k].spins);
            groups[i].blocked = false;
            groups.erase(groups.begin() + static_cast<long>(k));
            --k;
        }
    }
}

Group* Scheduler::select(Warp& warp, uint32_t* burst) {
    auto& groups = warp.groups_;
    *burst = 0xFFFFFFFFu;
    Group* best = nullptr;
    int runnable = 0;
    for (Group& group : groups) {
        if (group.blocked) continue;
        ++runnable;
        if (best == nullptr || group.frame->depth > best->frame->depth ||
            (group.frame->depth == best->frame->depth && group.pc < best->pc))
            best = &group;
    }
    if (runnable < 2) return best;
    const uint64_t random = worker_.random();
    uint32_t length = 0;
    if (best->spins >= kSpinsBeforeTurn ||
        (best->spins >= kPollingSpinsBeforeTurn && worker_.polls > 8)) {
        best->spins = 0;
        length = 1 + static_cast<uint32_t>(random >> 32) % 256;
    } else if (launch_.options->random_schedule && random % 16 == 0) {
        length = 1 + static_cast<uint32_t>(random >> 32) % 32;
    } else {
        return best;
    }
    auto pick = static_cast<int>((random >> 8) % static_cast<uint64_t>(runnable));
    Group* chosen = best;
    for (Group& group : groups) {
        if (group.blocked) continue;
        if (pick-- == 0) chosen = &group;
    }
    if (chosen == best && best->spins == 0)
        for (Group& group : groups)
            if (!group.blocked && &group != best) chosen = &group;
    *burst = length;
    return chosen;
}

Scheduler::Result Scheduler::turn(Resident& resident, Warp& warp, uint32_t operations) {
    for (Group& group : warp.groups_)
        group.blocked = false;
    while (operations != 0) {
        auto& groups = warp.groups_;
        if (groups.size() > 1 || (groups.size() == 1 && groups[0].lanes == 0)) merge(warp);
        if (groups.empty()) return Result::kDone;
        uint32_t burst;
        Group* group = select(warp, &burst);
        if (group == nullptr) return Result::kBlocked;
        activate(warp, *group);
        uint32_t stop_pc = 0xFFFFFFFFu;
        for (const Group& other : groups)
            if (&other != group && other.frame == group->frame && other.pc > group->pc)
                stop_pc = std::min(stop_pc, other.pc);
        const uint32_t budget = std::min(operations, burst);
        const uint32_t left = launch_.checks
                                  ? execute<true>(warp, budget, stop_pc, &resident.advanced)
                                  : execute<false>(warp, budget, stop_pc, &resident.advanced);
        if (left == 0xFFFFFFFFu) {
            warp.group_->blocked = true;
            continue;
        }
        operations -= budget - left;
    }
    return Result::kTurnOver;
}

bool Scheduler::step(Resident& resident) {
    if (resident.left == 0) return false;
    const auto refill = [&] {
        resident.ready.insert(resident.ready.end(), resident.waiting.begin(),
                              resident.waiting.end());
        resident.waiting.clear();
    };
    if (resident.ready.empty()) {
        if (resident.advanced) {
            resident.quiet_rounds = 0;
        } else if (++resident.quiet_rounds >= 3) {
            deadlock({&resident}, "no warp of the cluster can go on");
        }
        resident.advanced = false;
        refill();
    } else if (++resident.steps % 32 == 0 && !resident.waiting.empty()) {
        refill();
    }
    const uint64_t random = worker_.random();
    const bool shuffle = launch_.options->random_schedule;
    const size_t at = shuffle ? (random >> 16) % resident.ready.size() : 0;
    const uint32_t operations = shuffle ? 32 + static_cast<uint32_t>(random >> 40) % 256 : 256;
    Warp* warp = resident.ready[at];
    switch (turn(resident, *warp, operations)) {
        case Result::kTurnOver:
            if (!shuffle)
                std::rotate(resident.ready.begin(), resident.ready.begin() + 1,
                            resident.ready.end());
            return true;
        case Result::kBlocked:
            resident.ready.erase(resident.ready.begin() + static_cast<long>(at));
            resident.waiting.push_back(warp);
            return true;
        case Result::kDone:
            resident.advanced = true;
            resident.ready.erase(resident.ready.begin() + static_cast<long>(at));
            return --resident.left != 0;
    }
    return true;
}

void Scheduler::deadlock(std::vector<Resident*> residents, const char* why) {
    std::string text = std::string(why) + ":";
    int told = 0;
    Warp* first = nullptr;
    Group* culprit = nullptr;
    bool divergent = false;
    for (Resident* resident : residents) {
        for (auto& block : resident->blocks) {
            for (Warp& warp : block->warps) {
                for (Group& group : warp.groups_) {
                    if (group.lanes == 0) continue;
                    if (first == nullptr || (!divergent && group.missing != 0)) {
                        first = &warp;
                        culprit = &group;
                        divergent = group.missing != 0;
                    }
                    if (++told > 64) continue;
                    const ptx::Instruction& at =
                        group.frame->code->function->instructions[group.pc];
                    const std::string source = launch_.program->source(at.location);
                    char lanes[16];
                    std::snprintf(lanes, sizeof lanes, "%08x", group.lanes);
                    text += "\n  block " + std::to_string(block->number) + " warp " +
                            std::to_string(warp.index()) + " lanes " + lanes + " at line " +
                            std::to_string(at.location.line) + ": " + at.full_opcode() +
                            (source.empty() ? "" : " (" + source + ")");
                    if (group.missing != 0) {
                        std::snprintf(lanes, sizeof lanes, "%08x", group.missing);
                        text += std::string(", waits for lanes ") + lanes;
                    }
                }
            }
        }
    }
    if (first == nullptr) throw Fault("deadlock");
    activate(*first, *culprit);
    const Op& op = culprit->frame->code->ops[culprit->pc];
    first->report(op, culprit->lanes,
                  divergent ? FindingKind::kDivergentBarrier : FindingKind::kDeadlock,
                  (divergent ? "lanes that it names never come; " : "deadlock; ") + text, true);
}

std::unique_ptr<Scheduler::Resident> Scheduler::start(uint64_t number, int multiprocessor) {
    auto resident = std::make_unique<Resident>();
    Cluster& cluster = resident->cluster;
    const Kernel& code = launch_.program->entry();
    const auto& shape = launch_.cluster_shape;
    const auto& grid = launch_.config.grid;
    cluster.shape = shape;
    cluster.number = static_cast<uint32_t>(number);
    cluster.warps_per_block = launch_.warps_per_block;
    cluster.columns_per_block =
        columns_per_block(launch_.warps_per_block, launch_.program->uses_async);
    const uint64_t across = grid[0] / static_cast<uint32_t>(shape[0]);
    const uint64_t down = grid[1] / static_cast<uint32_t>(shape[1]);
    const int origin[3] = {static_cast<int>(number % across) * shape[0],
                           static_cast<int>(number / across % down) * shape[1],
                           static_cast<int>(number / (across * down)) * shape[2]};
    for (uint32_t rank = 0; rank < launch_.cluster_blocks; ++rank) {
        auto block = std::make_unique<Block>();
        const int r = static_cast<int>(rank);
        block->index = {origin[0] + r % shape[0], origin[1] + r / shape[0] % shape[1],
                        origin[2] + r / (shape[0] * shape[1])};
        block->rank = r;
        block->cluster = &cluster;
        block->threads = block->live_threads = static_cast<int>(launch_.threads_per_block);
        block->smid =
            static_cast<uint32_t>((multiprocessor + r) % launch_.options->multiprocessors);
        block->number =
            static_cast<uint64_t>(block->index[0]) +
            uint64_t{grid[0]} * (static_cast<uint64_t>(block->index[1]) +
                                 uint64_t{grid[1]} * static_cast<uint64_t>(block->index[2]));
        std::unique_ptr<Storage> storage;
        if (!free_storage_.empty()) {
            storage = std::move(free_storage_.back());
            free_storage_.pop_back();
        } else {
            storage = std::make_unique<Storage>();
            storage->bytes.resize(launch_.shared_bytes + 64 + 1024);
            if (launch_.checks)
                storage->shadow = std::make_unique<SharedShadow>(launch_.shared_bytes,
                                                                 launch_.program->shared_granule);
        }
        if (launch_.shared_bytes != 0)
            std::memset(storage->bytes.data(), 0xDB, storage->bytes.size());
        // Shared addresses are aligned as PTX asks; so are the host's.
        const auto raw = reinterpret_cast<uintptr_t>(storage->bytes.data());
        const uintptr_t aligned = (raw + 1023) / 1024 * 1024;
        block->shared = reinterpret_cast<uint8_t*>(aligned - kSharedFirst);
        block->shared_end = kSharedFirst + launch_.shared_bytes;
        block->shadow = storage->shadow.get();
        resident->storage.push_back(std::move(storage));
        cluster.blocks.push_back(block.get());
        resident->blocks.push_back(std::move(block));
    }
    const uint32_t columns = cluster.columns_per_block * launch_.cluster_blocks;
    if (launch_.checks) {
        uint32_t tick = 1;
        for (auto& block : resident->blocks)
            tick = std::max(tick, block->shadow->last_tick());
        for (auto& block : resident->blocks)
            tick = std::max(tick, block->shadow->renew(launch_.shared_bytes, columns,
                                                       static_cast<uint32_t>(block->rank) *
                                                           cluster.columns_per_block,
                                                       launch_.warps_per_block, tick));
        cluster.tick = tick;
    }
    for (auto& block : resident->blocks) {
        block->warps.resize(launch_.warps_per_block);
        for (uint32_t w = 0; w < launch_.warps_per_block; ++w) {
            Warp& warp = block->warps[w];
            warp.block_ = block.get();
            warp.index_ = static_cast<int>(w);
            warp.worker_ = &worker_;
            const uint32_t rest = launch_.threads_per_block - w * kWarpLanes;
            warp.live_ = rest >= 32 ? kAllLanes : (1u << rest) - 1;
            warp.started_ = warp.live_;
            warp.groups_.reserve(2 * kWarpLanes + 2);
            Group group;
            group.lanes = warp.live_;
            if (free_frames_.size() <= w) free_frames_.resize(w + 1);
            if (!free_frames_[w].empty()) {
                group.frame = std::move(free_frames_[w].back());
                free_frames_[w].pop_back();
                reset_taint(*group.frame, launch_.checks);
                fill_specials(warp, *group.frame, true);
            } else {
                group.frame = make_frame(warp, code, nullptr);
            }
            resident->frames.push_back(group.frame);
            warp.groups_.push_back(std::move(group));
            if (launch_.checks) {
                warp.trace_.entries.resize(Trace::kLength);
                warp.ordering_ = std::make_unique<Ordering>();
                Ordering& ordering = *warp.ordering_;
                ordering.column =
                    static_cast<uint32_t>(block->rank) * cluster.columns_per_block + w;
                ordering.tick = cluster.tick + 1;
                warp.trace_.add(Trace::kTick | ordering.tick);
                ordering.floor = ordering.lane_floor = cluster.tick;
                ordering.clock.seen.assign(columns, cluster.tick);
                ordering.clock.seen[ordering.column] = ordering.tick;
                if (launch_.program->uses_async)
                    ordering.clock.proxied.assign(columns, cluster.tick);
            }
            resident->ready.push_back(&warp);
            ++resident->left;
        }
    }
    cluster.tick += 1;
    return resident;
}

void Scheduler::finish(Resident& resident) {
    for (size_t i = 0; i < resident.blocks.size(); ++i) {
        if (launch_.checks) resident.storage[i]->shadow->set_last_tick(resident.cluster.tick);
        free_storage_.push_back(std::move(resident.storage[i]));
    }
    resident.blocks.clear();
    for (size_t i = 0; i < resident.frames.size(); ++i)
        if (resident.frames[i].use_count() == 1)
            free_frames_[i % launch_.warps_per_block].push_back(std::move(resident.frames[i]));
}

bool Scheduler::seems_dead() {
    if (launch_.parallel && worker_.progress_at != published_) {
        published_ = worker_.progress_at;
        launch_.signs.fetch_add(1);
    }
    const uint64_t quiet = worker_.operations - worker_.progress_at;
    if (quiet <= kQuietPolling || (worker_.polls <= kQuietPolls && quiet <= kQuiet)) return false;
    if (!launch_.parallel) return true;
    // What it waits for may be done by another host thread, which the host may have kept from running:
    // all is dead only when every thread was quiet for as long and saw nobody give a sign meanwhile.
    const uint64_t signs = launch_.signs.load();
    if (signs != signs_seen_) {
        signs_seen_ = signs;
        worker_.progress();
        published_ = worker_.progress_at;
        return false;
    }
    launch_.quiet[static_cast<size_t>(index_)] = signs + 1;
    for (const auto& other : launch_.quiet) {
        const uint64_t since = other.load();
        if (since != signs + 1 && since != Launch::kDone) {
            std::this_thread::yield();
            return false;
        }
    }
    return true;
}

void Scheduler::run() {
    const int multiprocessors = launch_.options->multiprocessors;
    const uint64_t clusters = launch_.blocks / launch_.cluster_blocks;
    const bool shuffle = launch_.options->random_schedule;
    std::vector<std::vector<uint64_t>> queues;  // per multiprocessor of this thread
    std::vector<int> ids;
    for (int m = index_; m < multiprocessors; m += threads_) {
        ids.push_back(m);
        queues.emplace_back();
        for (uint64_t c = static_cast<uint64_t>(m); c < clusters;
             c += static_cast<uint64_t>(multiprocessors))
            queues.back().push_back(c);
    }
    if (!launch_.program->talks_between_blocks) {
        for (size_t q = 0; q < queues.size(); ++q) {
            auto& queue = queues[q];
            for (size_t i = 0; i < queue.size(); ++i) {
                if (shuffle) std::swap(queue[i], queue[i + worker_.random() % (queue.size() - i)]);
                if (launch_.stop) return;
                auto resident = start(queue[i], ids[q]);
                worker_.progress();
                while (step(*resident)) {
                    if (seems_dead()) deadlock({resident.get()}, "the warps only poll");
                }
                finish(*resident);
            }
        }
        return;
    }
    const uint64_t slots =
        std::max<uint64_t>(1, launch_.blocks_per_multiprocessor / launch_.cluster_blocks);
    std::vector<size_t> next(queues.size(), 0);
    std::vector<std::unique_ptr<Resident>> residents;
    const auto start_next = [&](size_t q) {
        auto resident = start(queues[q][next[q]++], ids[q]);
        resident->queue = q;
        return resident;
    };
    for (uint64_t slot = 0; slot < slots; ++slot)
        for (size_t q = 0; q < queues.size(); ++q)
            if (next[q] < queues[q].size()) residents.push_back(start_next(q));
    while (!residents.empty()) {
        if (launch_.stop) return;
        const size_t at = shuffle ? worker_.random() % residents.size() : 0;
        // A few turns each: clusters share the caches badly.
        bool going = true;
        for (int i = 0; i < 8 && going; ++i)
            going = step(*residents[at]);
        if (!going) {
            finish(*residents[at]);
            const size_t q = residents[at]->queue;
            if (next[q] < queues[q].size())
                residents[at] = start_next(q);
            else
                residents.erase(residents.begin() + static_cast<long>(at));
        } else if (!shuffle) {
            std::rotate(residents.begin(), residents.begin() + 1, residents.end());
        }
        // Everybody here only polls: now and then let the thread run that they wait for.
        if (launch_.parallel && worker_.polls > kPollsBeforeYield && ++idle_turns_ % 32 == 0)
            std::this_thread::yield();
        if (seems_dead()) {
            std::vector<Resident*> all;
            for (auto& resident : residents)
                all.push_back(resident.get());
            deadlock(all, "the warps only poll");
        }
    }
}

void run_share(Worker& worker, int index, int threads) {
    struct Done {
        std::atomic<uint64_t>& quiet;
        ~Done() { quiet = Launch::kDone; }
    } done{worker.launch().quiet[static_cast<size_t>(index)]};
    Scheduler(worker, index, threads).run();
}

}  // namespace emulator
