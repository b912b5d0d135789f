#include <pybind11/stl.h>

#include <atomic>
#include <vector>

#include "test_bindings/test_bindings.h"
#include "threads/cpu_share.h"
#include "threads/crowd.h"
#include "threads/region.h"

namespace py = pybind11;

namespace omni {

namespace {

constexpr int k_most = 64;

struct Steps {
    int              steps;
    std::atomic<int> done[k_most];
    std::atomic<int> firsts{ 0 };
    std::atomic<int> ahead{ 0 };
    std::atomic<int> size{ 0 };
};

// Counts how often a thread was a step ahead of another's, which none may be.
void walk(void * data) {
    auto & s = *static_cast<Steps *>(data);
    s.size   = team_size();
    for (int step = 0; step < s.steps; ++step) {
        s.firsts += first_here() ? 1 : 0;
        s.done[rank()] = step + 1;
        meet();
        for (int other = 0; other < team_size(); ++other) {
            s.ahead += s.done[other] < step + 1 ? 1 : 0;
        }
        meet();
    }
}

// (threads, steps that one thread was the first in, steps that a thread missed)
std::tuple<int, int, int> walk_together(int n_threads, int steps) {
    Steps s{};
    s.steps = steps;
    work_together(n_threads, walk, &s);
    return { s.size, s.firsts, s.ahead };
}

}  // namespace

void bind_threads(py::module_ & m) {
    m.def("cpu_quota", &cpu_quota, py::arg("root"));
    m.def("walk_together", &walk_together, py::arg("n_threads"), py::arg("steps"),
          py::call_guard<py::gil_scoped_release>());
    py::class_<Crowd>(m, "Crowd")
        .def(py::init<>())
        .def("team_for", &Crowd::team_for)
        .def("due", &Crowd::due)
        .def("report", &Crowd::report, py::arg("n"), py::arg("size"), py::arg("now"), py::arg("wall"),
             py::arg("useful"));
}

}  // namespace omni
