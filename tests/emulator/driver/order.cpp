// Which work is ordered behind which, as the CUDA C++ programming guide has it ("Streams", "Implicit
// Synchronization", "Events", "Graphs"): a stream's own order; the legacy stream and the blocking streams
// of its context wait for each other; events; what the host waited for before it enqueued. What
// check/streams.hpp makes of it is a finding where nothing orders two works on the same bytes.
#include <algorithm>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

bool is_blocking(const Stream& stream) {
    return !stream.is_legacy && (stream.flags & CU_STREAM_NON_BLOCKING) == 0;
}

uint64_t next_random(uint64_t& state) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

}  // namespace

void Driver::arrive(Stream& stream) {
    if (!several_streams) return;
    stream.clock.join(host_);
    if (stream.is_legacy)
        stream.clock.join(stream.context->blocking);
    else if (is_blocking(stream))
        stream.clock.join(stream.context->legacy->clock);
}

void Driver::begin_moment(uint64_t stream, uint32_t column, const StreamClock& behind,
                          const char* what) {
    auto work = std::make_shared<StreamWork>();
    work->what = what;
    work->stream = stream;
    work->column = column;
    work->tick = ++ticks_[column];
    work->known = behind;
    work->known.learn(column, work->tick);
    work_clock_ = work->known;
    device().set_work(std::move(work), host_);
}

void Driver::begin_work(Stream& stream, const char* what) {
    if (!several_streams) return;
    arrive(stream);
    if (stream.columns.empty()) {
        stream.columns.push_back(static_cast<uint32_t>(ticks_.size()));
        ticks_.push_back(0);
    }
    begin_moment(stream.id, stream.columns[0], stream.clock, what);
    working_ = &stream;
    stream.clock.join(work_clock_);
    stream.context->all.join(stream.clock);
    if (is_blocking(stream)) stream.context->blocking.join(stream.clock);
}

void Driver::run_graph(Context& context, const std::vector<GraphExec::Step>& steps) {
    // A graph inside another is one work of it.
    const bool ordered = several_streams && !in_graph_;
    Stream* stream = working_;
    const StreamClock behind = work_clock_;
    std::vector<size_t> open(steps.size());
    std::vector<std::vector<size_t>> dependents(steps.size());
    std::vector<size_t> ready;
    for (size_t i = 0; i < steps.size(); ++i) {
        open[i] = steps[i].dependencies.size();
        if (open[i] == 0) ready.push_back(i);
        for (const size_t dependency : steps[i].dependencies)
            dependents[dependency].push_back(i);
    }
    // A column goes on from a step to one that depends on it; other branches take new ones.
    struct Done {
        size_t column;  ///< of the stream's
        StreamClock clock;
        bool continued = false;
    };
    std::vector<Done> done(steps.size());
    size_t columns = 0;
    const auto begin_step = [&](size_t step) {
        StreamClock known = behind;
        Done* before = nullptr;
        for (const size_t dependency : steps[step].dependencies) {
            known.join(done[dependency].clock);
            if (!done[dependency].continued) before = &done[dependency];
        }
        if (before != nullptr) before->continued = true;
        done[step].column = before != nullptr ? before->column : columns++;
        while (stream->columns.size() <= done[step].column) {
            stream->columns.push_back(static_cast<uint32_t>(ticks_.size()));
            ticks_.push_back(0);
        }
        begin_moment(stream->id, stream->columns[done[step].column], known, "a node of the graph");
    };
    struct Inside {
        bool& flag;
        const bool before;
        ~Inside() { flag = before; }
    } inside{in_graph_, in_graph_};
    in_graph_ = true;
    uint64_t random = seed;
    while (!ready.empty()) {
        const size_t pick = next_random(random) % ready.size();
        const size_t step = ready[pick];
        ready[pick] = ready.back();
        ready.pop_back();
        if (ordered) begin_step(step);
        if (steps[step].work) steps[step].work(context);
        if (ordered) done[step].clock = work_clock_;
        for (const size_t dependent : dependents[step]) {
            if (--open[dependent] == 0) ready.push_back(dependent);
        }
    }
    if (!ordered) return;
    for (const Done& each : done)
        stream->clock.join(each.clock);
    context.all.join(stream->clock);
    if (is_blocking(*stream)) context.blocking.join(stream->clock);
}

void Driver::touch(uint64_t address, uint64_t bytes, bool writes) {
    LaunchReport report = device().touch(address, bytes, writes);
    if (report.findings.empty()) return;
    record(report);
    if (findings_fail) fail(CUDA_ERROR_LAUNCH_FAILED);
}

void Driver::surface(Context& context) {
    if (context.sticky == CUDA_SUCCESS) context.sticky = context.pending;
    require(context.sticky == CUDA_SUCCESS, context.sticky);
}

void Driver::synchronize(Context& context) {
    host_.join(context.all);
    surface(context);
}

void Driver::synchronize(Stream& stream) {
    arrive(stream);
    host_.join(stream.clock);
    surface(*stream.context);
}

void Driver::synchronize(Event& event) {
    host_.join(event.clock);
    surface(*event.context);
}

}  // namespace emulator::cu
