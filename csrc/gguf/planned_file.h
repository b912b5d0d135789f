// GGUF files of a foreign layout, seen as one of ours: tensors and keys under our names, made by a plan.
//
// The plan is data and may be as wrong as the files are: what it asks for is checked against them before anything is
// read. Values are moved (experts stacked, axes swapped) or changed as they are read, one tensor at a time.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gguf/gguf_file.h"

namespace omni {

// What a stored value becomes; null: it stays.
using ValueChange = float (*)(float);

// Shapes are in ggml order.
struct PlannedTensor {
    // One of `slices` equal stretches of a stored tensor's values.
    struct Part {
        size_t      file;
        std::string tensor;
        int64_t     slice  = 0;
        int64_t     slices = 1;
    };

    std::string          name;
    std::vector<int64_t> ne;
    std::vector<Part>    parts;             // of tensors of one type and shape, one after another
    std::vector<int64_t> view;              // the stored values' axes before moving; empty: they stay
    std::vector<int>     axes;              // axis d of the result is axis axes[d] of the view
    ValueChange          change = nullptr;  // with it, or with a view, values become F32
};

class PlannedFile : public GgufFile {
  public:
    using Metadata = std::vector<std::pair<std::string, GgufValue>>;

    // `metadata` is added to that of the first file, in the place of equal keys. Throws Error(file) for a file that
    // can't be read and for a plan that it does not fulfil.
    PlannedFile(const std::vector<std::string> & paths, const Metadata & metadata, std::vector<PlannedTensor> plan);

    void read_tensor(const GgufTensor & tensor, size_t from, void * target, size_t size) const override;

    std::optional<Range> range_of(const GgufTensor & tensor) const override;

    Origin origin(const std::string & tensor) const override;

    // The file whose tensors' names begin with the middle of the key.
    const GgufFile & teller(const std::string & key) const override;

  private:
    struct Source {
        const GgufFile *   file;
        const GgufTensor * tensor;
        uint64_t           offset;  // in the file
        size_t             nbytes;
        int64_t            count;  // values
    };

    struct Recipe {
        PlannedTensor       plan;
        std::vector<Source> sources;
    };

    GgufTensor  planned(const PlannedTensor & plan, std::vector<Source> & sources) const;
    Source      source_of(const PlannedTensor & plan, const PlannedTensor::Part & part) const;
    Source      slice_of(const GgufFile & file, const GgufTensor & tensor, const PlannedTensor::Part & part) const;
    static void check_view(const PlannedTensor & plan, int64_t n, const GgufFile & file);
    void        read_parts(const Recipe & recipe, size_t from, char * target, size_t size) const;
    std::vector<char> changed_values(const GgufTensor & tensor, const Recipe & recipe) const;

    std::vector<std::unique_ptr<GgufFile>>  further_;
    std::vector<GgufTensor>                 own_;
    std::unordered_map<std::string, size_t> own_index_;
    std::unordered_map<std::string, Recipe> recipes_;
};

}  // namespace omni
