// NumPy arrays from and to vectors.
#pragma once

#include <pybind11/numpy.h>

#include <optional>
#include <string>
#include <vector>

#include "error/error.h"
#include "models/rope_positions.h"

namespace omni {

using FloatArray = pybind11::array_t<float, pybind11::array::c_style | pybind11::array::forcecast>;
using IntArray   = pybind11::array_t<int32_t, pybind11::array::c_style | pybind11::array::forcecast>;

template <typename T>
std::vector<T> to_vector(const pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast> & array) {
    return { array.data(), array.data() + array.size() };
}

// Hands the vector's memory to NumPy. The shape's product must be the vector's size.
template <typename T> pybind11::array_t<T> to_array(std::vector<T> values, std::vector<pybind11::ssize_t> shape) {
    auto *            owned = new std::vector<T>(std::move(values));
    pybind11::capsule owner(owned, [](void * p) { delete static_cast<std::vector<T> *>(p); });
    return pybind11::array_t<T>(std::move(shape), owned->data(), owner);
}

// [n, width]
inline pybind11::array_t<float> to_rows(std::vector<float> values, int64_t width) {
    const auto n = (pybind11::ssize_t) ((int64_t) values.size() / width);
    return to_array(std::move(values), { n, (pybind11::ssize_t) width });
}

inline void require_matrix(const pybind11::array & array, const char * what) {
    if (array.ndim() != 2) {
        throw Error(ErrorKind::input, std::string(what) + " must be two-dimensional");
    }
}

inline void require_columns(const pybind11::array & array, int64_t columns, const char * what) {
    if (array.ndim() != 2 || array.shape(1) != columns) {
        std::string shape;
        for (pybind11::ssize_t i = 0; i < array.ndim(); ++i) {
            shape += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
        }
        throw Error(ErrorKind::input, std::string(what) + " must have the shape [n, " + std::to_string(columns) +
                                          "], not [" + shape + "]");
    }
}

// The states that go with a conversation; none is an empty vector.
inline std::vector<float> thinker_states(const std::optional<FloatArray> & states, int64_t width) {
    if (!states) {
        return {};
    }
    require_columns(*states, width, "thinker hidden states");
    return to_vector(*states);
}

// Positions [3, tokens] in time, height and width; none is an empty array.
inline AxisPositions axis_positions(const std::optional<IntArray> & positions) {
    if (!positions) {
        return {};
    }
    if (positions->ndim() != 2 || positions->shape(0) != 3) {
        throw Error(ErrorKind::input, "positions are an array [3, tokens]");
    }
    return { to_vector(*positions) };
}

}  // namespace omni
