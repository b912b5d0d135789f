#include "speech/speech_model.h"

#include <algorithm>
#include <cctype>

#include "error/error.h"

namespace omni {

namespace {

const std::string k_architecture   = "qwen3omni-speech";
const std::string k_keys           = k_architecture + ".";
constexpr int64_t k_format_version = 1;

std::shared_ptr<Weights> open_weights(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map) {
    const std::string arch = file->string("general.architecture");
    if (arch != k_architecture) {
        file->fail("has the architecture \"" + arch + "\"; a speech file is \"" + k_architecture + "\"");
    }
    file->integer(k_keys + "format_version", k_format_version, k_format_version);
    return std::make_shared<Weights>(std::move(file), device, map);
}

// A file that holds anything of the others has to hold all of it.
bool holds_code2wav_alone(const GgufFile & file) {
    const auto & tensors = file.tensors();
    return !tensors.empty() && std::all_of(tensors.begin(), tensors.end(), [](const GgufTensor & tensor) {
        return tensor.name.compare(0, 9, "code2wav.") == 0;
    });
}

}  // namespace

SpeechModel::SpeechModel(const std::string & path, const std::string & device, VocoderPrecision precision, bool map) :
    SpeechModel(std::make_shared<GgufFile>(path), device, precision, map) {}

SpeechModel::SpeechModel(std::shared_ptr<const GgufFile> file, const std::string & device, VocoderPrecision precision,
                         bool map, const LoadProgress & progress) :
    SpeechModel(std::move(file), find_device(device), precision, map) {
    weights_->load(progress);
}

bool SpeechModel::is_speech_file(const GgufFile & file) {
    const GgufValue * arch = file.find("general.architecture");
    return arch != nullptr && *arch == GgufValue(k_architecture);
}

void SpeechModel::check(std::shared_ptr<const GgufFile> file) {
    SpeechModel(std::move(file), find_device("CPU"), VocoderPrecision::automatic, false).weights_->check();
}

SpeechModel::SpeechModel(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, VocoderPrecision precision,
                         bool map) :
    weights_(open_weights(std::move(file), device, map)) {
    if (!holds_code2wav_alone(weights_->file())) {
        talker_      = std::make_shared<Talker>(weights_, k_keys + "talker.");
        predictor_   = std::make_shared<CodePredictor>(weights_, k_keys + "code_predictor.");
        text_tokens_ = read_text_tokens(weights_->file(), k_keys + "token.", talker_->geometry().text_vocab);
    }
    code2wav_ = std::make_shared<Code2Wav>(weights_, k_keys + "code2wav.", precision);
    if (speaks()) {
        check_parts_agree();
        (void) default_speaker();
    }
}

void SpeechModel::require_speech() const {
    if (!speaks()) {
        throw Error(ErrorKind::input,
                    file().path() + " holds code2wav alone, which turns codes into samples; to speak, load a file "
                                    "that has the talker, the code predictor and the text table as well");
    }
}

const std::shared_ptr<const Talker> & SpeechModel::talker() const {
    require_speech();
    return talker_;
}

const std::shared_ptr<const CodePredictor> & SpeechModel::predictor() const {
    require_speech();
    return predictor_;
}

const TextTokens & SpeechModel::text_tokens() const {
    require_speech();
    return text_tokens_;
}

std::string SpeechModel::default_speaker() const {
    const auto &      speakers = talker()->geometry().speakers;
    const std::string key      = k_keys + "talker.default_speaker";
    if (file().find(key) != nullptr) {
        const std::string told = file().string(key);
        if (speakers.count(told) == 0) {
            file().fail("names \"" + told + "\" in " + key + ", who is none of its speakers");
        }
        return told;
    }
    for (const auto & [name, id] : speakers) {
        std::string lower = name;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](unsigned char c) { return (char) std::tolower(c); });
        if (lower == "ethan") {
            return name;
        }
    }
    return speakers.empty() ? "" : speakers.begin()->first;
}

CodeTables SpeechModel::code_tables() const {
    CodeTables tables{ talker()->code_table() };
    for (const auto & table : predictor()->code_tables()) {
        tables.push_back(table);
    }
    return tables;
}

void SpeechModel::check_parts_agree() const {
    const GgufFile & f         = file();
    const auto &     talker    = talker_->geometry();
    const auto &     predictor = predictor_->geometry();
    const auto &     vocoder   = code2wav_->geometry();
    if (talker.decoder.hidden != predictor.decoder.hidden) {
        f.fail("has a talker of width " + std::to_string(talker.decoder.hidden) + " and a code predictor of width " +
               std::to_string(predictor.decoder.hidden) + "; they must be equal");
    }
    const auto & path     = f.origin("code2wav.").file.path();
    const auto   code2wav = path == f.path() ? std::string("its code2wav") : "the code2wav of " + path;
    if (predictor.n_groups != vocoder.n_groups) {
        f.fail("predicts " + std::to_string(predictor.n_groups) + " code groups, but " + code2wav + " reads " +
               std::to_string(vocoder.n_groups));
    }
    if (talker.vocab - talker.suppressed_tail > vocoder.codebook_size || predictor.vocab > vocoder.codebook_size) {
        f.fail("can speak codes up to " +
               std::to_string(std::max(talker.vocab - talker.suppressed_tail, predictor.vocab) - 1) + ", but " +
               code2wav + " has a codebook of " + std::to_string(vocoder.codebook_size));
    }
}

}  // namespace omni
