#include "core/fastest_conv.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "core/large_memory.h"
#include "core/machine_note.h"
#include "error/error.h"
#include "kernels/conv.h"
#include "threads/awaited.h"

namespace omni {

namespace {

const std::string k_name    = "convolutions";
constexpr size_t  k_figures = 2;  // of ConvTimes

// Many channels, and many rows, as at both ends of what is passed for every piece of sound.
struct Shape {
    int64_t channels, rows;
};
constexpr std::array<Shape, 2> k_shapes = { Shape{ 384, 80 }, Shape{ 96, 960 } };
constexpr int64_t              k_taps   = 7;

// Of passes beside other programs the fastest is the least disturbed. One thread's time on its core is measured: the
// clock would tell who else wants the machine.
constexpr int k_passes = 3;

constexpr double k_plainly = 0.95;

// A convolution of zeros, which takes as long as any other.
class Trial {
  public:
    Trial(ConvForm form, const Shape & shape) :
        form_(form),
        x_(nbytes((shape.rows + k_taps - 1 + k_bf16_tail) * shape.channels), k_purpose),
        weight_(nbytes(packed_conv_size(shape.channels, shape.channels, k_taps)), k_purpose),
        bias_(nbytes(shape.channels), k_purpose),
        y_(nbytes(shape.rows * shape.channels), k_purpose) {
        job_.x           = x_.data();
        job_.weight      = weight_.data();
        job_.bias        = reinterpret_cast<const float *>(bias_.data());
        job_.y           = reinterpret_cast<float *>(y_.data());
        job_.rows        = shape.rows;
        job_.in          = shape.channels;
        job_.out         = shape.channels;
        job_.taps        = k_taps;
        job_.bias_period = shape.channels;
        job_.x_row       = shape.channels;
        job_.x_tap       = shape.channels;
        job_.y_row       = shape.channels;
    }

    // Milliseconds.
    double run() const {
        const int64_t begun = time_on_core();
        if (form_ == ConvForm::bf16) {
            conv_bf16(job_, best_bf16(), 0, 1);
        } else {
            conv_f32(job_, best_simd(), 0, 1);
        }
        return (double) (time_on_core() - begun) / 1e6;
    }

  private:
    static constexpr const char * k_purpose = "measuring convolutions";

    static size_t nbytes(int64_t n) { return (size_t) n * sizeof(float); }

    ConvForm    form_;
    LargeMemory x_, weight_, bias_, y_;
    ConvJob     job_{};
};

// Turn by turn, so that what disturbs disturbs both. The first pass only touches the memory.
std::vector<double> measure() {
    constexpr std::array<ConvForm, 2> forms  = { ConvForm::f32, ConvForm::bf16 };
    std::vector<double>               totals = { 0, 0 };
    for (const Shape & shape : k_shapes) {
        std::array<Trial, 2>  trials = { Trial(forms[0], shape), Trial(forms[1], shape) };
        std::array<double, 2> best;
        best.fill(std::numeric_limits<double>::infinity());
        for (int pass = 0; pass <= k_passes; ++pass) {
            for (size_t i = 0; i < trials.size(); ++i) {
                const double taken = trials[i].run();
                best[i]            = pass == 0 ? best[i] : std::min(best[i], taken);
            }
        }
        totals[0] += best[0];
        totals[1] += best[1];
    }
    return totals;
}

ConvTimes find_times() {
    if (best_bf16() == Bf16::none) {
        return {};
    }
    try {
        const std::vector<double> times = noted(k_name, k_figures, measure);
        return { times[0], times[1] };
    } catch (const Error &) {
        return {};  // no memory to measure in: whoever loads a model finds out by himself
    }
}

}  // namespace

ConvForm faster_form(const ConvTimes & times) {
    return times.bf16 > 0 && times.bf16 < k_plainly * times.f32 ? ConvForm::bf16 : ConvForm::f32;
}

const ConvTimes & conv_times() {
    static const ConvTimes times = find_times();
    return times;
}

std::string conv_times_path() {
    return best_bf16() == Bf16::none || !is_noted(k_name, k_figures) ? "" : note_path(k_name);
}

}  // namespace omni
