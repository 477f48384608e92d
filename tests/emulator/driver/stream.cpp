// Streams, events, host functions.
#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

constexpr int kLeastPriority = 0, kGreatestPriority = -5;

/// A call that waits for a stream, or asks whether it is done, cannot be part of a graph.
void forbid_on_capturing(Driver& driver, Stream& stream) {
    if (stream.capture == nullptr) return;
    driver.invalidate(*stream.capture);
    fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

void forbid_on_captured(Driver& driver, Event& event) {
    if (event.capture == nullptr) return;
    driver.invalidate(*event.capture);
    fail(CUDA_ERROR_CAPTURED_EVENT);
}

void create_stream(Driver& driver, CUstream* stream, unsigned flags, int priority) {
    require(stream != nullptr && flags <= CU_STREAM_NON_BLOCKING);
    Context& context = driver.current();
    auto* made = driver.make<Stream>(&context);
    made->id = driver.next_id++;
    made->flags = flags;
    driver.several_streams = true;
    // Out of range is clamped, as the API says.
    made->priority = priority > kLeastPriority      ? kLeastPriority
                     : priority < kGreatestPriority ? kGreatestPriority
                                                    : priority;
    *stream = made;
}

void mark_recorded(Event& event, const StreamClock& clock) {
    event.recorded = true;
    event.clock = clock;
    event.when = std::chrono::steady_clock::now();
}

void record(Driver& driver, CUevent event, CUstream handle, unsigned flags) {
    require(flags <= CU_EVENT_RECORD_EXTERNAL);
    Stream& stream = driver.stream_of(handle);
    Event& known = driver.get(event);
    require(known.context == stream.context, CUDA_ERROR_INVALID_HANDLE);
    const bool is_external = flags == CU_EVENT_RECORD_EXTERNAL;
    if (stream.capture != nullptr && !is_external) {
        require(stream.capture->status == CU_STREAM_CAPTURE_STATUS_ACTIVE,
                CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        known.capture = stream.capture;
        known.dependencies = stream.dependencies;
        return;
    }
    require(stream.capture != nullptr || !is_external);
    if (stream.capture == nullptr) {
        known.capture = nullptr;
        known.dependencies.clear();
    }
    driver.enqueue(stream, CU_GRAPH_NODE_TYPE_EVENT_RECORD,
                   [&driver, &known](Context&) { mark_recorded(known, driver.work_clock()); });
    // Outside a capture the event counts as recorded even where the device has failed.
    if (stream.capture == nullptr) mark_recorded(known, stream.clock);
}

void wait_event(Driver& driver, CUstream handle, CUevent event, unsigned flags) {
    require(flags <= CU_EVENT_WAIT_EXTERNAL);
    Stream& stream = driver.any_stream(handle);
    Event& known = driver.get(event);
    const bool is_external = flags == CU_EVENT_WAIT_EXTERNAL;
    if (stream.capture != nullptr && is_external) {
        driver.enqueue(stream, CU_GRAPH_NODE_TYPE_WAIT_EVENT,
                       [&driver, &known](Context&) { driver.order_work_behind(known.clock); });
        return;
    }
    require(stream.capture != nullptr || !is_external);
    if (known.capture == nullptr) {
        if (stream.capture != nullptr) {
            // A graph cannot wait for what happened outside of it.
            driver.invalidate(*stream.capture);
            fail(CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
        }
        driver.forbid_legacy_dependency(stream);
        driver.arrive(stream);
        stream.clock.join(known.clock);
        return;  // what it stands for is done
    }
    Capture& capture = *known.capture;
    require(capture.status == CU_STREAM_CAPTURE_STATUS_ACTIVE,
            CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    if (stream.is_legacy) {
        driver.invalidate(capture);
        fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    }
    if (stream.capture != nullptr && stream.capture != &capture) {
        driver.invalidate(*stream.capture);
        driver.invalidate(capture);
        fail(CUDA_ERROR_STREAM_CAPTURE_MERGE);
    }
    stream.capture = &capture;
    capture.streams.insert(&stream);
    for (GraphNode* node : known.dependencies) {
        bool is_new = true;
        for (const GraphNode* mine : stream.dependencies)
            is_new = is_new && mine != node;
        if (is_new) stream.dependencies.push_back(node);
    }
}

/// Runs a host function, in which no CUDA call is allowed.
template <typename Fn>
void call_host(Fn&& function) {
    Driver::thread().in_host_function = true;
    function();
    Driver::thread().in_host_function = false;
}

void elapsed(Driver& driver, float* milliseconds, CUevent start, CUevent end) {
    require(milliseconds != nullptr);
    Event& from = driver.get(start);
    Event& to = driver.get(end);
    for (Event* event : {&from, &to}) {
        forbid_on_captured(driver, *event);
        require(event->recorded && (event->flags & CU_EVENT_DISABLE_TIMING) == 0,
                CUDA_ERROR_INVALID_HANDLE);
    }
    require(from.context == to.context, CUDA_ERROR_INVALID_HANDLE);
    driver.synchronize(from);
    driver.synchronize(to);
    // The emulator's own time: it says nothing about a GPU's.
    *milliseconds = std::chrono::duration<float, std::milli>(to.when - from.when).count();
}

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    return guard([&](Driver& driver) { create_stream(driver, stream, flags, kLeastPriority); });
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
    return guard([&](Driver& driver) { create_stream(driver, stream, flags, priority); });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    return guard([&](Driver& driver) {
        require(stream != nullptr && stream != legacy_stream() && stream != per_thread_stream(),
                CUDA_ERROR_INVALID_HANDLE);
        Stream& doomed = driver.get(stream);
        if (doomed.capture != nullptr) {
            Capture& capture = *doomed.capture;
            driver.invalidate(capture);
            capture.streams.erase(&doomed);
            if (capture.origin == &doomed) driver.end_capture(capture);
            doomed.capture = nullptr;
        }
        doomed.alive = false;
    });
}

CUresult cuStreamSynchronize(CUstream stream) {
    return guard([&](Driver& driver) {
        Stream& known = driver.any_stream(stream);
        forbid_on_capturing(driver, known);
        driver.forbid_legacy_dependency(known);
        driver.forbid_capture();
        driver.synchronize(known);
    });
}

CUresult cuStreamQuery(CUstream stream) {
    return guard([&](Driver& driver) {
        Stream& known = driver.any_stream(stream);
        forbid_on_capturing(driver, known);
        driver.forbid_legacy_dependency(known);
        driver.synchronize(known);
    });
}

CUresult cuStreamGetPriority(CUstream stream, int* priority) {
    return guard([&](Driver& driver) {
        require(priority != nullptr);
        *priority = driver.any_stream(stream).priority;
    });
}

CUresult cuStreamGetFlags(CUstream stream, unsigned* flags) {
    return guard([&](Driver& driver) {
        require(flags != nullptr);
        *flags = driver.any_stream(stream).flags;
    });
}

CUresult cuStreamGetId(CUstream stream, unsigned long long* id) {
    return guard([&](Driver& driver) {
        require(id != nullptr);
        *id = driver.any_stream(stream).id;
    });
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) {
    return guard([&](Driver& driver) {
        require(context != nullptr);
        *context = driver.any_stream(stream).context;
    });
}

CUresult cuStreamGetCtx_v2(CUstream stream, CUcontext* context, void** green_context) {
    if (green_context != nullptr) *green_context = nullptr;  // there are none
    return cuStreamGetCtx(stream, context);
}

CUresult cuStreamGetDevice(CUstream stream, CUdevice* device) {
    return guard([&](Driver& driver) {
        require(device != nullptr);
        *device = driver.any_stream(stream).context->device;
    });
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
    return guard([&](Driver& driver) { wait_event(driver, stream, event, flags); });
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* user_data,
                             unsigned flags) {
    return guard([&](Driver& driver) {
        require(callback != nullptr && flags == 0);
        Stream& known = driver.stream_of(stream);
        forbid_on_capturing(driver, known);
        driver.forbid_legacy_dependency(known);
        // Unlike a host function it is called even after a failure, and told of it.
        const Context& context = *known.context;
        const CUresult status = context.sticky != CUDA_SUCCESS ? context.sticky : context.pending;
        driver.begin_work(known, "the callback");
        driver.host_learns_of_work();
        call_host([&] { callback(stream, status, user_data); });
    });
}

CUresult cuStreamAttachMemAsync(CUstream stream, CUdeviceptr address, size_t bytes,
                                unsigned flags) {
    return guard([&](Driver& driver) {
        driver.stream_of(stream);
        require(flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST ||
                flags == CU_MEM_ATTACH_SINGLE);
        const Allocation* allocation = driver.holder(address, bytes == 0 ? 1 : bytes);
        require(allocation != nullptr && allocation->kind == Allocation::Kind::kManaged);
    });
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* user_data) {
    return guard([&](Driver& driver) {
        require(function != nullptr);
        // What it tells other threads of the host is not seen: they all know of it from now on.
        driver.enqueue(driver.stream_of(stream), CU_GRAPH_NODE_TYPE_HOST, [=, &driver](Context&) {
            driver.host_learns_of_work();
            call_host([&] { function(user_data); });
        });
    });
}

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    return guard([&](Driver& driver) {
        require(event != nullptr);
        require((flags & ~(unsigned{CU_EVENT_BLOCKING_SYNC} | CU_EVENT_DISABLE_TIMING |
                           CU_EVENT_INTERPROCESS)) == 0);
        require((flags & CU_EVENT_INTERPROCESS) == 0, CUDA_ERROR_NOT_SUPPORTED);
        Context& context = driver.current();
        auto* made = driver.make<Event>(&context);
        made->flags = flags;
        *event = made;
    });
}

CUresult cuEventDestroy_v2(CUevent event) {
    return guard([&](Driver& driver) { driver.get(event).alive = false; });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    return guard([&](Driver& driver) { record(driver, event, stream, 0); });
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
    return guard([&](Driver& driver) { record(driver, event, stream, flags); });
}

CUresult cuEventSynchronize(CUevent event) {
    return guard([&](Driver& driver) {
        Event& known = driver.get(event);
        forbid_on_captured(driver, known);
        driver.forbid_capture();
        if (known.recorded) driver.synchronize(known);
    });
}

CUresult cuEventQuery(CUevent event) {
    return guard([&](Driver& driver) {
        Event& known = driver.get(event);
        forbid_on_captured(driver, known);
        driver.forbid_capture();
        if (known.recorded) driver.synchronize(known);
    });
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    return guard([&](Driver& driver) { elapsed(driver, milliseconds, start, end); });
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
    return guard([&](Driver& driver) { elapsed(driver, milliseconds, start, end); });
}

}  // extern "C"

}  // namespace emulator::cu
