#include "gguf/planned_file.h"

#include <algorithm>
#include <cstring>

namespace omni {

namespace {

bool is_changed(const PlannedTensor & plan) {
    return !plan.view.empty() || plan.change != nullptr;
}

// Elements of a shape, 0 where it is none: GgufFile holds no tensor of more than 2^48.
int64_t count(const std::vector<int64_t> & ne) {
    int64_t n = 1;
    for (int64_t extent : ne) {
        if (extent < 1 || extent > (int64_t(1) << 48) / n) {
            return 0;
        }
        n *= extent;
    }
    return n;
}

int64_t count(const GgufTensor & tensor) {
    return count({ tensor.ne.begin(), tensor.ne.end() });
}

bool readable(ggml_type type) {
    return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float != nullptr;
}

// Values in the order of the result's axes.
std::vector<float> moved(const std::vector<float> & values, const PlannedTensor & plan) {
    const size_t        n_dims = plan.view.size();
    std::vector<size_t> strides(n_dims, 1);
    for (size_t d = 1; d < n_dims; ++d) {
        strides[d] = strides[d - 1] * (size_t) plan.view[d - 1];
    }
    std::vector<float> out(values.size());
    for (size_t i = 0; i < out.size(); ++i) {
        size_t rest = i;
        size_t from = 0;
        for (int axis : plan.axes) {
            const auto extent = (size_t) plan.view[(size_t) axis];
            from += rest % extent * strides[(size_t) axis];
            rest /= extent;
        }
        out[i] = values[from];
    }
    return out;
}

}  // namespace

PlannedFile::PlannedFile(const std::vector<std::string> & paths, const Metadata & metadata,
                         std::vector<PlannedTensor> plan) :
    GgufFile(paths.at(0)),
    own_(tensors()) {
    for (size_t i = 1; i < paths.size(); ++i) {
        further_.push_back(std::make_unique<GgufFile>(paths[i]));
    }
    for (size_t i = 0; i < own_.size(); ++i) {
        own_index_.emplace(own_[i].name, i);
    }
    std::vector<GgufTensor> tensors;
    for (auto & tensor : plan) {
        std::vector<Source> sources;
        tensors.push_back(planned(tensor, sources));
        const std::string name = tensor.name;
        recipes_.emplace(name, Recipe{ std::move(tensor), std::move(sources) });
    }
    replace_tensors(std::move(tensors));
    for (const auto & entry : metadata) {
        set_metadata(entry.first, entry.second);
    }
}

PlannedFile::Source PlannedFile::source_of(const PlannedTensor & plan, const PlannedTensor::Part & part) const {
    if (part.file > further_.size()) {
        fail("is asked for a file that is not there, for tensor " + plan.name);
    }
    if (part.file > 0) {
        const GgufFile *   file  = further_[part.file - 1].get();
        const GgufTensor * found = file->find_tensor(part.tensor);
        if (found == nullptr) {
            file->fail("lacks tensor " + part.tensor);
        }
        return slice_of(*file, *found, part);
    }
    const auto found = own_index_.find(part.tensor);
    if (found == own_index_.end()) {
        fail("lacks tensor " + part.tensor);
    }
    return slice_of(*this, own_[found->second], part);
}

PlannedFile::Source PlannedFile::slice_of(const GgufFile & file, const GgufTensor & tensor,
                                          const PlannedTensor::Part & part) const {
    const int64_t rows = count(tensor) / tensor.ne[0];
    if (part.slices < 1 || part.slice < 0 || part.slice >= part.slices || rows % part.slices != 0) {
        file.fail("has tensor " + tensor.name + " of " + std::to_string(rows) + " rows, which can't be cut into " +
                  std::to_string(part.slices) + " equal parts");
    }
    const size_t nbytes = tensor.nbytes / (size_t) part.slices;
    return { &file, &tensor, tensor.offset + nbytes * (uint64_t) part.slice, nbytes, count(tensor) / part.slices };
}

void PlannedFile::check_view(const PlannedTensor & plan, int64_t n, const GgufFile & file) {
    std::vector<int> sorted = plan.axes;
    std::sort(sorted.begin(), sorted.end());
    bool sound = count(plan.view) == n && plan.axes.size() == plan.view.size() && plan.ne.size() == plan.view.size();
    for (size_t d = 0; sound && d < sorted.size(); ++d) {
        sound = sorted[d] == (int) d;
    }
    for (size_t d = 0; sound && d < sorted.size(); ++d) {
        sound = plan.ne[d] == plan.view[(size_t) plan.axes[d]];
    }
    if (!sound) {
        file.fail("has tensor " + plan.parts[0].tensor + " in a shape that can't be laid out as " + plan.name);
    }
}

// The tensor as it will be seen; checks that the parts are there and add up to it.
GgufTensor PlannedFile::planned(const PlannedTensor & plan, std::vector<Source> & sources) const {
    int64_t stored = 0;
    size_t  nbytes = 0;
    for (const auto & part : plan.parts) {
        sources.push_back(source_of(plan, part));
        const GgufTensor & first = *sources[0].tensor;
        const GgufTensor & next  = *sources.back().tensor;
        if (next.type != first.type || next.ne != first.ne) {
            sources.back().file->fail("has tensors " + first.name + " and " + next.name +
                                      " of different types or shapes; they belong together");
        }
        stored += sources.back().count;
        nbytes += sources.back().nbytes;
    }
    const int64_t n = plan.ne.empty() || plan.ne.size() > 4 ? 0 : count(plan.ne);
    if (sources.empty() || n == 0 || stored != n) {
        const GgufFile & file = sources.empty() ? *this : *sources[0].file;
        file.fail("has " + std::to_string(stored) + " values for tensor " + plan.name + ", which needs " +
                  std::to_string(n));
    }
    GgufTensor seen{ plan.name, sources[0].tensor->type, (int) plan.ne.size(), { 1, 1, 1, 1 }, 0, nbytes };
    std::copy(plan.ne.begin(), plan.ne.end(), seen.ne.begin());
    if (is_changed(plan)) {
        if (!readable(seen.type)) {
            sources[0].file->fail("has tensor " + sources[0].tensor->name + " of type " + ggml_type_name(seen.type) +
                                  ", which can't hold weights");
        }
        if (!plan.view.empty()) {
            check_view(plan, n, *sources[0].file);
        }
        seen.type   = GGML_TYPE_F32;
        seen.nbytes = (size_t) n * sizeof(float);
    }
    return seen;
}

void PlannedFile::read_parts(const Recipe & recipe, size_t from, char * target, size_t size) const {
    for (const auto & source : recipe.sources) {
        const size_t part = source.nbytes;
        if (from < part && size > 0) {
            const size_t n = std::min(size, part - from);
            source.file->read(source.offset + from, target, n);
            target += n;
            size -= n;
            from += n;
        }
        from -= std::min(from, part);
    }
}

std::vector<char> PlannedFile::changed_values(const GgufTensor & tensor, const Recipe & recipe) const {
    const GgufTensor & stored = *recipe.sources[0].tensor;
    std::vector<char>  bytes(recipe.sources[0].nbytes * recipe.sources.size());
    read_parts(recipe, 0, bytes.data(), bytes.size());
    std::vector<float> values(tensor.nbytes / sizeof(float));
    if (stored.type == GGML_TYPE_F32) {
        std::memcpy(values.data(), bytes.data(), tensor.nbytes);
    } else {
        ggml_get_type_traits(stored.type)->to_float(bytes.data(), values.data(), (int64_t) values.size());
    }
    if (!recipe.plan.view.empty()) {
        values = moved(values, recipe.plan);
    }
    if (recipe.plan.change != nullptr) {
        std::transform(values.begin(), values.end(), values.begin(), recipe.plan.change);
    }
    std::vector<char> out(tensor.nbytes);
    std::memcpy(out.data(), values.data(), out.size());
    return out;
}

std::optional<GgufFile::Range> PlannedFile::range_of(const GgufTensor & tensor) const {
    const Recipe & recipe = recipes_.at(tensor.name);
    const Source & first  = recipe.sources[0];
    uint64_t       next   = first.offset;
    for (const auto & source : recipe.sources) {
        if (source.file != first.file || source.offset != next) {
            return std::nullopt;
        }
        next += source.nbytes;
    }
    return is_changed(recipe.plan) ? std::nullopt : std::make_optional(Range{ first.file, first.offset });
}

GgufFile::Origin PlannedFile::origin(const std::string & tensor) const {
    auto found = recipes_.find(tensor);
    for (auto next = recipes_.begin(); found == recipes_.end() && next != recipes_.end(); ++next) {
        if (next->first.compare(0, tensor.size(), tensor) == 0) {
            return { *next->second.sources[0].file, tensor };
        }
    }
    if (found == recipes_.end()) {
        return { *this, tensor };
    }
    // Experts that lie one by one are together under our name alone.
    const auto & sources = found->second.sources;
    const bool   one     = std::all_of(sources.begin(), sources.end(),
                                       [&](const Source & source) { return source.tensor == sources[0].tensor; });
    return { *sources[0].file, one ? sources[0].tensor->name : tensor };
}

const GgufFile & PlannedFile::teller(const std::string & key) const {
    const size_t begin = key.find('.');
    const size_t end   = begin == std::string::npos ? begin : key.find('.', begin + 1);
    return end == std::string::npos ? *this : origin(key.substr(begin + 1, end - begin)).file;
}

void PlannedFile::read_tensor(const GgufTensor & tensor, size_t from, void * target, size_t size) const {
    const Recipe & recipe = recipes_.at(tensor.name);
    if (is_changed(recipe.plan)) {
        std::memcpy(target, changed_values(tensor, recipe).data() + from, size);
    } else {
        read_parts(recipe, from, static_cast<char *>(target), size);
    }
}

}  // namespace omni
