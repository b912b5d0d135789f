// What only tests call: pieces of the engine that no user reaches. A module of its own, omniggml_test_native, which no
// wheel carries; tests/native_module.py finds or builds it.
#pragma once

#include <pybind11/pybind11.h>

namespace omni {

void bind_device(pybind11::module_ & m);
void bind_fuzz(pybind11::module_ & m);
void bind_graph(pybind11::module_ & m);
void bind_kernels(pybind11::module_ & m);
void bind_threads(pybind11::module_ & m);

}  // namespace omni
