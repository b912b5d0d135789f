#include "models/log_mel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/finite.h"
#include "core/parallel.h"
#include "error/error.h"
#include "threads/cpu_share.h"

namespace omni {

namespace {

constexpr double  k_pi        = 3.14159265358979323846;
constexpr int64_t k_bins      = k_mel_window / 2 + 1;
constexpr int64_t k_points    = k_mel_window / 2;  // of the complex transform that a real one is made of
constexpr double  k_floor     = 1e-10;
constexpr double  k_range     = 8;  // powers of ten below the clip's maximum
constexpr int64_t k_most_mels = 512;

// Frames that are transformed side by side, so that every operation is one of vectors.
constexpr size_t  k_lanes       = 8;
constexpr int64_t k_job_frames  = 16 * (int64_t) k_lanes;
constexpr int     k_most_shares = 64;

using Lanes = std::array<double, k_lanes>;

struct Complex {
    Lanes re, im;
};

// --- the transform --------------------------------------------------------------------------------------------------

Complex plus(const Complex & a, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] + b.re[l];
        y.im[l] = a.im[l] + b.im[l];
    }
    return y;
}

Complex minus(const Complex & a, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] - b.re[l];
        y.im[l] = a.im[l] - b.im[l];
    }
    return y;
}

// a + c * b
Complex plus_scaled(const Complex & a, double c, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] + c * b.re[l];
        y.im[l] = a.im[l] + c * b.im[l];
    }
    return y;
}

// a - i * b
Complex minus_turned(const Complex & a, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] + b.im[l];
        y.im[l] = a.im[l] - b.re[l];
    }
    return y;
}

// a + i * b
Complex plus_turned(const Complex & a, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] - b.im[l];
        y.im[l] = a.im[l] + b.re[l];
    }
    return y;
}

Complex scaled(double c, const Complex & a, double d, const Complex & b) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = c * a.re[l] + d * b.re[l];
        y.im[l] = c * a.im[l] + d * b.im[l];
    }
    return y;
}

Complex turned(const Complex & a, double re, double im) {
    Complex y;
    for (size_t l = 0; l < k_lanes; ++l) {
        y.re[l] = a.re[l] * re - a.im[l] * im;
        y.im[l] = a.re[l] * im + a.im[l] * re;
    }
    return y;
}

void transform_of_2(Complex * a) {
    const Complex sum = plus(a[0], a[1]);
    a[1]              = minus(a[0], a[1]);
    a[0]              = sum;
}

void transform_of_4(Complex * a) {
    const Complex even = plus(a[0], a[2]);
    const Complex odd  = plus(a[1], a[3]);
    const Complex low  = minus(a[0], a[2]);
    const Complex high = minus(a[1], a[3]);
    a[0]               = plus(even, odd);
    a[2]               = minus(even, odd);
    a[1]               = minus_turned(low, high);
    a[3]               = plus_turned(low, high);
}

void transform_of_5(Complex * a) {
    static const double c1 = std::cos(2 * k_pi / 5), c2 = std::cos(4 * k_pi / 5);
    static const double s1 = std::sin(2 * k_pi / 5), s2 = std::sin(4 * k_pi / 5);
    const Complex       outer = plus(a[1], a[4]), outer_less = minus(a[1], a[4]);
    const Complex       inner = plus(a[2], a[3]), inner_less = minus(a[2], a[3]);
    const Complex       first  = plus_scaled(plus_scaled(a[0], c1, outer), c2, inner);
    const Complex       second = plus_scaled(plus_scaled(a[0], c2, outer), c1, inner);
    const Complex       turn1  = scaled(s1, outer_less, s2, inner_less);
    const Complex       turn2  = scaled(s2, outer_less, -s1, inner_less);
    a[0]                       = plus(a[0], plus(outer, inner));
    a[1]                       = minus_turned(first, turn1);
    a[4]                       = plus_turned(first, turn1);
    a[2]                       = minus_turned(second, turn2);
    a[3]                       = plus_turned(second, turn2);
}

// exp(-2 pi i k / n)
struct Roots {
    explicit Roots(int64_t n) {
        for (int64_t k = 0; k < n; ++k) {
            re.push_back(std::cos(2 * k_pi * (double) k / (double) n));
            im.push_back(-std::sin(2 * k_pi * (double) k / (double) n));
        }
    }

    std::vector<double> re, im;
};

using Points = std::array<Complex, (size_t) k_points>;

// One step of Stockham's transform: no reordering at the end. `done`: product of the earlier radices.
template <size_t radix, void transform(Complex *)>
void step(const Points & from, Points & to, size_t done, const Roots & roots) {
    const size_t left = (size_t) k_points / done / radix;
    const size_t pace = done;  // of the roots: of k_points / done points
    Complex      a[radix];
    for (size_t p = 0; p < left; ++p) {
        for (size_t q = 0; q < done; ++q) {
            for (size_t i = 0; i < radix; ++i) {
                a[i] = from[q + done * (p + i * left)];
            }
            transform(a);
            for (size_t k = 0; k < radix; ++k) {
                const size_t root              = p * k * pace;
                to[q + done * (radix * p + k)] = turned(a[k], roots.re[root], roots.im[root]);
            }
        }
    }
}

// The powers of a frame's bins, of k_lanes frames at once.
class PowerSpectrum {
  public:
    // x: windowed samples [k_mel_window].
    void compute(const std::array<Lanes, (size_t) k_mel_window> & x) {
        for (size_t i = 0; i < (size_t) k_points; ++i) {
            a_[i] = { x[2 * i], x[2 * i + 1] };
        }
        step<5, transform_of_5>(a_, b_, 1, half_);
        step<5, transform_of_5>(b_, a_, 5, half_);
        step<4, transform_of_4>(a_, b_, 25, half_);
        step<2, transform_of_2>(b_, a_, 100, half_);
        for (size_t k = 0; k < (size_t) k_bins; ++k) {
            unpack(k);
        }
    }

    const Lanes & power(size_t bin) const { return power_[bin]; }

  private:
    // Even and odd samples were one complex series; this parts them again.
    void unpack(size_t k) {
        const Complex & z  = a_[k % (size_t) k_points];
        const Complex & c  = a_[((size_t) k_points - k) % (size_t) k_points];
        const double    re = whole_.re[k], im = whole_.im[k];
        for (size_t l = 0; l < k_lanes; ++l) {
            const double even_re = 0.5 * (z.re[l] + c.re[l]), even_im = 0.5 * (z.im[l] - c.im[l]);
            const double odd_re = 0.5 * (z.im[l] + c.im[l]), odd_im = 0.5 * (c.re[l] - z.re[l]);
            const double bin_re = even_re + re * odd_re - im * odd_im;
            const double bin_im = even_im + re * odd_im + im * odd_re;
            power_[k][l]        = bin_re * bin_re + bin_im * bin_im;
        }
    }

    Roots                              half_{ k_points };
    Roots                              whole_{ k_mel_window };
    Points                             a_{}, b_{};
    std::array<Lanes, (size_t) k_bins> power_{};
};

// --- the filters ----------------------------------------------------------------------------------------------------

constexpr double k_linear_hz  = 1000;  // Slaney's scale is linear below, logarithmic above
constexpr double k_hz_a_mel   = 200.0 / 3;
constexpr double k_linear_mel = k_linear_hz / k_hz_a_mel;

double log_step() {
    return std::log(6.4) / 27;
}

double to_mel(double hz) {
    return hz < k_linear_hz ? hz / k_hz_a_mel : k_linear_mel + std::log(hz / k_linear_hz) / log_step();
}

double to_hz(double mel) {
    return mel < k_linear_mel ? mel * k_hz_a_mel : k_linear_hz * std::exp((mel - k_linear_mel) * log_step());
}

// A triangle over some bins.
struct MelFilter {
    size_t              first = 0;
    std::vector<double> weights;
};

std::vector<MelFilter> mel_filters(int64_t n_mels) {
    const double        top = (double) k_mel_sample_rate / 2;
    std::vector<double> edges;
    for (int64_t i = 0; i < n_mels + 2; ++i) {
        edges.push_back(to_hz(to_mel(top) * (double) i / (double) (n_mels + 1)));
    }
    std::vector<MelFilter> filters;
    for (size_t m = 0; m < (size_t) n_mels; ++m) {
        MelFilter    filter;
        const double area = 2 / (edges[m + 2] - edges[m]);
        for (int64_t bin = 0; bin < k_bins; ++bin) {
            const double hz     = top * (double) bin / (double) (k_bins - 1);
            const double rising = (hz - edges[m]) / (edges[m + 1] - edges[m]);
            const double fall   = (edges[m + 2] - hz) / (edges[m + 2] - edges[m + 1]);
            const double weight = std::max(0.0, std::min(rising, fall));
            if (weight > 0) {
                filter.first = filter.weights.empty() ? (size_t) bin : filter.first;
                filter.weights.push_back(weight * area);
            }
        }
        filters.push_back(filter);
    }
    return filters;
}

// --- frames ---------------------------------------------------------------------------------------------------------

std::array<double, (size_t) k_mel_window> hann_window() {
    std::array<double, (size_t) k_mel_window> window{};
    for (size_t i = 0; i < window.size(); ++i) {
        window[i] = 0.5 - 0.5 * std::cos(2 * k_pi * (double) i / (double) k_mel_window);
    }
    return window;
}

class FrameReader {
  public:
    explicit FrameReader(const std::vector<float> & samples) : samples_(samples) {}

    // Lane `lane` of x: the windowed samples of a frame.
    void read(int64_t frame, size_t lane, std::array<Lanes, (size_t) k_mel_window> & x) const {
        const auto    n     = (int64_t) samples_.size();
        const int64_t start = frame * k_mel_hop - k_mel_window / 2;
        for (int64_t i = 0; i < k_mel_window; ++i) {
            int64_t at          = std::abs(start + i);
            at                  = at < n ? at : 2 * (n - 1) - at;
            x[(size_t) i][lane] = window_[(size_t) i] * (double) samples_[(size_t) at];
        }
    }

  private:
    const std::vector<float> &                      samples_;
    const std::array<double, (size_t) k_mel_window> window_ = hann_window();
};

// Frames first to last, log10 of their mels into rows of `out` [mels, frames].
void compute_frames(const FrameReader & reader, const std::vector<MelFilter> & filters, int64_t first, int64_t last,
                    int64_t n_frames, std::vector<float> & out) {
    PowerSpectrum                            spectrum;
    std::array<Lanes, (size_t) k_mel_window> x{};
    for (int64_t frame = first; frame < last; frame += (int64_t) k_lanes) {
        const auto used = (size_t) std::min<int64_t>(k_lanes, last - frame);
        for (size_t lane = 0; lane < used; ++lane) {
            reader.read(frame + (int64_t) lane, lane, x);
        }
        spectrum.compute(x);
        for (size_t m = 0; m < filters.size(); ++m) {
            Lanes sum{};
            for (size_t i = 0; i < filters[m].weights.size(); ++i) {
                const Lanes & power = spectrum.power(filters[m].first + i);
                for (size_t lane = 0; lane < k_lanes; ++lane) {
                    sum[lane] += filters[m].weights[i] * power[lane];
                }
            }
            for (size_t lane = 0; lane < used; ++lane) {
                out[m * (size_t) n_frames + (size_t) frame + lane] = (float) std::log10(std::max(sum[lane], k_floor));
            }
        }
    }
}

void check_input(const std::vector<float> & samples, int64_t n_mels) {
    if (n_mels < 1 || n_mels > k_most_mels) {
        throw Error(ErrorKind::input, "the number of mels is " + std::to_string(n_mels) + "; it must be 1 to " +
                                          std::to_string(k_most_mels));
    }
    if ((int64_t) samples.size() < k_least_samples) {
        throw Error(ErrorKind::input, "the audio has " + std::to_string(samples.size()) +
                                          " samples at 16 kHz; there must be at least " +
                                          std::to_string(k_least_samples) + ", which is 12.6 ms");
    }
    if (!all_finite(samples.data(), samples.size())) {
        throw Error(ErrorKind::input, "the audio holds NaN or infinity");
    }
}

}  // namespace

std::vector<float> log_mel(const std::vector<float> & samples, int64_t n_mels, int n_threads) {
    check_input(samples, n_mels);
    const int64_t      n_frames = n_mel_frames((int64_t) samples.size());
    const auto         filters  = mel_filters(n_mels);
    const FrameReader  reader(samples);
    std::vector<float> out((size_t) (n_mels * n_frames));

    const int  threads = n_threads > 0 ? n_threads : usable_cpus();
    const auto n_jobs  = (size_t) ((n_frames + k_job_frames - 1) / k_job_frames);
    run_jobs(n_jobs, std::min(threads, k_most_shares), [&](size_t job) {
        const int64_t first = (int64_t) job * k_job_frames;
        compute_frames(reader, filters, first, std::min(first + k_job_frames, n_frames), n_frames, out);
    });
    if (out.empty()) {
        return out;
    }
    const float least = *std::max_element(out.begin(), out.end()) - (float) k_range;
    for (float & value : out) {
        value = (std::max(value, least) + 4.0f) / 4.0f;
    }
    return out;
}

}  // namespace omni
