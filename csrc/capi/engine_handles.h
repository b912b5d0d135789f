// What the handles of an engine and of its speeches hold.
#pragma once

#include <memory>
#include <optional>

#include "capi/handles.h"
#include "speech/engine.h"
#include "text/token_stream.h"

struct omni_engine {
    std::shared_ptr<const omni::LoadedModel> loaded;
    std::unique_ptr<omni::SpeechEngine>      engine;
};

struct omni_speech {
    std::shared_ptr<const omni::LoadedModel> loaded;
    std::shared_ptr<omni::EngineSpeech>      speech;
    std::optional<omni::TokenStream>         text;  // once text was fed: not every file has a tokenizer
    bool                                     finished = false;
    omni::SpeechPiece                        piece;  // the one that was read last
};
