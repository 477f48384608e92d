// A host thread's state, and what executors ask of a warp: divergence, calls, reports.
#include <algorithm>
#include <cstring>

#include "tests/emulator/exec/frames.hpp"
#include "tests/emulator/exec/launch.hpp"

namespace emulator {

Worker::Worker(Launch& launch, int index) : checks(launch.checks), launch_(launch) {
    random_ =
        (launch.seed + 1) * 0x9E3779B97F4A7C15ull ^ (uint64_t(index) + 1) * 0xD1B54A32D192ED03ull;
    if (random_ == 0) random_ = 1;
    causes_.push_back({FindingKind::kUninitialized, "never written", nullptr, nullptr, ""});
    memory_ = make_memory(*this);
}

Worker::~Worker() = default;

uint32_t Worker::cause(FindingKind kind, const Kernel& code, const Op& op, std::string text,
                       std::string other_source) {
    const auto key = std::make_tuple(kind, &op, other_source);
    const auto found = cause_numbers_.find(key);
    if (found != cause_numbers_.end()) return found->second;
    const auto number = static_cast<uint32_t>(causes_.size());
    causes_.push_back({kind, std::move(text), &op, &code, std::move(other_source)});
    cause_numbers_[key] = number;
    return number;
}

namespace {

/// The instruction that an operation was lowered from, and the function it is in.
const ptx::Instruction& instruction_of(const Program& program, const Kernel& likely, const Op& op) {
    const auto inside = [&](const Kernel& kernel) {
        return !kernel.ops.empty() && &op >= kernel.ops.data() &&
               &op < kernel.ops.data() + kernel.ops.size();
    };
    if (inside(likely)) return likely.function->instructions[op.index];
    for (const auto& kernel : program.functions)
        if (inside(*kernel)) return kernel->function->instructions[op.index];
    return likely.function->instructions[std::min<size_t>(op.index, likely.ops.size() - 1)];
}

}  // namespace

void Worker::report(Warp& warp, const Op& op, LaneMask lanes, FindingKind kind, std::string message,
                    std::string other_source) {
    const Program& program = *launch_.program;
    const ptx::Instruction& instruction = instruction_of(program, warp.code(), op);
    const auto key = std::make_tuple(kind, instruction.location.line, other_source);
    const auto found = known_.find(key);
    if (found != known_.end()) {
        ++findings[found->second].count;
        return;
    }
    Finding finding{};
    finding.kind = kind;
    finding.kernel = program.entry().name;
    finding.message = instruction.full_opcode() + ": " + message;
    finding.line = instruction.location.line;
    finding.source = program.source(instruction.location);
    finding.other_source = std::move(other_source);
    for (int i = 0; i < 3; ++i)
        finding.block[i] = warp.block().index[i];
    finding.warp = warp.index();
    finding.lanes = lanes;
    known_[key] = findings.size();
    findings.push_back(std::move(finding));
}

// --- Warp ------------------------------------------------------------------------------------------

Memory& Warp::memory() noexcept {
    return worker_->memory();
}
Counters& Warp::counters() noexcept {
    return worker_->counters;
}
bool Warp::checks() const noexcept {
    return worker_->checks;
}
uint64_t Warp::clock() const noexcept {
    return worker_->operations;
}
uint64_t Warp::random() noexcept {
    return worker_->random();
}
const Kernel& Warp::code() const noexcept {
    return *group_->frame->code;
}
Launch& Warp::launch() noexcept {
    return worker_->launch();
}

void Warp::report(const Op& op, LaneMask lanes, FindingKind kind, std::string message, bool fatal) {
    worker_->report(*this, op, lanes, kind, message, "");
    if (fatal) {
        const ptx::Instruction& instruction =
            instruction_of(*worker_->launch().program, code(), op);
        throw Fault(std::string(finding_name(kind)) + " at line " +
                    std::to_string(instruction.location.line) + ": " + instruction.full_opcode() +
                    ": " + message);
    }
}

void Warp::report_cause(const Op& op, LaneMask suspicious, const char* what) {
    if (!worker_->checks || suspicious == 0) return;
    const Cause& cause = worker_->cause(cause_);
    std::string message = std::string(what) + " " + cause.text;
    std::string other = cause.other_source;
    if (cause.op != nullptr) {
        const ptx::Instruction& load = cause.code->function->instructions[cause.op->index];
        const std::string source = worker_->launch().program->source(load.location);
        message += " (by line " + std::to_string(load.location.line) + ": " + load.full_opcode() +
                   (source.empty() ? "" : ", " + source) + ")";
        if (other.empty()) other = source;
    }
    worker_->report(*this, op, suspicious, cause.kind, message, other);
}

void Warp::report_taint(const Op& op, Slot slot, LaneMask suspicious, const char* what) {
    cause_ = causes_[slot];
    report_cause(op, suspicious, what);
}

LaneMask Warp::gather(const Op& op, LaneMask lanes, const uint32_t* masks) {
    LaneMask ready = 0, missing = 0;
    for_lanes(lanes, [&](int lane) {
        LaneMask named = masks[lane];
        if ((named >> lane & 1) == 0) {
            report(op, 1u << lane, FindingKind::kDivergentBarrier,
                   "the lane is not in its own member mask");
            named |= 1u << lane;
        }
        const LaneMask absent = named & live_ & ~lanes;
        if (absent == 0)
            ready |= 1u << lane;
        else
            missing |= absent;
    });
    Group& group = *group_;
    group.missing = missing;
    if (ready == lanes || ready == 0) return ready;
    Group behind = group;
    behind.lanes = lanes & ~ready;
    behind.blocked = true;
    group.lanes &= ~behind.lanes;
    group.missing = 0;
    groups_.push_back(std::move(behind));
    return ready;
}

LaneMask Warp::gather(const Op& op, LaneMask lanes, LaneMask mask) {
    const LaneMask absent = mask & live_ & ~lanes;
    if (absent == 0 && (lanes & ~mask) == 0) return lanes;
    uint32_t masks[kWarpLanes];
    std::fill_n(masks, kWarpLanes, mask);
    return gather(op, lanes, masks);
}

void Warp::branch(LaneMask taken, uint32_t target) {
    Group& group = *group_;
    if (target <= group.pc) ++group.spins;
    if (taken != group.lanes) {
        Group rest = group;
        rest.lanes &= ~taken;
        ++rest.pc;
        rest.token = 0;
        group.lanes = taken;
        groups_.push_back(std::move(rest));
    }
    group.pc = target;
}

void Warp::split_off(LaneMask lanes, uint32_t pc) {
    Group other = *group_;
    other.lanes = lanes;
    other.pc = pc;
    other.token = 0;
    group_->lanes &= ~lanes;
    groups_.push_back(std::move(other));
}

void Warp::branch_each(LaneMask lanes, const uint32_t* targets) {
    Group& group = *group_;
    const uint32_t here = group.pc;
    LaneMask rest = group.lanes;
    bool first = true;
    const auto send = [&](LaneMask to, uint32_t target) {
        if (target <= here) ++group.spins;
        rest &= ~to;
        if (first) {
            group.lanes = to;
            group.pc = target;
            first = false;
            return;
        }
        Group other = group;
        other.lanes = to;
        other.pc = target;
        other.token = 0;
        groups_.push_back(std::move(other));
    };
    for (LaneMask left = lanes; left != 0;) {
        const uint32_t target = targets[__builtin_ctz(left)];
        LaneMask to = 0;
        for_lanes(left, [&](int lane) {
            if (targets[lane] == target) to |= 1u << lane;
        });
        left &= ~to;
        send(to, target);
    }
    if (rest != 0) send(rest, here + 1);
}

void Warp::call(const Op& op, LaneMask lanes, int function) {
    const Kernel& callee = *worker_->launch().program->functions[static_cast<size_t>(function)];
    const auto& detail = static_cast<const CallDetail&>(*op.detail);
    bool fits = detail.arguments.size() == callee.arguments.size() &&
                detail.returns.size() == callee.returns.size();
    for (size_t i = 0; fits && i < detail.arguments.size(); ++i)
        fits = detail.arguments[i].bytes == callee.arguments[i].bytes;
    for (size_t i = 0; fits && i < detail.returns.size(); ++i)
        fits = detail.returns[i].bytes == callee.returns[i].bytes;
    if (!fits)
        report(op, lanes, FindingKind::kOutOfBounds,
               "the call's parameters differ from those of " + callee.name, true);
    Group& group = *group_;
    std::shared_ptr<Frame> frame;
    // Lanes that made the same call from the same frame share the activation, so that they may meet.
    for (const Group& other : groups_)
        if (other.frame->caller == group.frame && other.frame->call_site == op.index &&
            other.frame->code == &callee && (other.lanes & lanes) == 0)
            frame = other.frame;
    if (frame == nullptr) {
        frame = make_frame(*this, callee, group.frame);
        frame->call_site = op.index;
        frame->return_pc = op.index + 1;
    } else if (worker_->checks) {
        for (Slot slot = kCarrySlot; slot < callee.first_constant; ++slot)
            frame->taint[slot] |= lanes;
        for (LaneMask& taint : frame->parameter_taint)
            taint |= lanes;
    }
    const auto hand_on = [&](Frame& to, const ParameterPlace& there, const Frame& from,
                             const ParameterPlace& here) {
        for (uint32_t i = 0; i < here.bytes; ++i) {
            LaneMask& taint = to.parameter_taint[there.offset + i];
            taint = (taint & ~lanes) | (from.parameter_taint[here.offset + i] & lanes);
        }
    };
    for (size_t i = 0; i < detail.arguments.size(); ++i)
        hand_on(*frame, callee.arguments[i], *group.frame, detail.arguments[i]);
    for_lanes(lanes, [&](int lane) {
        const uint8_t* from =
            group.frame->parameters.data() +
            size_t{group.frame->code->parameter_bytes} * static_cast<size_t>(lane);
        uint8_t* to =
            frame->parameters.data() + size_t{callee.parameter_bytes} * static_cast<size_t>(lane);
        for (size_t i = 0; i < detail.arguments.size(); ++i)
            std::memcpy(to + callee.arguments[i].offset, from + detail.arguments[i].offset,
                        detail.arguments[i].bytes);
    });
    if (lanes != group.lanes) {
        Group rest = group;
        rest.lanes &= ~lanes;
        ++rest.pc;
        rest.token = 0;
        groups_.push_back(std::move(rest));
    }
    if (worker_->checks) {
        trace_.add(Trace::kFrameChange);
        memory().forget_local(*this, lanes, frame->local_base, callee.local_bytes);
    }
    group.lanes = lanes;
    group.frame = std::move(frame);
    group.pc = 0;
}

void Warp::return_from(LaneMask lanes) {
    Group& group = *group_;
    if (group.frame->caller == nullptr) return exit(lanes);
    std::shared_ptr<Frame> callee = group.frame;
    const std::shared_ptr<Frame> caller = callee->caller;
    const auto& detail =
        static_cast<const CallDetail&>(*caller->code->ops[callee->call_site].detail);
    for (size_t i = 0; i < detail.returns.size(); ++i) {
        const ParameterPlace& there = detail.returns[i];
        const ParameterPlace& here = callee->code->returns[i];
        for (uint32_t b = 0; b < here.bytes; ++b) {
            LaneMask& taint = caller->parameter_taint[there.offset + b];
            taint = (taint & ~lanes) | (callee->parameter_taint[here.offset + b] & lanes);
        }
    }
    for_lanes(lanes, [&](int lane) {
        const uint8_t* from = callee->parameters.data() +
                              size_t{callee->code->parameter_bytes} * static_cast<size_t>(lane);
        uint8_t* to = caller->parameters.data() +
                      size_t{caller->code->parameter_bytes} * static_cast<size_t>(lane);
        for (size_t i = 0; i < detail.returns.size(); ++i)
            std::memcpy(to + detail.returns[i].offset, from + callee->code->returns[i].offset,
                        detail.returns[i].bytes);
    });
    if (lanes != group.lanes) {
        Group rest = group;
        rest.lanes &= ~lanes;
        ++rest.pc;
        rest.token = 0;
        groups_.push_back(std::move(rest));
    }
    if (worker_->checks) trace_.add(Trace::kFrameChange);
    group.lanes = lanes;
    group.frame = caller;
    group.pc = callee->return_pc;
    if (callee.use_count() == 1) recycle_frame(*worker_, std::move(callee));
}

void Warp::exit(LaneMask lanes) {
    Group& group = *group_;
    group.lanes &= ~lanes;
    ++group.pc;
    live_ &= ~lanes;
    block_->live_threads -= __builtin_popcount(lanes);
    worker_->progress();
    if (live_ == 0)
        for (auto& state : states_)
            if (state) state->on_exit(*this);
    // Those who left are not waited for any more.
    for (NamedBarrier& barrier : block_->barriers)
        if (barrier.expected == NamedBarrier::kWholeBlock &&
            barrier.arrived >= block_->live_threads)
            Block::complete(barrier);
}

void Block::complete(NamedBarrier& barrier) {
    ++barrier.generation;
    barrier.result = barrier.reduction;
    barrier.reduction = 0;
    barrier.expected = 0;
    barrier.arrived = 0;
    barrier.finished_clock = std::move(barrier.clock);
    barrier.clock.clear();
}

// --- frames ----------------------------------------------------------------------------------------

namespace {

uint32_t special_value(Warp& warp, Special what, int lane) {
    Launch& launch = warp.launch();
    const Block& block = warp.block();
    const auto& config = launch.config;
    const auto bx = config.block[0], by = config.block[1];
    const auto thread = static_cast<uint32_t>(warp.index() * kWarpLanes + lane);
    const auto index = [&](int axis) { return static_cast<uint32_t>(block.index[axis]); };
    const auto shape = [&](int axis) { return static_cast<uint32_t>(launch.cluster_shape[axis]); };
    const uint32_t bit = 1u << lane;
    switch (what) {
        case Special::kTidX:
            return thread % bx;
        case Special::kTidY:
            return thread / bx % by;
        case Special::kTidZ:
            return thread / (bx * by);
        case Special::kNtidX:
            return config.block[0];
        case Special::kNtidY:
            return config.block[1];
        case Special::kNtidZ:
            return config.block[2];
        case Special::kCtaidX:
            return index(0);
        case Special::kCtaidY:
            return index(1);
        case Special::kCtaidZ:
            return index(2);
        case Special::kNctaidX:
            return config.grid[0];
        case Special::kNctaidY:
            return config.grid[1];
        case Special::kNctaidZ:
            return config.grid[2];
        case Special::kLaneid:
            return static_cast<uint32_t>(lane);
        case Special::kWarpid:
            return static_cast<uint32_t>(warp.index());
        case Special::kNwarpid:
            return 64;
        case Special::kSmid:
            return block.smid;
        case Special::kNsmid:
            return static_cast<uint32_t>(launch.options->multiprocessors);
        case Special::kGridid:
            return static_cast<uint32_t>(launch.number);
        case Special::kLanemaskEq:
            return bit;
        case Special::kLanemaskLe:
            return bit | (bit - 1);
        case Special::kLanemaskLt:
            return bit - 1;
        case Special::kLanemaskGe:
            return ~(bit - 1);
        case Special::kLanemaskGt:
            return ~(bit | (bit - 1));
        case Special::kClusteridX:
            return index(0) / shape(0);
        case Special::kClusteridY:
            return index(1) / shape(1);
        case Special::kClusteridZ:
            return index(2) / shape(2);
        case Special::kNclusteridX:
            return config.grid[0] / shape(0);
        case Special::kNclusteridY:
            return config.grid[1] / shape(1);
        case Special::kNclusteridZ:
            return config.grid[2] / shape(2);
        case Special::kClusterCtaidX:
            return index(0) % shape(0);
        case Special::kClusterCtaidY:
            return index(1) % shape(1);
        case Special::kClusterCtaidZ:
            return index(2) % shape(2);
        case Special::kClusterNctaidX:
            return shape(0);
        case Special::kClusterNctaidY:
            return shape(1);
        case Special::kClusterNctaidZ:
            return shape(2);
        case Special::kClusterCtarank:
            return static_cast<uint32_t>(block.rank);
        case Special::kClusterNctarank:
            return launch.cluster_blocks;
        case Special::kIsExplicitCluster:
            return launch.cluster_blocks > 1 ? 1 : 0;
        case Special::kDynamicSharedBytes:
            return config.dynamic_shared;
        case Special::kTotalSharedBytes:
            return launch.shared_bytes;
        case Special::kReservedSharedBytes:
            return kSharedFirst;
        case Special::kZero:
            return 0;
        case Special::kSharedBase:
            return static_cast<uint32_t>(block.rank) << 24;
        case Special::kLocalBase:
            return 0;
    }
    return 0;
}

bool depends_on_block(Special what) {
    switch (what) {
        case Special::kCtaidX:
        case Special::kCtaidY:
        case Special::kCtaidZ:
        case Special::kSmid:
        case Special::kClusteridX:
        case Special::kClusteridY:
        case Special::kClusteridZ:
        case Special::kClusterCtaidX:
        case Special::kClusterCtaidY:
        case Special::kClusterCtaidZ:
        case Special::kClusterCtarank:
        case Special::kSharedBase:
            return true;
        default:
            return false;
    }
}

}  // namespace

void fill_specials(Warp& warp, Frame& frame, bool same_place) {
    for (const ThreadConstant& constant : frame.code->specials) {
        if (same_place && !depends_on_block(constant.what)) continue;
        uint8_t* at = frame.registers + size_t{constant.slot} * 128;
        for (int lane = 0; lane < kWarpLanes; ++lane) {
            const uint64_t value =
                static_cast<uint64_t>(constant.addend) +
                (constant.what == Special::kLocalBase ? frame.local_base
                                                      : special_value(warp, constant.what, lane));
            if (constant.wide) {
                std::memcpy(at + 8 * lane, &value, 8);
            } else {
                const auto narrow = static_cast<uint32_t>(value);
                std::memcpy(at + 4 * lane, &narrow, 4);
            }
        }
    }
}

void reset_taint(Frame& frame, bool checks) {
    std::fill(frame.causes.begin(), frame.causes.end(), 0);
    std::fill(frame.taint.begin(), frame.taint.end(), 0);
    if (checks)
        std::fill(frame.taint.begin() + kCarrySlot,
                  frame.taint.begin() + frame.code->first_constant, kAllLanes);
}

namespace {

void enter_frame(Warp& warp, Frame& frame, const std::shared_ptr<Frame>& caller) {
    frame.caller = caller;
    frame.depth = caller != nullptr ? caller->depth + 1 : 0;
    frame.local_base =
        caller != nullptr ? caller->local_base + caller->code->local_bytes : kLocalFirst;
    std::fill(frame.parameter_taint.begin(), frame.parameter_taint.end(),
              warp.checks() ? kAllLanes : 0);
    reset_taint(frame, warp.checks());
    fill_specials(warp, frame, false);
}

}  // namespace

void recycle_frame(Worker& worker, std::shared_ptr<Frame> frame) {
    frame->caller.reset();
    worker.frames[frame->code].push_back(std::move(frame));
}

std::shared_ptr<Frame> make_frame(Warp& warp, const Kernel& code,
                                  const std::shared_ptr<Frame>& caller) {
    auto& unused = warp.worker().frames[&code];
    if (!unused.empty()) {
        std::shared_ptr<Frame> frame = std::move(unused.back());
        unused.pop_back();
        enter_frame(warp, *frame, caller);
        return frame;
    }
    auto frame = std::make_shared<Frame>();
    frame->code = &code;
    const size_t bytes = size_t{code.slots} * 128;
    frame->storage.resize(bytes + 64);
    const auto raw = reinterpret_cast<uintptr_t>(frame->storage.data());
    frame->registers = frame->storage.data() + ((64 - raw % 64) % 64);
    std::memcpy(frame->registers + size_t{code.first_constant} * 128, code.constants.data(),
                code.constants.size());
    frame->taint.resize(code.slots);
    frame->causes.resize(code.slots);
    frame->parameters.resize(size_t{code.parameter_bytes} * kWarpLanes);
    frame->parameter_taint.resize(code.parameter_bytes);
    enter_frame(warp, *frame, caller);
    return frame;
}

}  // namespace emulator
