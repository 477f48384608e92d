// Stream capture: work of a stream becomes nodes of a graph.
#include <algorithm>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

void begin(Driver& driver, CUstream handle, Graph* graph, std::vector<GraphNode*> dependencies,
           CUstreamCaptureMode mode) {
    require(mode >= CU_STREAM_CAPTURE_MODE_GLOBAL && mode <= CU_STREAM_CAPTURE_MODE_RELAXED);
    Stream& stream = driver.stream_of(handle);
    require(!stream.is_legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    require(stream.capture == nullptr, CUDA_ERROR_ILLEGAL_STATE);
    auto capture = std::make_unique<Capture>();
    capture->id = driver.next_id++;
    capture->mode = mode;
    capture->origin = &stream;
    capture->owns_graph = graph == nullptr;
    capture->graph = graph != nullptr ? graph : driver.make<Graph>(stream.context);
    capture->thread = &Driver::thread();
    capture->streams.insert(&stream);
    stream.capture = capture.get();
    stream.dependencies = std::move(dependencies);
    driver.captures.push_back(std::move(capture));
}

/// Whether every node of the capture is before what its first stream ends with.
bool is_joined(const Capture& capture) {
    std::set<const GraphNode*> before;
    std::vector<const GraphNode*> open(capture.origin->dependencies.begin(),
                                       capture.origin->dependencies.end());
    while (!open.empty()) {
        const GraphNode* node = open.back();
        open.pop_back();
        if (!before.insert(node).second) continue;
        open.insert(open.end(), node->dependencies.begin(), node->dependencies.end());
    }
    for (const Stream* stream : capture.streams) {
        for (const GraphNode* node : stream->dependencies) {
            if (before.count(node) == 0) return false;
        }
    }
    return true;
}

void capture_info(Driver& driver, CUstream handle, CUstreamCaptureStatus* status, uint64_t* id,
                  CUgraph* graph, const CUgraphNode** dependencies, size_t* count) {
    require(status != nullptr);
    Stream& stream = driver.any_stream(handle);
    driver.forbid_legacy_dependency(stream);
    *status = stream.capture != nullptr ? stream.capture->status : CU_STREAM_CAPTURE_STATUS_NONE;
    if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return;
    if (id != nullptr) *id = stream.capture->id;
    if (graph != nullptr) *graph = stream.capture->graph;
    stream.reported.assign(stream.dependencies.begin(), stream.dependencies.end());
    if (dependencies != nullptr) *dependencies = stream.reported.data();
    if (count != nullptr) *count = stream.reported.size();
}

void update_dependencies(Driver& driver, CUstream handle, CUgraphNode* dependencies, size_t count,
                         unsigned flags) {
    Stream& stream = driver.any_stream(handle);
    require(stream.capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
    require(flags <= 1 && (count == 0 || dependencies != nullptr));
    std::vector<GraphNode*> nodes;
    for (size_t i = 0; i < count; ++i) {
        GraphNode& node = driver.get(dependencies[i], CUDA_ERROR_INVALID_VALUE);
        require(node.graph == stream.capture->graph);
        nodes.push_back(&node);
    }
    if (flags == 1) stream.dependencies.clear();
    for (GraphNode* node : nodes) {
        const auto& known = stream.dependencies;
        if (std::find(known.begin(), known.end(), node) == known.end())
            stream.dependencies.push_back(node);
    }
}

}  // namespace

extern "C" {

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
    return guard([&](Driver&) {
        require(mode != nullptr && *mode >= CU_STREAM_CAPTURE_MODE_GLOBAL &&
                *mode <= CU_STREAM_CAPTURE_MODE_RELAXED);
        std::swap(*mode, Driver::thread().capture_mode);
    });
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
    return guard([&](Driver& driver) { begin(driver, stream, nullptr, {}, mode); });
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph,
                                     const CUgraphNode* dependencies, const CUgraphEdgeData* edges,
                                     size_t count, CUstreamCaptureMode mode) {
    return guard([&](Driver& driver) {
        require(edges == nullptr, CUDA_ERROR_NOT_SUPPORTED);
        require(count == 0 || dependencies != nullptr);
        Graph& known = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
        std::vector<GraphNode*> nodes;
        for (size_t i = 0; i < count; ++i) {
            GraphNode& node = driver.get(dependencies[i], CUDA_ERROR_INVALID_VALUE);
            require(node.graph == &known);
            nodes.push_back(&node);
        }
        begin(driver, stream, &known, std::move(nodes), mode);
    });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
    return guard([&](Driver& driver) {
        Stream& known = driver.any_stream(stream);
        require(known.capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
        Capture& capture = *known.capture;
        require(capture.origin == &known, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
        require(
            capture.mode == CU_STREAM_CAPTURE_MODE_RELAXED || capture.thread == &Driver::thread(),
            CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
        CUresult result = CUDA_SUCCESS;
        if (capture.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
            result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        else if (!is_joined(capture))
            result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
        Graph* made = capture.graph;
        if (result != CUDA_SUCCESS && capture.owns_graph) {
            for (GraphNode* node : made->nodes)
                node->alive = false;
            made->alive = false;
        }
        driver.end_capture(capture);
        if (graph != nullptr) *graph = result == CUDA_SUCCESS ? made : nullptr;
        require(result == CUDA_SUCCESS, result);
    });
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    return guard([&](Driver& driver) {
        capture_info(driver, stream, status, nullptr, nullptr, nullptr, nullptr);
    });
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   size_t* count) {
    return guard([&](Driver& driver) {
        capture_info(driver, stream, status, id, graph, dependencies, count);
    });
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, uint64_t* id,
                                   CUgraph* graph, const CUgraphNode** dependencies,
                                   const CUgraphEdgeData** edges, size_t* count) {
    return guard([&](Driver& driver) {
        if (edges != nullptr) *edges = nullptr;
        capture_info(driver, stream, status, id, graph, dependencies, count);
    });
}

CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* dependencies, size_t count,
                                           unsigned flags) {
    return guard(
        [&](Driver& driver) { update_dependencies(driver, stream, dependencies, count, flags); });
}

CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode* dependencies,
                                              const CUgraphEdgeData* edges, size_t count,
                                              unsigned flags) {
    return guard([&](Driver& driver) {
        require(edges == nullptr, CUDA_ERROR_NOT_SUPPORTED);
        update_dependencies(driver, stream, dependencies, count, flags);
    });
}

}  // extern "C"

}  // namespace emulator::cu
