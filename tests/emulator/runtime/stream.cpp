// Streams, events, capture and graphs: the driver's, by the runtime's names.
#include "tests/emulator/runtime/runtime.hpp"

namespace emulator::cudart {

EMULATOR_CUDART cudaError_t cudaStreamCreate(cu::CUstream* stream) {
    return with_driver([&] { return cu::cuStreamCreate(stream, 0); });
}
EMULATOR_CUDART cudaError_t cudaStreamCreateWithFlags(cu::CUstream* stream, unsigned flags) {
    return with_driver([&] { return cu::cuStreamCreate(stream, flags); });
}
EMULATOR_CUDART cudaError_t cudaStreamCreateWithPriority(cu::CUstream* stream, unsigned flags,
                                                         int priority) {
    return with_driver([&] { return cu::cuStreamCreateWithPriority(stream, flags, priority); });
}
EMULATOR_CUDART cudaError_t cudaStreamDestroy(cu::CUstream stream) {
    return with_driver([&] { return cu::cuStreamDestroy_v2(stream); });
}
EMULATOR_CUDART cudaError_t cudaStreamSynchronize(cu::CUstream stream) {
    return with_driver([&] { return cu::cuStreamSynchronize(stream); });
}
EMULATOR_CUDART cudaError_t cudaStreamQuery(cu::CUstream stream) {
    return with_driver([&] { return cu::cuStreamQuery(stream); });
}
EMULATOR_CUDART cudaError_t cudaStreamGetFlags(cu::CUstream stream, unsigned* flags) {
    return with_driver([&] { return cu::cuStreamGetFlags(stream, flags); });
}
EMULATOR_CUDART cudaError_t cudaStreamGetPriority(cu::CUstream stream, int* priority) {
    return with_driver([&] { return cu::cuStreamGetPriority(stream, priority); });
}
EMULATOR_CUDART cudaError_t cudaStreamGetId(cu::CUstream stream, unsigned long long* id) {
    return with_driver([&] { return cu::cuStreamGetId(stream, id); });
}
EMULATOR_CUDART cudaError_t cudaStreamGetDevice(cu::CUstream stream, int* device) {
    return with_driver([&] { return cu::cuStreamGetDevice(stream, device); });
}
EMULATOR_CUDART cudaError_t cudaStreamWaitEvent(cu::CUstream stream, cu::CUevent event,
                                                unsigned flags) {
    return with_driver([&] { return cu::cuStreamWaitEvent(stream, event, flags); });
}
EMULATOR_CUDART cudaError_t cudaStreamAddCallback(cu::CUstream stream,
                                                  void (*callback)(cu::CUstream, cudaError_t,
                                                                   void*),
                                                  void* user_data, unsigned flags) {
    // The statuses that a callback is told have the same values in both APIs.
    return with_driver([&] {
        return cu::cuStreamAddCallback(stream, reinterpret_cast<cu::CUstreamCallback>(callback),
                                       user_data, flags);
    });
}
EMULATOR_CUDART cudaError_t cudaLaunchHostFunc(cu::CUstream stream, cu::CUhostFn function,
                                               void* user_data) {
    return with_driver([&] { return cu::cuLaunchHostFunc(stream, function, user_data); });
}

// ---- Events ----

EMULATOR_CUDART cudaError_t cudaEventCreate(cu::CUevent* event) {
    return with_driver([&] { return cu::cuEventCreate(event, 0); });
}
EMULATOR_CUDART cudaError_t cudaEventCreateWithFlags(cu::CUevent* event, unsigned flags) {
    return with_driver([&] { return cu::cuEventCreate(event, flags); });
}
EMULATOR_CUDART cudaError_t cudaEventDestroy(cu::CUevent event) {
    return with_driver([&] { return cu::cuEventDestroy_v2(event); });
}
EMULATOR_CUDART cudaError_t cudaEventRecord(cu::CUevent event, cu::CUstream stream) {
    return with_driver([&] { return cu::cuEventRecord(event, stream); });
}
EMULATOR_CUDART cudaError_t cudaEventRecordWithFlags(cu::CUevent event, cu::CUstream stream,
                                                     unsigned flags) {
    return with_driver([&] { return cu::cuEventRecordWithFlags(event, stream, flags); });
}
EMULATOR_CUDART cudaError_t cudaEventSynchronize(cu::CUevent event) {
    return with_driver([&] { return cu::cuEventSynchronize(event); });
}
EMULATOR_CUDART cudaError_t cudaEventQuery(cu::CUevent event) {
    return with_driver([&] { return cu::cuEventQuery(event); });
}
EMULATOR_CUDART cudaError_t cudaEventElapsedTime(float* milliseconds, cu::CUevent start,
                                                 cu::CUevent end) {
    return with_driver([&] { return cu::cuEventElapsedTime(milliseconds, start, end); });
}

// ---- Capture and graphs ----

EMULATOR_CUDART cudaError_t cudaThreadExchangeStreamCaptureMode(cu::CUstreamCaptureMode* mode) {
    return with_driver([&] { return cu::cuThreadExchangeStreamCaptureMode(mode); });
}
EMULATOR_CUDART cudaError_t cudaStreamBeginCapture(cu::CUstream stream,
                                                   cu::CUstreamCaptureMode mode) {
    return with_driver([&] { return cu::cuStreamBeginCapture_v2(stream, mode); });
}
EMULATOR_CUDART cudaError_t cudaStreamEndCapture(cu::CUstream stream, cu::CUgraph* graph) {
    return with_driver([&] { return cu::cuStreamEndCapture(stream, graph); });
}
EMULATOR_CUDART cudaError_t cudaStreamIsCapturing(cu::CUstream stream,
                                                  cu::CUstreamCaptureStatus* status) {
    return with_driver([&] { return cu::cuStreamIsCapturing(stream, status); });
}
EMULATOR_CUDART cudaError_t cudaStreamGetCaptureInfo(
    cu::CUstream stream, cu::CUstreamCaptureStatus* status, uint64_t* id, cu::CUgraph* graph,
    const cu::CUgraphNode** dependencies, const cu::CUgraphEdgeData** edges, size_t* count) {
    return with_driver([&] {
        return cu::cuStreamGetCaptureInfo_v3(stream, status, id, graph, dependencies, edges, count);
    });
}
EMULATOR_CUDART cudaError_t cudaGraphCreate(cu::CUgraph* graph, unsigned flags) {
    return with_driver([&] { return cu::cuGraphCreate(graph, flags); });
}
EMULATOR_CUDART cudaError_t cudaGraphDestroy(cu::CUgraph graph) {
    return with_driver([&] { return cu::cuGraphDestroy(graph); });
}
EMULATOR_CUDART cudaError_t cudaGraphClone(cu::CUgraph* clone, cu::CUgraph graph) {
    return with_driver([&] { return cu::cuGraphClone(clone, graph); });
}
EMULATOR_CUDART cudaError_t cudaGraphGetNodes(cu::CUgraph graph, cu::CUgraphNode* nodes,
                                              size_t* count) {
    return with_driver([&] { return cu::cuGraphGetNodes(graph, nodes, count); });
}
EMULATOR_CUDART cudaError_t cudaGraphGetRootNodes(cu::CUgraph graph, cu::CUgraphNode* nodes,
                                                  size_t* count) {
    return with_driver([&] { return cu::cuGraphGetRootNodes(graph, nodes, count); });
}
EMULATOR_CUDART cudaError_t cudaGraphNodeGetType(cu::CUgraphNode node, cu::CUgraphNodeType* type) {
    return with_driver([&] { return cu::cuGraphNodeGetType(node, type); });
}
EMULATOR_CUDART cudaError_t cudaGraphInstantiate(cu::CUgraphExec* exec, cu::CUgraph graph,
                                                 unsigned long long flags) {
    return with_driver([&] { return cu::cuGraphInstantiateWithFlags(exec, graph, flags); });
}
EMULATOR_CUDART cudaError_t cudaGraphInstantiateWithFlags(cu::CUgraphExec* exec, cu::CUgraph graph,
                                                          unsigned long long flags) {
    return cudaGraphInstantiate(exec, graph, flags);
}
EMULATOR_CUDART cudaError_t cudaGraphExecDestroy(cu::CUgraphExec exec) {
    return with_driver([&] { return cu::cuGraphExecDestroy(exec); });
}
EMULATOR_CUDART cudaError_t cudaGraphExecUpdate(cu::CUgraphExec exec, cu::CUgraph graph,
                                                cu::CUgraphExecUpdateResultInfo* info) {
    return with_driver([&] { return cu::cuGraphExecUpdate_v2(exec, graph, info); });
}
EMULATOR_CUDART cudaError_t cudaGraphUpload(cu::CUgraphExec exec, cu::CUstream stream) {
    return with_driver([&] { return cu::cuGraphUpload(exec, stream); });
}
EMULATOR_CUDART cudaError_t cudaGraphLaunch(cu::CUgraphExec exec, cu::CUstream stream) {
    return with_driver([&] { return cu::cuGraphLaunch(exec, stream); });
}

}  // namespace emulator::cudart
