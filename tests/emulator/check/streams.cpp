#include "tests/emulator/check/streams.hpp"

#include <algorithm>

namespace emulator {
namespace {

/// Works that a page remembers; older ones are forgotten, which may hide a race and never makes one up.
constexpr size_t kRemembered = 8;

}  // namespace

void StreamClock::learn(uint32_t column, uint32_t tick) {
    if (column >= ticks.size()) ticks.resize(column + 1, 0);
    ticks[column] = std::max(ticks[column], tick);
}

void StreamClock::join(const StreamClock& other) {
    if (other.ticks.size() > ticks.size()) ticks.resize(other.ticks.size(), 0);
    for (size_t i = 0; i < other.ticks.size(); ++i)
        ticks[i] = std::max(ticks[i], other.ticks[i]);
}

bool PageStreams::covers(const Touched& more, const Touched& less) noexcept {
    uint64_t missing = 0;
    for (size_t kind = 0; kind < kKinds; ++kind)
        for (size_t i = 0; i < more.bits[kind].size(); ++i)
            missing |= less.bits[kind][i] & ~more.bits[kind][i];
    return missing == 0;
}

void PageStreams::begin(std::shared_ptr<const StreamWork> work, const StreamClock& host) {
    std::unique_ptr<Touched> spare;
    const auto forget = [&](const auto& condition) {
        for (size_t i = 0; i < past_.size();) {
            if (condition(*past_[i])) {
                spare = std::move(past_[i]);
                past_.erase(past_.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
    };
    if (now_ != nullptr) {
        // Who does not know the earlier of two works of a column does not know the later.
        forget([&](const Touched& each) {
            return each.work->column == now_->work->column && covers(*now_, each);
        });
        past_.push_back(std::move(now_));
    }
    forget([&](const Touched& each) { return host.knows(each.work->column, each.work->tick); });
    if (past_.size() > kRemembered) past_.erase(past_.begin());
    unordered_.clear();
    for (const auto& each : past_)
        if (!work->known.knows(each->work->column, each->work->tick))
            unordered_.push_back(each.get());
    if (spare != nullptr)
        *spare = Touched{};
    else
        spare = std::make_unique<Touched>();
    now_ = std::move(spare);
    now_->work = std::move(work);
}

PageStreams::Race PageStreams::touch(uint32_t from, uint32_t bytes, bool writes, bool strong) {
    Bits& own =
        now_->bits[strong ? (writes ? kStrongWritten : kStrongRead) : (writes ? kWritten : kRead)];
    const uint32_t last = from + bytes - 1;
    Race race;
    for (uint32_t word = from / 64; word <= last / 64; ++word) {
        uint64_t mask = ~uint64_t{0};
        if (word == from / 64) mask &= ~uint64_t{0} << from % 64;
        if (word == last / 64) mask &= ~uint64_t{0} >> (63 - last % 64);
        own[word] |= mask;
        for (const Touched* other : unordered_) {
            if (race.other != nullptr) break;
            uint64_t written = other->bits[kWritten][word];
            uint64_t read = writes ? other->bits[kRead][word] : 0;
            if (!strong) {
                written |= other->bits[kStrongWritten][word];
                if (writes) read |= other->bits[kStrongRead][word];
            }
            const uint64_t hit = (written | read) & mask;
            if (hit == 0) continue;
            race.other = other->work.get();
            race.at = word * 64 + static_cast<uint32_t>(__builtin_ctzll(hit));
            race.other_writes = (written & hit & -hit) != 0;
        }
    }
    return race;
}

}  // namespace emulator
