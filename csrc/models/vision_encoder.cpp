#include "models/vision_encoder.h"

#include <algorithm>
#include <cmath>

#include "core/finite.h"
#include "error/error.h"
#include "models/encoder_file.h"
#include "models/llama_names.h"

namespace omni {

namespace {

const std::string k_visual = "thinker.visual.";
const std::string k_keys   = "clip.vision.";

constexpr float   k_rope_theta   = 10000.0f;
constexpr int64_t k_longest_side = 1 << 12;  // of a grid, in patches

// --- hyperparameters ------------------------------------------------------------------------------------------------

void check(const GgufFile & file, const VisionEncoderGeometry & g) {
    if (g.hidden % g.n_heads != 0 || g.head_dim() % 4 != 0) {
        file.fail("has a vision encoder of width " + std::to_string(g.hidden) + " with " + std::to_string(g.n_heads) +
                  " attention heads; each must have a multiple of 4 values");
    }
    if (g.side * g.side != file.find_tensor(llama_encoder_name(k_visual + "pos_embed.weight"))->ne[1]) {
        file.fail("has a vision encoder whose table of positions is no square");
    }
}

std::string deepstack_path(int block) {
    return k_visual + "merger_list." + std::to_string(block);
}

VisionEncoderGeometry read_geometry(const GgufFile & file) {
    require_projector(file, "vision", "qwen3vl_merger");
    VisionEncoderGeometry g;
    g.n_layers                = (int) file.integer(k_keys + "block_count", 1, 1024);
    g.hidden                  = file.integer(k_keys + "embedding_length", 4, 1 << 16);
    g.n_heads                 = file.integer(k_keys + "attention.head_count", 1, 1 << 12);
    g.ffn_width               = file.integer(k_keys + "feed_forward_length", 1, 1 << 20);
    g.patch                   = file.integer(k_keys + "patch_size", 1, 256);
    g.merge                   = file.integer_or(k_keys + "spatial_merge_size", 1, 16, 2);
    g.output_width            = file.integer(k_keys + "projection_dim", 1, 1 << 20);
    g.norm_eps                = (float) file.real(k_keys + "attention.layer_norm_epsilon", 0, 1);
    const int64_t n_positions = encoder_extent(file, "vision", k_visual + "pos_embed.weight", 1, 1 << 20);
    g.side                    = (int64_t) std::lround(std::sqrt((double) n_positions));
    for (int i = 0; i < g.n_layers; ++i) {
        if (file.find_tensor(llama_encoder_name(deepstack_path(i) + ".ln_q.weight")) != nullptr) {
            g.deepstack.push_back(i);
        }
    }
    check(file, g);
    return g;
}

}  // namespace

// --- tensors --------------------------------------------------------------------------------------------------------

VisionEncoder::VisionEncoder(std::shared_ptr<Weights> weights, bool plain) :
    weights_(std::move(weights)),
    geometry_(read_geometry(weights_->file())),
    form_(encoder_form(weights_->device(), plain)) {
    const VisionEncoderGeometry & g = geometry_;
    patch_kernels_                  = { declare_half_kernel(""), declare_half_kernel(".1") };
    patch_bias_ = weights_->f32(llama_encoder_name(k_visual + "patch_embed.proj.bias"), { g.hidden });
    positions_  = weights_->f32(llama_encoder_name(k_visual + "pos_embed.weight"), { g.hidden, g.side * g.side });
    for (int i = 0; i < g.n_layers; ++i) {
        blocks_.push_back(declare_block(i));
    }
    merger_ = declare_merger(k_visual + "merger", g.hidden);
    for (const int i : g.deepstack) {
        deepstack_.push_back(declare_merger(deepstack_path(i), g.hidden * g.merge * g.merge));
    }
}

VisionEncoder::Affine VisionEncoder::declare_linear(const std::string & path, int64_t in, int64_t out) const {
    return { weights_->matrix(llama_encoder_name(path + ".weight"), { in, out }),
             weights_->f32(llama_encoder_name(path + ".bias"), { out }) };
}

VisionEncoder::Affine VisionEncoder::declare_norm(const std::string & path, int64_t width) const {
    return { weights_->f32(llama_encoder_name(path + ".weight"), { width }),
             weights_->f32(llama_encoder_name(path + ".bias"), { width }) };
}

VisionEncoder::Block VisionEncoder::declare_block(int index) const {
    const VisionEncoderGeometry & g    = geometry_;
    const std::string             path = k_visual + "blocks." + std::to_string(index) + ".";
    Block                         block;
    block.norm1 = declare_norm(path + "norm1", g.hidden);
    block.qkv   = declare_linear(path + "attn.qkv", g.hidden, 3 * g.hidden);
    block.proj  = declare_linear(path + "attn.proj", g.hidden, g.hidden);
    block.norm2 = declare_norm(path + "norm2", g.hidden);
    block.fc1   = declare_linear(path + "mlp.linear_fc1", g.hidden, g.ffn_width);
    block.fc2   = declare_linear(path + "mlp.linear_fc2", g.ffn_width, g.hidden);
    return block;
}

VisionEncoder::Merger VisionEncoder::declare_merger(const std::string & path, int64_t normed) const {
    const int64_t joined = geometry_.hidden * geometry_.merge * geometry_.merge;
    return { declare_norm(path + ".ln_q", normed), declare_linear(path + ".mlp.0", joined, joined),
             declare_linear(path + ".mlp.2", joined, geometry_.output_width) };
}

// Stored [hidden, channel, y, x], a frame of a patch each.
ggml_tensor * VisionEncoder::declare_half_kernel(const std::string & ending) const {
    const VisionEncoderGeometry & g = geometry_;
    return weights_->rearranged(llama_encoder_name(k_visual + "patch_embed.proj.weight") + ending,
                                { g.patch, g.patch, 3, g.hidden }, GGML_TYPE_F32, { g.half_patch(), g.hidden },
                                [](int64_t i) { return i; });
}

// --- graph ----------------------------------------------------------------------------------------------------------

// The whole encoder for a pair of frames.
struct VisionEncoderSession::Tower {
    Tower(const Backends & backends, Probe * probe, int64_t n_rows, int64_t n_columns) :
        graph(backends, probe),
        rows(n_rows),
        columns(n_columns) {}

    int64_t n_patches() const { return rows * columns; }

    AttentionNodes               attentions;  // what the graph's nodes read
    Graph                        graph;
    int64_t                      rows, columns;
    std::array<ggml_tensor *, 2> halves{};          // [half a patch, patches] each
    ggml_tensor *                places = nullptr;  // I32 [4 * patches]
    std::vector<ggml_tensor *>   deepstack;
    ggml_tensor *                output = nullptr;  // [output width, tokens]
};

VisionEncoderSession::VisionEncoderSession(std::shared_ptr<const VisionEncoder> encoder, int n_threads,
                                           std::shared_ptr<Probe> probe) :
    encoder_(std::move(encoder)),
    probe_(std::move(probe)),
    backends_(encoder_->weights().device(), n_threads) {}

VisionEncoderSession::~VisionEncoderSession() = default;

bool VisionEncoderSession::plain() const {
    return encoder_->form_ == ConvForm::plain;
}

// Of first(x); something but none only where the form is not plain.
ggml_tensor * VisionEncoderSession::linear(Graph & graph, const std::string & path,
                                           const VisionEncoder::Affine & weights, ggml_tensor * x,
                                           Activation first) const {
    if (plain()) {
        x = ggml_add(graph.context(), graph.product(weights.weight, x), weights.bias);
    } else {
        x = graph.linear(linear_form(encoder_->form_, weights.weight), weights.weight, x, weights.bias, first);
    }
    return graph.module(path, x, Axes::time_channel);
}

ggml_tensor * VisionEncoderSession::norm(Graph & graph, const std::string & path, const VisionEncoder::Affine & weights,
                                         ggml_tensor * x) const {
    ggml_context * c = graph.context();
    x                = ggml_norm(c, x, encoder_->geometry().norm_eps);
    x                = ggml_add(c, ggml_mul(c, x, weights.weight), weights.bias);
    return graph.module(path, x, Axes::time_channel);
}

namespace {

// Where a patch lies in its image.
struct Place {
    int64_t row, column;
};

// Block after block, by rows.
std::vector<Place> places_of(int64_t rows, int64_t columns, int64_t merge) {
    std::vector<Place> places;
    places.reserve((size_t) (rows * columns));
    for (int64_t row = 0; row < rows; row += merge) {
        for (int64_t column = 0; column < columns; column += merge) {
            for (int64_t i = 0; i < merge * merge; ++i) {
                places.push_back({ row + i / merge, column + i % merge });
            }
        }
    }
    return places;
}

// Two neighbours of a table's axis, and their shares.
struct Taps {
    std::array<int64_t, 2> at;
    std::array<float, 2>   share;
};

// The ends of the axis lie on the ends of the table. In float32, as the reference computes it.
Taps taps_of(int64_t index, int64_t size, int64_t side) {
    const float   source = (float) index * (float) (side - 1) / (float) std::max<int64_t>(1, size - 1);
    const float   below  = std::floor(source);
    const int64_t first  = std::min((int64_t) below, side - 1);
    const float   behind = source - below;
    return { { first, std::min(first + 1, side - 1) }, { 1.0f - behind, 1.0f - std::fabs(behind - 1.0f) } };
}

// x * sigmoid(1.5957691 * (x + 0.044715 x^3)), which is GELU with a tanh. ggml's own is a table in F16. The plain twin
// of Activation::gelu_tanh.
ggml_tensor * gelu_tanh(ggml_context * c, ggml_tensor * x) {
    const float   slope  = 2.0f * std::sqrt(2.0f / 3.14159265358979f);
    ggml_tensor * factor = ggml_scale_bias(c, ggml_sqr(c, x), slope * 0.044715f, slope);
    return ggml_div(c, ggml_silu(c, ggml_mul(c, x, factor)), factor);
}

}  // namespace

// linear(activation(x)), where `named` is activation(x).
ggml_tensor * VisionEncoderSession::behind(Graph & graph, Activation activation, const std::string & named,
                                           const std::string & path, const VisionEncoder::Affine & weights,
                                           ggml_tensor * x) const {
    if (!plain() && !probe_) {
        return linear(graph, path, weights, x, activation);
    }
    ggml_context * c = graph.context();
    if (!plain()) {
        x = activation_node(c, x, activation);
    } else {
        x = activation == Activation::gelu ? ggml_gelu_erf(c, x) : gelu_tanh(c, x);
    }
    return linear(graph, path, weights, graph.module(named, x, Axes::time_channel));
}

// Patches and where they are: the learned table, resampled to the image's grid. Returns [hidden, patches].
ggml_tensor * VisionEncoderSession::embedded(Tower & tower) const {
    const VisionEncoderGeometry & g      = encoder_->geometry();
    Graph &                       graph  = tower.graph;
    const auto                    places = places_of(tower.rows, tower.columns, g.merge);
    ggml_tensor *                 x      = nullptr;
    for (size_t half = 0; half < 2; ++half) {
        tower.halves[half]   = graph.input(GGML_TYPE_F32, { g.half_patch(), tower.n_patches() });
        ggml_tensor * frames = graph.product(encoder_->patch_kernels_[half], tower.halves[half]);
        x                    = x == nullptr ? frames : ggml_add(graph.context(), x, frames);
    }
    x = graph.module(k_visual + "patch_embed", ggml_add(graph.context(), x, encoder_->patch_bias_), Axes::time_channel);
    ggml_tensor * sum = nullptr;
    for (size_t tap = 0; tap < 4; ++tap) {
        std::vector<int32_t> at;
        std::vector<float>   shares;
        for (const Place & place : places) {
            const Taps down  = taps_of(place.row, tower.rows, g.side),
                       along = taps_of(place.column, tower.columns, g.side);
            at.push_back((int32_t) (down.at[tap / 2] * g.side + along.at[tap % 2]));
            shares.push_back(down.share[tap / 2] * along.share[tap % 2]);
        }
        ggml_context * c    = graph.context();
        ggml_tensor *  rows = ggml_get_rows(c, encoder_->positions_, graph.constant(at));
        rows                = ggml_mul(c, rows, ggml_reshape_2d(c, graph.constant(shares), 1, tower.n_patches()));
        sum                 = sum == nullptr ? rows : ggml_add(c, sum, rows);
    }
    // A quarter of a head's values turns with the row, another with the column; ggml wants four positions.
    std::vector<int32_t> turned;
    for (int axis = 0; axis < 4; ++axis) {
        for (const Place & place : places) {
            turned.push_back((int32_t) (axis % 2 == 0 ? place.row : place.column));
        }
    }
    tower.places = graph.constant(turned);
    return ggml_add(graph.context(), x, sum);
}

// x: [hidden, patches], returns the same. All patches of a pair of frames see each other.
ggml_tensor * VisionEncoderSession::attention(Tower & tower, const std::string & path,
                                              const VisionEncoder::Block & block, ggml_tensor * x) const {
    const VisionEncoderGeometry & g   = encoder_->geometry();
    ggml_tensor *                 qkv = linear(tower.graph, path + ".qkv", block.qkv, x);
    ggml_context *                c   = tower.graph.context();
    const int64_t                 d   = g.head_dim();

    const auto part = [&](int64_t index) {
        return ggml_view_3d(c, qkv, d, g.n_heads, tower.n_patches(), (size_t) d * qkv->nb[0], qkv->nb[1],
                            (size_t) (index * g.hidden) * qkv->nb[0]);
    };
    const auto rotated = [&](ggml_tensor * heads) {
        const int quarter     = (int) d / 4;
        int       sections[4] = { quarter, quarter, quarter, quarter };
        return ggml_rope_multi(c, heads, tower.places, nullptr, (int) d / 2, sections, GGML_ROPE_TYPE_VISION, 0,
                               k_rope_theta, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
    };
    const ConvForm form = plain() ? ConvForm::plain : linear_form(encoder_->form_, block.qkv.weight);
    ggml_tensor *  out  = mixed(tower, form, rotated(part(0)), rotated(part(1)), part(2));
    return linear(tower.graph, path + ".proj", block.proj, out);
}

// q, k, v [a head's values, heads, patches] -> [hidden, patches]: what each patch takes from all of them.
ggml_tensor * VisionEncoderSession::mixed(Tower & tower, ConvForm form, ggml_tensor * q, ggml_tensor * k,
                                          ggml_tensor * v) const {
    const VisionEncoderGeometry & g = encoder_->geometry();
    ggml_context *                c = tower.graph.context();
    const int64_t                 n = tower.n_patches();
    if (!plain()) {
        return tower.attentions.attention(c, form, ggml_reshape_2d(c, q, g.hidden, n),
                                          ggml_reshape_2d(c, k, g.hidden, n), ggml_cont_2d(c, v, g.hidden, n),
                                          g.n_heads, n);
    }
    // Scores of every patch with every other would not fit in memory; each sum's order depends on no thread here, since
    // there is more than one query.
    ggml_tensor * heads = ggml_flash_attn_ext(c, ggml_permute(c, q, 0, 2, 1, 3), ggml_permute(c, k, 0, 2, 1, 3),
                                              ggml_permute(c, v, 0, 2, 1, 3), nullptr,
                                              1.0f / std::sqrt((float) g.head_dim()), 0.0f, 0.0f);
    return ggml_reshape_2d(c, heads, g.hidden, n);
}

ggml_tensor * VisionEncoderSession::block(Tower & tower, int index, ggml_tensor * x) const {
    const VisionEncoder::Block & weights = encoder_->blocks_[(size_t) index];
    const std::string            path    = k_visual + "blocks." + std::to_string(index);
    Graph &                      graph   = tower.graph;

    ggml_tensor * mixed = attention(tower, path + ".attn", weights, norm(graph, path + ".norm1", weights.norm1, x));
    x                   = ggml_add(graph.context(), x, graph.module(path + ".attn", mixed, Axes::time_channel));

    mixed = linear(graph, path + ".mlp.linear_fc1", weights.fc1, norm(graph, path + ".norm2", weights.norm2, x));
    mixed = behind(graph, Activation::gelu_tanh, path + ".mlp.act_fn", path + ".mlp.linear_fc2", weights.fc2, mixed);
    x     = ggml_add(graph.context(), x, graph.module(path + ".mlp", mixed, Axes::time_channel));
    return graph.module(path, x, Axes::time_channel);
}

// A row for each block of patches: [hidden, patches] -> [output width, tokens]. `joined_first`: whether a block is
// normed as a whole.
ggml_tensor * VisionEncoderSession::merged(Tower & tower, const std::string & path,
                                           const VisionEncoder::Merger & merger, ggml_tensor * x,
                                           bool joined_first) const {
    const VisionEncoderGeometry & g      = encoder_->geometry();
    Graph &                       graph  = tower.graph;
    const int64_t                 four   = g.merge * g.merge;
    const auto                    joined = [&](ggml_tensor * patches) {
        return ggml_reshape_2d(graph.context(), patches, g.hidden * four, tower.n_patches() / four);
    };
    x = joined_first ? norm(graph, path + ".ln_q", merger.norm, joined(x))
                     : joined(norm(graph, path + ".ln_q", merger.norm, x));
    x = linear(graph, path + ".mlp.0", merger.first, x);
    x = behind(graph, Activation::gelu, path + ".mlp.1", path + ".mlp.2", merger.second, x);
    return graph.output(graph.module(path, x, Axes::time_channel));
}

VisionEncoderSession::Tower & VisionEncoderSession::tower_for(int64_t rows, int64_t columns) {
    if (tower_ && tower_->rows == rows && tower_->columns == columns) {
        return *tower_;
    }
    tower_.reset();  // its memory, before there is more
    auto                          tower = std::make_unique<Tower>(backends_, probe_.get(), rows, columns);
    const VisionEncoderGeometry & g     = encoder_->geometry();
    ggml_tensor *                 x     = embedded(*tower);
    for (int i = 0; i < g.n_layers; ++i) {
        x             = block(*tower, i, x);
        const auto at = std::find(g.deepstack.begin(), g.deepstack.end(), i);
        if (at != g.deepstack.end()) {
            // The reference counts these; files name the block.
            const auto        number = (size_t) (at - g.deepstack.begin());
            const std::string path   = k_visual + "merger_list." + std::to_string(number);
            tower->deepstack.push_back(merged(*tower, path, encoder_->deepstack_[number], x, true));
        }
    }
    tower->output = merged(*tower, k_visual + "merger", encoder_->merger_, x, false);
    tower->graph.finish();
    tower_ = std::move(tower);
    return *tower_;
}

// --- an image or a video --------------------------------------------------------------------------------------------

void VisionEncoderSession::check(const std::vector<float> & patches, const PatchGrid & grid) const {
    const VisionEncoderGeometry & g = encoder_->geometry();
    const auto fits = [&](int64_t side) { return side >= g.merge && side <= k_longest_side && side % g.merge == 0; };
    if (grid.pairs < 1 || grid.pairs > 1 << 20 || !fits(grid.rows) || !fits(grid.columns)) {
        throw Error(ErrorKind::input,
                    "a grid of patches is [pairs of frames, rows, columns], rows and columns multiples of " +
                        std::to_string(g.merge) + " up to " + std::to_string(k_longest_side));
    }
    const int64_t n = grid.pairs * grid.area();
    if ((int64_t) patches.size() != n * g.patch_width()) {
        throw Error(ErrorKind::input, "a grid of " + std::to_string(grid.pairs) + " x " + std::to_string(grid.rows) +
                                          " x " + std::to_string(grid.columns) + " needs patches [" +
                                          std::to_string(n) + ", " + std::to_string(g.patch_width()) + "]");
    }
    if (!all_finite(patches.data(), patches.size())) {
        throw Error(ErrorKind::input, "patches hold NaN or infinity");
    }
}

// One pair of frames, behind what `out` has.
void VisionEncoderSession::run(Tower & tower, const float * patches, VisionOutput & out) const {
    // A patch is [channel, frame, y, x], and a kernel is of one frame.
    const int64_t area = encoder_->geometry().patch * encoder_->geometry().patch;
    for (int64_t half = 0; half < 2; ++half) {
        std::vector<float> frame;
        frame.reserve((size_t) (tower.n_patches() * 3 * area));
        for (int64_t part = half; part < tower.n_patches() * 6; part += 2) {
            frame.insert(frame.end(), patches + part * area, patches + (part + 1) * area);
        }
        tower.graph.set(tower.halves[(size_t) half], frame.data(), frame.size() * sizeof(float));
    }
    tower.graph.compute();
    const auto add = [&](std::vector<float> & to, ggml_tensor * output) {
        const auto values = tower.graph.read(output);
        to.insert(to.end(), values.begin(), values.end());
    };
    add(out.rows, tower.output);
    for (size_t i = 0; i < tower.deepstack.size(); ++i) {
        add(out.deepstack[i], tower.deepstack[i]);
    }
}

VisionOutput VisionEncoderSession::encode(const std::vector<float> & patches, const PatchGrid & grid,
                                          const std::function<bool()> & cancelled) {
    check(patches, grid);
    Tower &       tower = tower_for(grid.rows, grid.columns);
    const int64_t step  = grid.area() * encoder_->geometry().patch_width();
    VisionOutput  out;
    out.deepstack.resize(encoder_->geometry().deepstack.size());
    for (int64_t pair = 0; pair < grid.pairs && !(cancelled && cancelled()); ++pair) {
        run(tower, patches.data() + pair * step, out);
    }
    encoder_->weights().check_intact();
    bool finite = all_finite(out.rows.data(), out.rows.size());
    for (const auto & level : out.deepstack) {
        finite = finite && all_finite(level.data(), level.size());
    }
    if (!finite) {
        throw Error(ErrorKind::numeric, "the vision encoder's output is NaN or infinite; the weights of " +
                                            encoder_->weights().file().path() + " are damaged or overflow");
    }
    return out;
}

}  // namespace omni
