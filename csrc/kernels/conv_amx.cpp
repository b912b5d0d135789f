// The bf16 convolution with AMX: 32 rows x 32 outputs in four tiles, sums in f32.
#include "kernels/conv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define OMNI_AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl")))

namespace omni {

namespace {

constexpr int64_t k_tile = 16;

// The palette that all products here use: eight tiles of 16 rows x 64 bytes.
struct alignas(64) TileConfig {
    uint8_t  palette = 1;
    uint8_t  start   = 0;
    uint8_t  unused[14]{};
    uint16_t row_bytes[16]{};
    uint8_t  rows[16]{};
};

OMNI_AMX void configure_tiles() {
    TileConfig config;
    for (int i = 0; i < 8; ++i) {
        config.row_bytes[i] = 64;
        config.rows[i]      = k_tile;
    }
    _tile_loadconfig(&config);
}

// One tile of sums to its rows of y, with bias and residual.
OMNI_AMX void store(const ConvJob & job, const float * sums, int64_t row, int64_t row_end, int64_t panel) {
    const int64_t     first              = panel * k_conv_panel;
    const int64_t     width              = std::min(k_conv_panel, job.out - first);
    const auto        mask               = (__mmask16) ((1u << width) - 1);
    alignas(64) float bias[k_conv_panel] = {};
    for (int64_t lane = 0; job.bias != nullptr && lane < width; ++lane) {
        bias[lane] = job.bias[(first + lane) % job.bias_period];
    }
    const __m512 add = _mm512_load_ps(bias);
    for (int64_t r = 0; r < std::min(k_tile, row_end - row); ++r) {
        const int64_t at  = (row + r) * job.y_row + first;
        __m512        sum = _mm512_add_ps(_mm512_load_ps(sums + r * k_tile), add);
        if (job.residual != nullptr) {
            sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, job.residual + at));
        }
        _mm512_mask_storeu_ps(job.y + at, mask, sum);
    }
}

struct Operands {
    const uint16_t * x;          // row 0 of the block
    int64_t          x_stride;   // bytes
    const uint16_t * w0;         // panel
    const uint16_t * w1;         // the next
    int64_t          tiles_tap;  // tiles of 32 channels a tap
};

// Both panels, 32 rows.
OMNI_AMX void block_2x2(const ConvJob & job, const Operands & o) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    int64_t tile = 0;
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const uint16_t * x = o.x + tap * job.x_tap;
        for (int64_t b = 0; b < o.tiles_tap; ++b, ++tile) {
            _tile_loadd(4, x + b * k_bf16_block, o.x_stride);
            _tile_loadd(6, o.w0 + tile * k_bf16_block * k_tile, 64);
            _tile_loadd(5, x + k_tile * job.x_row + b * k_bf16_block, o.x_stride);
            _tile_loadd(7, o.w1 + tile * k_bf16_block * k_tile, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

// One panel, 16 rows.
OMNI_AMX void block_1x1(const ConvJob & job, const Operands & o) {
    _tile_zero(0);
    int64_t tile = 0;
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const uint16_t * x = o.x + tap * job.x_tap;
        for (int64_t b = 0; b < o.tiles_tap; ++b, ++tile) {
            _tile_loadd(4, x + b * k_bf16_block, o.x_stride);
            _tile_loadd(6, o.w0 + tile * k_bf16_block * k_tile, 64);
            _tile_dpbf16ps(0, 4, 6);
        }
    }
}

OMNI_AMX void run_block(const ConvJob & job, int64_t panel, int64_t panels, int64_t row, int64_t row_end) {
    alignas(64) float sums[k_tile * k_tile];
    const auto *      x     = static_cast<const uint16_t *>(job.x);
    const auto *      w     = static_cast<const uint16_t *>(job.weight);
    const int64_t     depth = job.taps * job.in * k_conv_panel;
    const Operands    o{ x + row * job.x_row, job.x_row * 2, w + panel * depth, w + (panel + panels - 1) * depth,
                         job.in / k_bf16_block };
    if (panels == 2 && row + k_tile < row_end) {
        block_2x2(job, o);
        _tile_stored(0, sums, 64);
        store(job, sums, row, row_end, panel);
        _tile_stored(1, sums, 64);
        store(job, sums, row, row_end, panel + 1);
        _tile_stored(2, sums, 64);
        store(job, sums, row + k_tile, row_end, panel);
        _tile_stored(3, sums, 64);
        store(job, sums, row + k_tile, row_end, panel + 1);
        return;
    }
    for (int64_t p = panel; p < panel + panels; ++p) {
        for (int64_t r = row; r < row_end; r += k_tile) {
            const Operands one{ x + r * job.x_row, o.x_stride, w + p * depth, nullptr, o.tiles_tap };
            block_1x1(job, one);
            _tile_stored(0, sums, 64);
            store(job, sums, r, row_end, p);
        }
    }
}

}  // namespace

OMNI_AMX void conv_bf16_amx(const ConvJob & job, const ConvBlock & block) {
    configure_tiles();
    for (int64_t panel = block.panel_begin; panel < block.panel_end; panel += 2) {
        const int64_t panels = std::min<int64_t>(2, block.panel_end - panel);
        for (int64_t row = block.row_begin; row < block.row_end; row += 2 * k_tile) {
            run_block(job, panel, panels, row, std::min(block.row_end, row + 2 * k_tile));
        }
    }
    _tile_release();
}

}  // namespace omni

#endif
