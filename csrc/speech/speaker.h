// Who speaks: a speaker of the model, or a vector that stands for one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/talker.h"

namespace omni {

// What stands for the speaker in the prompt, in the place of a codec embedding: that of one speaker, a mixture of
// several, or a vector of the talker's width.
struct Speaker {
    std::vector<int32_t> ids;      // of the codec vocabulary
    std::vector<double>  weights;  // of a mixture, one each; their sum is 1
    std::vector<float>   vector;   // [hidden], in the place of ids

    static Speaker of_id(int32_t id) { return { { id }, { 1.0 }, {} }; }
};

// The codec id of a speaker, in any case. Throws Error(input) with the names there are.
int32_t find_speaker(const TalkerGeometry & geometry, const std::string & name);

// A name, or a mixture "ethan:0.7,chelsie:0.3": the mean of the speakers' embeddings by these weights, an interpolation
// between voices that were trained which no training made. Throws Error(input) for what is neither.
Speaker speaker_named(const TalkerGeometry & geometry, const std::string & name);

// Throws Error(input) unless it has the talker's width and is finite.
Speaker speaker_of_vector(const TalkerGeometry & geometry, std::vector<float> vector);

// The row of a speaker that is no single id, [hidden].
std::vector<float> embedding_of(TalkerSession & talker, const Speaker & speaker);

}  // namespace omni
