// Graphs: nodes, instantiation, launch. A launched graph runs in an order that its edges allow and the
// seed picks, so that a missing edge shows.
#include <algorithm>

#include "tests/emulator/driver/state.hpp"

namespace emulator::cu {

namespace {

std::vector<GraphNode*> nodes_of(Driver& driver, const Graph& graph, const CUgraphNode* handles,
                                 size_t count) {
    require(count == 0 || handles != nullptr);
    std::vector<GraphNode*> nodes;
    for (size_t i = 0; i < count; ++i) {
        GraphNode& node = driver.get(handles[i], CUDA_ERROR_INVALID_VALUE);
        require(node.graph == &graph);
        require(std::find(nodes.begin(), nodes.end(), &node) == nodes.end());
        nodes.push_back(&node);
    }
    return nodes;
}

Launch launch_of(Driver& driver, Context& context, const CUDA_KERNEL_NODE_PARAMS* parameters) {
    require(parameters != nullptr);
    const CUDA_KERNEL_NODE_PARAMS& p = *parameters;
    require((p.func != nullptr) != (p.kern != nullptr));
    Launch launch;
    launch.function = &function_of(
        driver, context, p.func != nullptr ? p.func : reinterpret_cast<CUfunction>(p.kern));
    launch.config.grid[0] = p.gridDimX;
    launch.config.grid[1] = p.gridDimY;
    launch.config.grid[2] = p.gridDimZ;
    launch.config.block[0] = p.blockDimX;
    launch.config.block[1] = p.blockDimY;
    launch.config.block[2] = p.blockDimZ;
    launch.config.dynamic_shared = p.sharedMemBytes;
    check_launch(driver, launch);
    launch.parameters = gather_parameters(*launch.function, p.kernelParams, p.extra);
    return launch;
}

Work work_of(Driver& driver, const Launch& launch) {
    return [&driver, launch](Context& context) { driver.launch(context, launch); };
}

/// Keeps what the parameters do not carry: the cluster and whether it is cooperative.
void change_launch(Driver& driver, Launch changed, std::optional<Launch>& launch, Work& work) {
    std::copy(launch->config.cluster, launch->config.cluster + 3, changed.config.cluster);
    changed.is_cooperative = launch->is_cooperative;
    check_launch(driver, changed);
    work = work_of(driver, changed);
    launch = std::move(changed);
}

std::vector<GraphExec::Step> steps_of(const Graph& graph) {
    std::map<const GraphNode*, size_t> index;
    for (size_t i = 0; i < graph.nodes.size(); ++i)
        index[graph.nodes[i]] = i;
    std::vector<GraphExec::Step> steps;
    for (GraphNode* node : graph.nodes) {
        GraphExec::Step step{node, node->type, {}, node->work, node->launch};
        for (const GraphNode* dependency : node->dependencies)
            step.dependencies.push_back(index.at(dependency));
        steps.push_back(std::move(step));
    }
    return steps;
}

GraphExec* instantiate(Driver& driver, CUgraph graph, unsigned long long flags) {
    // AUTO_FREE_ON_LAUNCH, UPLOAD and USE_NODE_PRIORITY change nothing here.
    constexpr unsigned long long kDeviceLaunch = 4, kKnown = 15;
    require((flags & ~kKnown) == 0);
    require((flags & kDeviceLaunch) == 0, CUDA_ERROR_NOT_SUPPORTED);
    const Graph& known = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
    auto* exec = driver.make<GraphExec>(known.context);
    exec->flags = flags;
    exec->steps = steps_of(known);
    return exec;
}

/// The list-of-handles convention: without an array the count is asked for.
template <typename T>
void put_list(const std::vector<T>& all, T* out, size_t* count) {
    require(count != nullptr);
    if (out == nullptr) {
        *count = all.size();
        return;
    }
    for (size_t i = 0; i < *count; ++i)
        out[i] = i < all.size() ? all[i] : T{};
    *count = std::min(*count, all.size());
}

void get_edges(Driver& driver, CUgraph graph, CUgraphNode* from, CUgraphNode* to, size_t* count) {
    std::vector<CUgraphNode> sources, targets;
    for (GraphNode* node : driver.get(graph, CUDA_ERROR_INVALID_VALUE).nodes) {
        for (GraphNode* dependency : node->dependencies) {
            sources.push_back(dependency);
            targets.push_back(node);
        }
    }
    require(count != nullptr && (from == nullptr) == (to == nullptr));
    size_t room = *count;
    put_list(sources, from, count);
    if (to != nullptr) put_list(targets, to, &room);
}

}  // namespace

extern "C" {

CUresult cuGraphCreate(CUgraph* graph, unsigned flags) {
    return guard([&](Driver& driver) {
        require(graph != nullptr && flags == 0);
        *graph = driver.make<Graph>(driver.current_or_null());
    });
}

CUresult cuGraphDestroy(CUgraph graph) {
    return guard([&](Driver& driver) {
        Graph& doomed = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
        for (GraphNode* node : doomed.nodes) {
            node->alive = false;
            node->work = nullptr;
        }
        doomed.nodes.clear();
        doomed.alive = false;
    });
}

CUresult cuGraphClone(CUgraph* clone, CUgraph graph) {
    return guard([&](Driver& driver) {
        require(clone != nullptr);
        Graph& known = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
        auto* copy = driver.make<Graph>(known.context);
        std::map<const GraphNode*, GraphNode*> of;
        for (GraphNode* node : known.nodes) {
            GraphNode* made = driver.add_node(*copy, node->type, {}, node->work);
            made->launch = node->launch;
            of[node] = made;
        }
        for (GraphNode* node : known.nodes) {
            for (const GraphNode* dependency : node->dependencies)
                of[node]->dependencies.push_back(of[dependency]);
        }
        *clone = copy;
    });
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                                 size_t count, const CUDA_KERNEL_NODE_PARAMS* parameters) {
    return guard([&](Driver& driver) {
        require(node != nullptr);
        Graph& known = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
        std::vector<GraphNode*> nodes = nodes_of(driver, known, dependencies, count);
        const Launch launch = launch_of(driver, driver.current(), parameters);
        *node = driver.add_node(known, CU_GRAPH_NODE_TYPE_KERNEL, std::move(nodes),
                                work_of(driver, launch));
        (*node)->launch = launch;
    });
}

CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies,
                             size_t count) {
    return guard([&](Driver& driver) {
        require(node != nullptr);
        Graph& known = driver.get(graph, CUDA_ERROR_INVALID_VALUE);
        *node = driver.add_node(known, CU_GRAPH_NODE_TYPE_EMPTY,
                                nodes_of(driver, known, dependencies, count), nullptr);
    });
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* parameters) {
    return guard([&](Driver& driver) {
        require(parameters != nullptr);
        GraphNode& known = driver.get(node, CUDA_ERROR_INVALID_VALUE);
        require(known.launch.has_value());
        Launch& launch = *known.launch;
        known.parameter_pointers.clear();
        for (const auto& [offset, bytes] : launch.function->facts.parameters)
            known.parameter_pointers.push_back(launch.parameters.data() + offset);
        const LaunchConfig& config = launch.config;
        *parameters = {launch.function,
                       config.grid[0],
                       config.grid[1],
                       config.grid[2],
                       config.block[0],
                       config.block[1],
                       config.block[2],
                       config.dynamic_shared,
                       known.parameter_pointers.data(),
                       nullptr,
                       nullptr,
                       launch.function->context};
    });
}

CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node,
                                       const CUDA_KERNEL_NODE_PARAMS* parameters) {
    return guard([&](Driver& driver) {
        GraphNode& known = driver.get(node, CUDA_ERROR_INVALID_VALUE);
        require(known.launch.has_value());
        change_launch(driver, launch_of(driver, driver.current(), parameters), known.launch,
                      known.work);
    });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
    return guard([&](Driver& driver) {
        put_list(driver.get(graph, CUDA_ERROR_INVALID_VALUE).nodes, nodes, count);
    });
}

CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
    return guard([&](Driver& driver) {
        std::vector<CUgraphNode> roots;
        for (GraphNode* node : driver.get(graph, CUDA_ERROR_INVALID_VALUE).nodes) {
            if (node->dependencies.empty()) roots.push_back(node);
        }
        put_list(roots, nodes, count);
    });
}

CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, size_t* count) {
    return guard([&](Driver& driver) { get_edges(driver, graph, from, to, count); });
}

CUresult cuGraphGetEdges_v2(CUgraph graph, CUgraphNode* from, CUgraphNode* to,
                            CUgraphEdgeData* edges, size_t* count) {
    return guard([&](Driver& driver) {
        get_edges(driver, graph, from, to, count);
        if (edges != nullptr) std::fill(edges, edges + *count, CUgraphEdgeData{});
    });
}

CUresult cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType* type) {
    return guard([&](Driver& driver) {
        require(type != nullptr);
        *type = driver.get(node, CUDA_ERROR_INVALID_VALUE).type;
    });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
    return guard([&](Driver& driver) {
        require(exec != nullptr);
        *exec = instantiate(driver, graph, flags);
    });
}

CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
    return guard([&](Driver& driver) {
        require(exec != nullptr && parameters != nullptr);
        *exec = instantiate(driver, graph, parameters->flags);
        parameters->hErrNode_out = nullptr;
        parameters->result_out = 0;
    });
}

CUresult cuGraphExecGetFlags(CUgraphExec exec, uint64_t* flags) {
    return guard([&](Driver& driver) {
        require(flags != nullptr);
        *flags = driver.get(exec, CUDA_ERROR_INVALID_VALUE).flags;
    });
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
    return guard([&](Driver& driver) {
        GraphExec& doomed = driver.get(exec, CUDA_ERROR_INVALID_VALUE);
        doomed.steps.clear();
        doomed.alive = false;
    });
}

CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
    return guard([&](Driver& driver) {
        require(info != nullptr);
        GraphExec& known = driver.get(exec, CUDA_ERROR_INVALID_VALUE);
        std::vector<GraphExec::Step> steps = steps_of(driver.get(graph, CUDA_ERROR_INVALID_VALUE));
        *info = {CU_GRAPH_EXEC_UPDATE_SUCCESS, nullptr, nullptr};
        if (steps.size() != known.steps.size())
            info->result = CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
        for (size_t i = 0; i < steps.size() && info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS; ++i) {
            if (steps[i].dependencies != known.steps[i].dependencies)
                info->result = CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
            else if (steps[i].type != known.steps[i].type)
                info->result = CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
            if (info->result != CU_GRAPH_EXEC_UPDATE_SUCCESS) info->errorNode = steps[i].origin;
        }
        require(info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
        // Node handles of the graph that was instantiated go on naming its steps.
        for (size_t i = 0; i < steps.size(); ++i)
            steps[i].origin = known.steps[i].origin;
        known.steps = std::move(steps);
    });
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS* parameters) {
    return guard([&](Driver& driver) {
        GraphExec& known = driver.get(exec, CUDA_ERROR_INVALID_VALUE);
        const auto step = std::find_if(known.steps.begin(), known.steps.end(),
                                       [&](const auto& each) { return each.origin == node; });
        require(step != known.steps.end() && step->launch.has_value());
        change_launch(driver, launch_of(driver, driver.current(), parameters), step->launch,
                      step->work);
    });
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
    return guard([&](Driver& driver) {
        driver.get(exec, CUDA_ERROR_INVALID_VALUE);
        driver.stream_of(stream);
    });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    return guard([&](Driver& driver) {
        GraphExec& known = driver.get(exec, CUDA_ERROR_INVALID_VALUE);
        Stream& where = driver.stream_of(stream);
        require(known.context == nullptr || known.context == where.context);
        // The steps are copied: a graph that is captured into another is that of now.
        driver.enqueue(
            where, CU_GRAPH_NODE_TYPE_GRAPH,
            [&driver, steps = known.steps](Context& context) { driver.run_graph(context, steps); });
        if (driver.findings_fail && where.capture == nullptr) Driver::surface(*where.context);
    });
}

}  // extern "C"

}  // namespace emulator::cu
