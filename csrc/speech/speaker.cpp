#include "speech/speaker.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <locale>
#include <sstream>

#include "core/finite.h"
#include "error/error.h"
#include "error/quote.h"

namespace omni {

namespace {

struct Part {
    std::string name;
    double      weight;
};

std::string trimmed(const std::string & text) {
    const auto first = text.find_first_not_of(' ');
    const auto last  = text.find_last_not_of(' ');
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

Part part_of(const std::string & text, const std::string & whole) {
    const auto         colon  = text.rfind(':');
    const auto         name   = trimmed(text.substr(0, colon));
    const auto         digits = colon == std::string::npos ? "" : trimmed(text.substr(colon + 1));
    double             weight = 0;
    std::istringstream reading(digits);
    reading.imbue(std::locale::classic());  // a point in every country
    reading >> weight;
    if (name.empty() || reading.fail() || !reading.eof() || !std::isfinite(weight) || weight <= 0) {
        throw Error(ErrorKind::input, "the speaker \"" + shortened(whole) +
                                          "\" is no mixture; one is written as \"ethan:0.7,chelsie:0.3\", with weights "
                                          "above 0");
    }
    return { name, weight };
}

std::vector<Part> parts_of(const std::string & mixture) {
    std::vector<Part> parts;
    size_t            begin = 0;
    while (begin <= mixture.size()) {
        const size_t end = std::min(mixture.find(',', begin), mixture.size());
        parts.push_back(part_of(mixture.substr(begin, end - begin), mixture));
        begin = end + 1;
    }
    return parts;
}

}  // namespace

int32_t find_speaker(const TalkerGeometry & geometry, const std::string & name) {
    const auto lower = [](std::string text) {
        std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return (char) std::tolower(c); });
        return text;
    };
    std::string known;
    for (const auto & speaker : geometry.speakers) {
        if (lower(speaker.first) == lower(name)) {
            return speaker.second;
        }
        known += (known.empty() ? "" : ", ") + speaker.first;
    }
    throw Error(ErrorKind::input, "there is no speaker \"" + shortened(name) + "\"; this model has: " + known);
}

Speaker speaker_named(const TalkerGeometry & geometry, const std::string & name) {
    if (name.find(':') == std::string::npos || geometry.speakers.count(name) > 0) {
        return Speaker::of_id(find_speaker(geometry, name));
    }
    Speaker speaker;
    double  largest = 0;
    for (const Part & part : parts_of(name)) {
        speaker.ids.push_back(find_speaker(geometry, part.name));
        speaker.weights.push_back(part.weight);
        largest = std::max(largest, part.weight);
    }
    double total = 0;
    for (double & weight : speaker.weights) {
        weight /= largest;  // so that no sum of them overflows
        total += weight;
    }
    for (double & weight : speaker.weights) {
        weight /= total;
    }
    return speaker;
}

Speaker speaker_of_vector(const TalkerGeometry & geometry, std::vector<float> vector) {
    if ((int64_t) vector.size() != geometry.decoder.hidden || !all_finite(vector.data(), vector.size())) {
        throw Error(ErrorKind::input, "a speaker is a name or a vector of " + std::to_string(geometry.decoder.hidden) +
                                          " finite numbers; this one has " + std::to_string(vector.size()));
    }
    return { {}, {}, std::move(vector) };
}

std::vector<float> embedding_of(TalkerSession & talker, const Speaker & speaker) {
    if (!speaker.vector.empty()) {
        return speaker.vector;
    }
    const auto          width = (size_t) talker.talker().geometry().decoder.hidden;
    const auto          rows  = talker.embed_codec(speaker.ids);
    std::vector<double> sum(width, 0.0);
    for (size_t i = 0; i < speaker.ids.size(); ++i) {
        for (size_t j = 0; j < width; ++j) {
            sum[j] += speaker.weights[i] * (double) rows[i * width + j];
        }
    }
    std::vector<float> out(width);
    std::transform(sum.begin(), sum.end(), out.begin(), [](double value) { return (float) value; });
    return out;
}

}  // namespace omni
