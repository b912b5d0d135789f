// Graphs larger than any model's.
#include "bindings/arrays.h"
#include "core/graph.h"
#include "test_bindings/test_bindings.h"

namespace py = pybind11;

namespace omni {

namespace {

// 1 added to 0 in `n` nodes, one after another. `ask`: whether each asks the graph where it may be made.
float count_up(int64_t n, bool ask) {
    const Backends backends(find_device("CPU"), 1);
    Graph          graph(backends, nullptr);
    ggml_context * first = graph.context();
    ggml_tensor *  x     = graph.input(GGML_TYPE_F32, { 1 });
    ggml_tensor *  one   = graph.constant(std::vector<float>{ 1.0f });
    ggml_tensor *  sum   = x;
    for (int64_t i = 0; i < n; ++i) {
        sum = ggml_add(ask ? graph.context() : first, sum, one);
    }
    graph.output(sum);
    graph.finish();
    const float zero = 0;
    graph.set(x, &zero, sizeof(zero));
    graph.compute();
    return graph.read(sum)[0];
}

}  // namespace

void bind_graph(py::module_ & m) {
    m.def("count_up", &count_up, py::arg("n"), py::kw_only(), py::arg("ask"));
    m.attr("spare_nodes") = Graph::k_spare_nodes;
}

}  // namespace omni
