// llama.cpp writes an answer and omniggml speaks it while it is written:
//
//     llama-cpp-voice THINKER.gguf SPEECH.gguf OUT.wav "what is the capital of france"
//
// Every token that libllama samples is fed to a speech of omniggml's engine at once. Both compute on one ggml: the
// program links a single copy, which CMakeLists.txt sees to.

#include <llama.h>
#include <omniggml.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

template <auto Free> struct Deleter {
    template <typename T> void operator()(T * handle) const { Free(handle); }
};

using Llama        = std::unique_ptr<llama_model, Deleter<llama_model_free>>;
using LlamaContext = std::unique_ptr<llama_context, Deleter<llama_free>>;
using LlamaSampler = std::unique_ptr<llama_sampler, Deleter<llama_sampler_free>>;
using Model        = std::unique_ptr<omni_model, Deleter<omni_model_free>>;
using Engine       = std::unique_ptr<omni_engine, Deleter<omni_engine_free>>;
using Speech       = std::unique_ptr<omni_speech, Deleter<omni_speech_free>>;
using Clock        = std::chrono::steady_clock;

void check(omni_status status) {
    if (status < 0) {
        throw std::runtime_error(omni_last_error());
    }
}

std::vector<llama_token> tokens_of(const llama_vocab * vocab, const std::string & text) {
    std::vector<llama_token> tokens(text.size() + 8);
    const int32_t n = llama_tokenize(vocab, text.data(), (int32_t) text.size(), tokens.data(), (int32_t) tokens.size(),
                                     /* add_special */ false, /* parse_special */ true);
    if (n < 0) {
        throw std::runtime_error("the question can't be tokenized");
    }
    tokens.resize((size_t) n);
    return tokens;
}

std::string text_of(const llama_vocab * vocab, llama_token token) {
    char          piece[256];
    const int32_t n = llama_token_to_piece(vocab, token, piece, sizeof(piece), 0, false);
    return std::string(piece, n > 0 ? (size_t) n : 0);
}

// 16-bit samples of one channel.
void write_wav(const std::string & path, const std::vector<float> & samples, uint32_t rate) {
    std::ofstream file(path, std::ios::binary);
    const auto    number = [&](uint32_t value, int bytes) {
        for (int i = 0; i < bytes; ++i) {
            file.put((char) (value >> (8 * i)));
        }
    };
    const auto nbytes = (uint32_t) (2 * samples.size());
    file << "RIFF";
    number(36 + nbytes, 4);
    file << "WAVEfmt ";
    number(16, 4);
    number(1, 2);
    number(1, 2);
    number(rate, 4);
    number(2 * rate, 4);
    number(2, 2);
    number(16, 2);
    file << "data";
    number(nbytes, 4);
    for (const float sample : samples) {
        number((uint32_t) (int32_t) (sample * 32767.0f + (sample < 0 ? -0.5f : 0.5f)), 2);
    }
    if (!file.flush()) {
        throw std::runtime_error(path + " can't be written");
    }
}

// Collects what is spoken, in a thread of its own, as a sound card would.
class Listener {
  public:
    explicit Listener(omni_speech * speech) : speech_(speech), thread_([this] { listen(); }) {}

    ~Listener() {
        if (thread_.joinable()) {  // something failed: nothing more will be said
            omni_speech_cancel(speech_);
            thread_.join();
        }
    }

    // Waits for the end of the speech.
    const std::vector<float> & samples() {
        thread_.join();
        if (!error_.empty()) {
            throw std::runtime_error(error_);
        }
        return samples_;
    }

    bool hears_something() const { return heard_; }

  private:
    void listen() {
        const auto take = [](const omni_piece * piece, void * self) {
            auto * own = static_cast<Listener *>(self);
            own->samples_.insert(own->samples_.end(), piece->samples, piece->samples + piece->n_samples);
            own->heard_ = own->heard_ || piece->n_samples > 0;
            return true;
        };
        if (omni_speech_read_all(speech_, take, this) != OMNI_OK) {
            error_ = omni_last_error();
        }
    }

    omni_speech *      speech_;
    std::vector<float> samples_;
    std::string        error_;
    std::atomic<bool>  heard_{ false };
    std::thread        thread_;
};

// The answer, token by token, to whoever wants it; true where something was heard before the last.
bool write_answer(llama_context * context, const llama_vocab * vocab, std::vector<llama_token> prompt,
                  omni_speech * speech, const Listener & listener) {
    const LlamaSampler sampler(llama_sampler_init_greedy());
    llama_batch        batch = llama_batch_get_one(prompt.data(), (int32_t) prompt.size());
    bool               early = false;
    llama_token        token = 0;
    for (auto left = (int32_t) (llama_n_ctx(context) - prompt.size()); left > 0; --left) {
        if (llama_decode(context, batch) != 0) {
            throw std::runtime_error("llama_decode failed");
        }
        token = llama_sampler_sample(sampler.get(), context, -1);
        if (llama_vocab_is_eog(vocab, token)) {
            break;
        }
        check(omni_speech_feed_tokens(speech, &token, 1));
        std::fputs(text_of(vocab, token).c_str(), stdout);
        std::fflush(stdout);
        early = listener.hears_something();
        batch = llama_batch_get_one(&token, 1);
    }
    std::puts("");
    check(omni_speech_finish(speech));
    return early;
}

int run(const std::string & thinker_path, const std::string & speech_path, const std::string & wav,
        const std::string & question) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    const Llama llama(llama_model_load_from_file(thinker_path.c_str(), llama_model_default_params()));
    if (llama == nullptr) {
        throw std::runtime_error(thinker_path + " can't be loaded");
    }
    const LlamaContext  context(llama_init_from_model(llama.get(), llama_context_default_params()));
    const llama_vocab * vocab = llama_model_get_vocab(llama.get());

    omni_model * loaded = nullptr;
    check(omni_model_load(speech_path.c_str(), nullptr, &loaded));
    const Model   model(loaded);
    omni_engine * made = nullptr;
    check(omni_engine_new(model.get(), nullptr, &made));
    const Engine engine(made);

    const auto prompt = tokens_of(vocab, "<|im_start|>user\n" + question + "<|im_end|>\n<|im_start|>assistant\n");
    omni_speech_params params = omni_speech_default_params(model.get());
    params.conversation       = prompt.data();
    params.n_conversation     = prompt.size();
    omni_speech * begun       = nullptr;
    check(omni_speech_begin(engine.get(), &params, &begun));
    const Speech speech(begun);
    Listener     listener(speech.get());

    const bool early = write_answer(context.get(), vocab, prompt, speech.get(), listener);
    write_wav(wav, listener.samples(), (uint32_t) omni_model_sample_rate(model.get()));
    omni_timings timings{};
    timings.abi_version = OMNI_ABI_VERSION;
    check(omni_speech_timings(speech.get(), &timings));
    std::fprintf(stderr, "%d frames, first sound after %.3f s%s; ggml %s for both\n", timings.n_frames, timings.first,
                 early ? ", before the answer was written" : "", omni_ggml_version());
    return 0;
}

}  // namespace

int main(int n, char ** arguments) {
    if (n != 5) {
        std::fprintf(stderr, "usage: %s THINKER.gguf SPEECH.gguf OUT.wav QUESTION\n", arguments[0]);
        return 2;
    }
    try {
        return run(arguments[1], arguments[2], arguments[3], arguments[4]);
    } catch (const std::exception & error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
