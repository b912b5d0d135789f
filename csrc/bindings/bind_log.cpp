#include <pybind11/stl.h>

#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "bindings/bindings.h"
#include "core/ggml_log.h"

namespace py = pybind11;

namespace omni {

namespace {

constexpr size_t k_most_lines = 1000;

using Line = std::pair<int, std::string>;

// ggml logs from any thread, some of which must not wait for Python: lines are kept until Python asks for them.
class KeptLines {
  public:
    void add(int level, const char * text) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (level != GGML_LOG_LEVEL_CONT || lines_.empty()) {
            lines_.emplace_back(level, text);
        } else {
            lines_.back().second += text;
        }
        if (lines_.size() > k_most_lines) {
            lines_.pop_front();
        }
    }

    std::deque<Line> take() {
        std::lock_guard<std::mutex> lock(mutex_);
        return std::exchange(lines_, {});
    }

  private:
    std::mutex       mutex_;
    std::deque<Line> lines_;
};

KeptLines & kept_lines() {
    static auto * const lines = new KeptLines;  // outlives every thread that may still log
    return *lines;
}

void keep(ggml_log_level level, const char * text, void * /*data*/) {
    kept_lines().add((int) level, text);
}

std::vector<std::pair<int, py::str>> take_log() {
    std::vector<std::pair<int, py::str>> out;
    for (const auto & [level, text] : kept_lines().take()) {
        out.emplace_back(level, py::reinterpret_steal<py::str>(
                                    PyUnicode_DecodeUTF8(text.data(), (py::ssize_t) text.size(), "backslashreplace")));
    }
    return out;
}

}  // namespace

void bind_log(py::module_ & m) {
    listen_to_ggml(keep, nullptr);
    m.def("take_log", &take_log,
          "Lines that ggml logged since the last call, each its level (ggml's number: 1 debug, 2 info, 3 warning, "
          "4 error) and text; of many, the newest.");
}

}  // namespace omni
