#include "kernels/block_product.h"

namespace omni {

namespace {

// A quantized column: its values; for every block -128 times their sum, its scale, and -scale times the sum; for every
// half of a block -32 times its sum. The instruction multiplies unsigned by signed, so signed weights enter as w + 128
// (or 32, or 8), and what that adds to a product is where the sum of products begins.
struct ColumnPlaces {
    int64_t whole, scales, less, halves, end;
};

constexpr ColumnPlaces places_of(int64_t n) {
    const int64_t blocks = n / k_q8_block, each = blocks * (int64_t) sizeof(float);
    return { n, n + each, n + 2 * each, n + 3 * each, n + 5 * each };
}

}  // namespace

int64_t block_column_bytes(int64_t n) {
    return places_of(n).end;
}

}  // namespace omni

#if defined(__x86_64__)

#include <algorithm>
#include <type_traits>

#include "kernels/block_panel.h"
#include "kernels/cpu_features.h"

namespace omni {

namespace {

// --- columns --------------------------------------------------------------------------------------------------------

OMNI_VNNI inline float largest(__m256 a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m        = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

OMNI_VNNI inline float sum_of(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s        = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

OMNI_VNNI inline int32_t sum_of(__m128i a) {
    const __m128i two = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

template <class T> void store(char * to, int64_t i, T value) {
    std::memcpy(to + i * (int64_t) sizeof value, &value, sizeof value);
}

template <class T> T load(const char * from, int64_t i) {
    T value;
    std::memcpy(&value, from + i * (int64_t) sizeof value, sizeof value);
    return value;
}

// Block b of a column.
OMNI_VNNI void quantize_block(const float * x, char * column, const ColumnPlaces & at, int64_t b) {
    char *        values  = column + b * k_q8_block;
    constexpr int n_parts = 4;
    const __m256  sign    = _mm256_set1_ps(-0.0f);
    const __m256  zero    = _mm256_setzero_ps();
    __m256        part[n_parts];
    __m256        top_of = zero;
    // Zero, or NaN where a value is NaN or infinite: the maximum may pass over it.
    __m256 poison = zero;
    for (int i = 0; i < n_parts; ++i) {
        part[i] = _mm256_loadu_ps(x + 8 * i);
        top_of  = _mm256_max_ps(top_of, _mm256_andnot_ps(sign, part[i]));
        poison  = _mm256_fmadd_ps(part[i], zero, poison);
    }
    const float  top = largest(top_of);
    const float  d   = top / 127.0f + sum_of(poison);
    const __m256 by  = _mm256_set1_ps(top > 0 ? 127.0f / top : 0.0f);
    for (int i = 0; i < n_parts; ++i) {
        const __m256i whole = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], by));
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
        const __m128i q     = _mm_packs_epi16(words, words);
        _mm_storel_epi64(reinterpret_cast<__m128i *>(values + 8 * i), q);
    }
    const __m256i q      = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(values));
    const __m256i sums   = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q);
    const int32_t first  = sum_of(_mm256_castsi256_si128(sums));
    const int32_t second = sum_of(_mm256_extracti128_si256(sums, 1));
    store(column + at.whole, b, -128 * (first + second));
    store(column + at.halves, 2 * b, -32 * first);
    store(column + at.halves, 2 * b + 1, -32 * second);
    store(column + at.scales, b, d);
    store(column + at.less, b, -d * (float) (first + second));
}

// --- sums of a block ------------------------------------------------------------------------------------------------

// A column as a format wants it, from one of its blocks on.
template <class Format> class ColumnBlocks {
  public:
    ColumnBlocks() = default;

    ColumnBlocks(const char * column, int64_t n, int64_t block) :
        values_(column + block * k_q8_block),
        begin_(column + (halved ? places_of(n).halves + 2 * block * four : places_of(n).whole + block * four)),
        scales_(column + places_of(n).scales + block * four),
        less_(column + places_of(n).less + block * four) {}

    OMNI_VNNI __m512i four_values(int64_t i) const { return _mm512_set1_epi32(load<int32_t>(values_, i)); }

    // Where sum i of products begins: of a block, or of half a block.
    OMNI_VNNI __m512i beginning(int64_t i) const {
        if constexpr (Format::zero == 0) {
            return _mm512_setzero_si512();
        } else {
            return _mm512_set1_epi32(load<int32_t>(begin_, i) / ((halved ? 32 : 128) / Format::zero));
        }
    }

    OMNI_VNNI __m512 scale(int64_t b) const { return _mm512_set1_ps(load<float>(scales_, b)); }

    OMNI_VNNI __m512 less(int64_t b) const { return _mm512_set1_ps(load<float>(less_, b)); }

  private:
    static constexpr bool    halved = Format::scale_values == 16;
    static constexpr int64_t four   = 4;

    const char *values_ = nullptr, *begin_ = nullptr, *scales_ = nullptr, *less_ = nullptr;
};

// 16 rows of a few columns.
template <class Format, int COLUMNS> struct Sums {
    ColumnBlocks<Format> columns[COLUMNS];
    __m512               of[COLUMNS];

    OMNI_VNNI Sums(const char * const * from, int64_t n, int64_t block) {
        for (int c = 0; c < COLUMNS; ++c) {
            columns[c] = { from[c], n, block };
            of[c]      = _mm512_setzero_ps();
        }
    }

    // Adds what block b makes of every column: one sum of products, exact, for each scale.
    OMNI_VNNI_PART void add(const PanelBlock & block, int64_t b) {
        constexpr int parts = (int) k_q8_block / Format::scale_values, fours = k_fours / parts;
        for (int part = 0; part < parts; ++part) {
            __m512i whole[COLUMNS];
            for (int c = 0; c < COLUMNS; ++c) {
                whole[c] = columns[c].beginning(b * parts + part);
            }
            for (int i = part * fours; i < (part + 1) * fours; ++i) {
                for (int c = 0; c < COLUMNS; ++c) {
                    const __m512i x = columns[c].four_values(b * k_fours + i);
                    whole[c]        = _mm512_dpbusd_epi32(whole[c], block.values[i], x);
                }
            }
            for (int c = 0; c < COLUMNS; ++c) {
                const __m512 scale = _mm512_mul_ps(block.scales[part], columns[c].scale(b));
                of[c]              = _mm512_fmadd_ps(floats_of(whole[c]), scale, of[c]);
            }
        }
        if constexpr (Format::zero == 0) {
            for (int c = 0; c < COLUMNS; ++c) {
                of[c] = _mm512_fmadd_ps(block.least, columns[c].less(b), of[c]);
            }
        }
    }
};

static_assert(k_panel_block == k_q8_block && k_panel_rows == k_block_rows, "a panel's blocks are the column's");

// --- tiles ----------------------------------------------------------------------------------------------------------

// Weights that are read soon are fetched into the second cache, in the order in which they lie there: the hardware
// follows one stream, not 16 rows. A few lines at a time, since a core waits where many are on their way.
class Fetched {
  public:
    // `tile` bytes are read in another order than they lie in, so it is behind these that it is fetched.
    Fetched(const char * begin, const char * end, int64_t tile) : next_(begin), end_(end), ahead_(tile + k_ahead) {
        fetch(begin + k_at_once);
    }

    // `step` bytes from `at` on are multiplied now.
    OMNI_VNNI void follow(const char * at, int64_t step) { fetch(std::min(at + ahead_, next_ + 2 * step)); }

  private:
    static constexpr int64_t k_line = 64, k_at_once = 8192, k_ahead = 4096;

    void fetch(const char * to) {
        for (to = std::min(to, end_); next_ < to; next_ += k_line) {
            _mm_prefetch(next_, _MM_HINT_T1);
        }
    }

    const char * next_;
    const char * end_;
    int64_t      ahead_;
};

// What a panel is made of: from `at` on, so many bytes a block of the panel.
struct Reading {
    Fetched &    fetched;
    const char * at;
    int64_t      step;
};

// Columns that are multiplied in registers.
constexpr int k_few = 4;

// Columns that pass over a panel at once. Their sums have to stay in the first cache beside it.
constexpr int k_columns = 64;

// Weights in blocks of a format, and the columns.
template <class Format> class Tiles {
  public:
    Tiles(const BlockProduct & job, const char * const * columns, float * const * y, int count) :
        job_(job),
        columns_(columns),
        y_(y),
        count_(count),
        blocks_(job.in / Format::block_values),
        row_bytes_(blocks_ * Format::block_bytes) {}

    OMNI_VNNI void multiply(int64_t row) {
        Fetched fetched(weight(row), weight(job_.row_end), k_panel_rows * row_bytes_);
        for (; row < job_.row_end; row += k_panel_rows) {
            if (count_ <= k_few && row + k_panel_rows <= job_.row_end) {
                multiply_few(row, fetched);
                continue;
            }
            for (int first = 0; first < count_; first += k_columns) {
                multiply_many(row, first, std::min(k_columns, count_ - first), fetched);
            }
        }
    }

  private:
    const char * weight(int64_t row) const { return job_.weight + row * row_bytes_; }

    // A few columns: from block to block, so that memory is read evenly.
    OMNI_VNNI void multiply_few(int64_t row, Fetched & fetched) {
        switch (count_) {
            case 4: few<4>(row, fetched); break;
            case 3: few<3>(row, fetched); break;
            case 2: few<2>(row, fetched); break;
            default: few<1>(row, fetched); break;
        }
    }

    template <int COLUMNS> OMNI_VNNI void few(int64_t row, Fetched & fetched) {
        constexpr int         of_32 = Format::block_values / k_q8_block, of_part = of_32 / Format::parts;
        constexpr int64_t     step = k_panel_rows * Format::block_bytes / Format::parts;
        Rows                  rows{ weight(row), row_bytes_ };
        const char *          at = rows.at;
        Sums<Format, COLUMNS> sums(columns_, job_.in, 0);
        for (int64_t b = 0; b < blocks_; ++b, rows.at += Format::block_bytes) {
            PanelBlock panel[of_32];
            const auto shared = Format::unpack_shared(panel, rows);
            for (int part = 0; part < Format::parts; ++part, at += step) {
                fetched.follow(at, step);
                Format::unpack(panel, shared, rows, part);
                for (int i = part * of_part; i < (part + 1) * of_part; ++i) {
                    sums.add(panel[i], b * of_32 + i);
                }
            }
        }
        for (int c = 0; c < COLUMNS; ++c) {
            _mm512_storeu_ps(y_[c] + row, sums.of[c]);
        }
    }

    // Up to 16 rows from `row` on, and `count` columns from `first` on.
    OMNI_VNNI void multiply_many(int64_t row, int first, int count, Fetched & fetched) {
        constexpr int64_t at_once = k_panel_values / Format::block_values;
        const auto        rows    = (int) std::min<int64_t>(k_panel_rows, job_.row_end - row);
        const char *      at      = weight(row);
        __m512            sums[k_columns];
        PanelBlock        panel[k_panel_blocks];
        std::fill(sums, sums + count, _mm512_setzero_ps());
        for (int64_t b = 0; b < blocks_; b += at_once) {
            const int64_t there = std::min(at_once, blocks_ - b);
            unpack(panel, row, rows, b, there);
            const int64_t of_32 = Format::block_values / k_q8_block;
            const Reading reading{ fetched, at, k_panel_rows * Format::block_bytes / of_32 };
            add_panel(sums, panel, first, count, b * of_32, (int) (there * of_32), reading);
            at += k_panel_rows * there * Format::block_bytes;
        }
        for (int c = 0; c < count; ++c) {
            _mm512_mask_storeu_ps(y_[first + c] + row, (__mmask16) ((1u << rows) - 1), sums[c]);
        }
    }

    // `n` blocks from block b on into a panel. Rows that aren't there are copies of the last one.
    OMNI_VNNI void unpack(PanelBlock * panel, int64_t row, int rows, int64_t b, int64_t n) const {
        constexpr int64_t most  = k_panel_values / Format::block_values * Format::block_bytes;
        const int64_t     bytes = n * Format::block_bytes;
        Rows              from{ weight(row) + b * Format::block_bytes, row_bytes_ };
        char              copies[k_panel_rows * most];
        if (rows < k_panel_rows) {
            for (int r = 0; r < k_panel_rows; ++r) {
                std::memcpy(copies + r * bytes, from.row(std::min(r, rows - 1)), (size_t) bytes);
            }
            from = { copies, bytes };
        }
        for (int64_t i = 0; i < n; ++i) {
            const Rows rows_of = from.from(i * Format::block_bytes);
            const auto shared  = Format::unpack_shared(panel + i, rows_of);
            for (int part = 0; part < Format::parts; ++part) {
                Format::unpack(panel + i, shared, rows_of, part);
            }
        }
    }

    OMNI_VNNI void add_panel(__m512 * sums, const PanelBlock * panel, int first, int count, int64_t block, int n,
                             const Reading & reading) const {
        int c = 0;
        for (; c + k_few <= count; c += k_few) {
            add_panel<k_few>(sums + c, panel, first + c, block, n, reading);
        }
        switch (count - c) {
            case 3: add_panel<3>(sums + c, panel, first + c, block, n, reading); break;
            case 2: add_panel<2>(sums + c, panel, first + c, block, n, reading); break;
            case 1: add_panel<1>(sums + c, panel, first + c, block, n, reading); break;
            default: break;
        }
    }

    template <int COLUMNS> OMNI_VNNI void add_panel(__m512 * sums, const PanelBlock * panel, int first, int64_t block,
                                                    int n, const Reading & reading) const {
        Sums<Format, COLUMNS> mine(columns_ + first, job_.in, block);
        std::copy(sums, sums + COLUMNS, mine.of);
        for (int b = 0; b < n; ++b) {
            reading.fetched.follow(reading.at + b * reading.step, reading.step);
            mine.add(panel[b], b);
        }
        std::copy(mine.of, mine.of + COLUMNS, sums);
    }

    const BlockProduct & job_;
    const char * const * columns_;
    float * const *      y_;
    const int            count_;
    const int64_t        blocks_, row_bytes_;
};

// --- one column -----------------------------------------------------------------------------------------------------
//
// Q8_0 is computed faster than it is read, and one stream of memory is read faster than 16: the rows pass one after the
// other and leave the sums of their blocks, in integers, and their scales. What becomes of these is as in a tile.

constexpr int64_t k_kept_blocks = 128;
constexpr int64_t k_eight       = 8;

bool can_stream(int64_t n) {
    return n % (k_eight * k_q8_block) == 0 && n / k_q8_block <= k_kept_blocks;
}

// Of 16 rows, one behind the other.
struct Kept {
    alignas(64) int32_t sums[k_panel_rows * k_kept_blocks];
    alignas(64) short scales[k_panel_rows * k_kept_blocks];
};

// Two blocks times 64 values: 16 sums of four products, the first block's before the second's.
OMNI_VNNI_PART __m512i products_of_pair(const Rows & blocks, int pair, const char * x) {
    const auto *  first  = reinterpret_cast<const __m256i *>(blocks.row(2 * pair) + 2);
    const auto *  second = reinterpret_cast<const __m256i *>(blocks.row(2 * pair + 1) + 2);
    const __m512i lower  = _mm512_castsi256_si512(_mm256_loadu_si256(first));
    const __m512i both   = _mm512_maskz_inserti64x4(0xFF, lower, _mm256_loadu_si256(second), 1);
    const __m512i w      = _mm512_xor_si512(both, _mm512_set1_epi8((char) 0x80));
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, _mm512_loadu_si512(x + 2 * pair * k_q8_block));
}

// a and b: of every four sums the first with the third and the second with the fourth, a's and b's in turn.
OMNI_VNNI_PART __m512i added(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(k_all, a, b), _mm512_maskz_unpackhi_epi32(k_all, a, b));
}

// Sums of products of eight blocks of one row.
OMNI_VNNI_PART void keep_sums(int32_t * to, const Rows & blocks, const char * x) {
    const __m512i ab = added(products_of_pair(blocks, 0, x), products_of_pair(blocks, 1, x));
    const __m512i cd = added(products_of_pair(blocks, 2, x), products_of_pair(blocks, 3, x));
    const __m512i all =
        _mm512_add_epi32(_mm512_maskz_unpacklo_epi64(0xFF, ab, cd), _mm512_maskz_unpackhi_epi64(0xFF, ab, cd));
    const __m256i first  = _mm512_maskz_extracti64x4_epi64(0xFF, all, 0),
                  second = _mm512_maskz_extracti64x4_epi64(0xFF, all, 1);
    const __m128i even   = _mm_add_epi32(_mm256_castsi256_si128(first), _mm256_extracti128_si256(first, 1));
    const __m128i odd    = _mm_add_epi32(_mm256_castsi256_si128(second), _mm256_extracti128_si256(second, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm_unpacklo_epi32(even, odd));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + 4), _mm_unpackhi_epi32(even, odd));
}

OMNI_VNNI_PART void keep_row(Kept & kept, int64_t to, const char * row, const char * x, int64_t blocks) {
    for (int64_t b = 0; b < blocks; b += k_eight) {
        const Rows at{ row + b * k_q8_block_bytes, k_q8_block_bytes };
        const auto scale = [&](int i) { return half_of(at.row(i)); };
        _mm_storeu_si128(
            reinterpret_cast<__m128i *>(kept.scales + to + b),
            _mm_setr_epi16(scale(0), scale(1), scale(2), scale(3), scale(4), scale(5), scale(6), scale(7)));
        keep_sums(kept.sums + to + b, at, x + b * k_q8_block);
    }
}

// Adds what eight blocks from b on make of the column.
OMNI_VNNI_PART __m512 add_kept(__m512 sum, const Kept & kept, const ColumnBlocks<Q8_0> & column, int64_t b,
                               int64_t blocks) {
    const Rows  sums{ reinterpret_cast<const char *>(kept.sums + b), blocks * (int64_t) sizeof kept.sums[0] };
    const Rows  halves{ reinterpret_cast<const char *>(kept.scales + b), blocks * (int64_t) sizeof kept.scales[0] };
    const Fours scales  = transposed(halves);
    const Fours whole[] = { transposed(sums), transposed(sums.from(16)) };
    for (int i = 0; i < k_eight; ++i) {
        const __m512i two   = scales.of[i / 2];
        const __m512  d     = lower_halves(i % 2 == 0 ? two : shifted_down(two, 16));
        const __m512i exact = _mm512_add_epi32(whole[i / 4].of[i % 4], column.beginning(b + i));
        sum                 = _mm512_fmadd_ps(floats_of(exact), _mm512_mul_ps(d, column.scale(b + i)), sum);
    }
    return sum;
}

// As many rows as there are 16 of. Returns where it ends.
OMNI_VNNI int64_t stream_rows(const BlockProduct & job, const char * column, float * y) {
    constexpr int64_t        lines  = 8;  // of the next rows, while nothing else is read
    const int64_t            blocks = job.in / k_q8_block, row_bytes = blocks * k_q8_block_bytes;
    const ColumnBlocks<Q8_0> from(column, job.in, 0);
    int64_t                  row = job.row_begin;
    for (; row + k_panel_rows <= job.row_end; row += k_panel_rows) {
        Kept         kept;
        const char * at = job.weight + row * row_bytes;
        for (int r = 0; r < k_panel_rows; ++r, at += row_bytes) {
            keep_row(kept, r * blocks, at, column, blocks);
        }
        __m512 sum = _mm512_setzero_ps();
        for (int64_t b = 0; b < blocks; b += k_eight) {
            for (int64_t i = 0; i < lines; ++i) {
                _mm_prefetch(at + (b / k_eight * lines + i) * 64, _MM_HINT_T1);
            }
            sum = add_kept(sum, kept, from, b, blocks);
        }
        _mm512_storeu_ps(y + row, sum);
    }
    return row;
}

template <class Format>
OMNI_VNNI void multiply_as(const BlockProduct & job, const char * const * columns, float * const * y, int count) {
    int64_t row = job.row_begin;
    if (std::is_same_v<Format, Q8_0> && count == 1 && can_stream(job.in)) {
        row = stream_rows(job, columns[0], y[0]);
    }
    Tiles<Format>(job, columns, y, count).multiply(row);
}

}  // namespace

bool has_block_product() {
    return has_vnni();
}

void quantize_column(const float * x, int64_t n, char * column) {
    const auto places = places_of(n);
    for (int64_t b = 0; b < n / k_q8_block; ++b) {
        quantize_block(x + b * k_q8_block, column, places, b);
    }
}

void multiply(const BlockProduct & job, const char * const * columns, float * const * y, int count) {
    switch (job.format) {
        case BlockFormat::q8_0: multiply_as<Q8_0>(job, columns, y, count); break;
        case BlockFormat::q4_0: multiply_as<Q4_0>(job, columns, y, count); break;
        case BlockFormat::iq4_nl: multiply_as<Iq4Nl>(job, columns, y, count); break;
        case BlockFormat::q4_k: multiply_as<Q4K>(job, columns, y, count); break;
        case BlockFormat::q5_k: multiply_as<Q5K>(job, columns, y, count); break;
        case BlockFormat::q6_k: multiply_as<Q6K>(job, columns, y, count); break;
        case BlockFormat::iq4_xs: multiply_as<Iq4Xs>(job, columns, y, count); break;
    }
}

}  // namespace omni

#else

namespace omni {

bool has_block_product() {
    return false;
}

void quantize_column(const float * /*x*/, int64_t /*n*/, char * /*column*/) {}

void multiply(const BlockProduct & /*job*/, const char * const * /*columns*/, float * const * /*y*/, int /*count*/) {}

}  // namespace omni

#endif
