#include <pybind11/stl.h>

#include <atomic>
#include <thread>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "speech/engine.h"

namespace py = pybind11;

namespace omni {

namespace {

using Seconds = std::chrono::duration<double>;

constexpr double k_signals_looked_for = 0.05;  // seconds between two looks

const char * stop_name(StopReason stop) {
    switch (stop) {
        case StopReason::none: return "";
        case StopReason::eos: return "eos";
        case StopReason::frame_limit: return "frame_limit";
        case StopReason::context_full: return "context_full";
        case StopReason::cancelled: return "cancelled";
        case StopReason::failed: return "failed";
    }
    return "";
}

// Ends without Python's lock: the engine's threads are waited for.
class BoundEngine {
  public:
    BoundEngine(std::shared_ptr<SpeechModel> model, const EngineParams & params) :
        model_(std::move(model)),
        engine_(std::make_unique<SpeechEngine>(model_, params)) {}

    ~BoundEngine() {
        const LockReleased release;
        engine_.reset();
    }

    BoundEngine(const BoundEngine &)             = delete;
    BoundEngine & operator=(const BoundEngine &) = delete;

    SpeechEngine & engine() { return *engine_; }

    const SpeechModel & model() const { return *model_; }

  private:
    std::shared_ptr<SpeechModel>  model_;
    std::unique_ptr<SpeechEngine> engine_;
};

// The thread in which the program ends, once it does.
std::atomic<std::thread::id> ending_thread{};

// A daemon thread that speaks on while the program ends is not told so: it would only complain on its way out.
template <typename Work> auto unless_the_program_ends(const Work & work) {
    try {
        return work();
    } catch (const Error &) {
        const std::thread::id ending = ending_thread;
        if (ending != std::thread::id{} && ending != std::this_thread::get_id()) {
            sleep_until_the_process_ends();
        }
        throw;
    }
}

std::unique_ptr<BoundEngine> engine(std::shared_ptr<SpeechModel> model, int64_t n_slots, int n_threads,
                                    int64_t queue_limit, std::shared_ptr<Probe> probe) {
    const LockReleased release;
    return unless_the_program_ends([&] {
        return std::make_unique<BoundEngine>(std::move(model),
                                             EngineParams{ n_slots, n_threads, queue_limit, std::move(probe) });
    });
}

struct BoundSpeech {
    std::shared_ptr<EngineSpeech> speech;
    int64_t                       groups;

    // A signal's handler may raise between `read` and what its caller does with the piece.
    py::object newest  = py::none();
    int64_t    n_given = 0;
};

using Prompt = std::tuple<FloatArray, FloatArray, FloatArray>;

BoundSpeech begin(BoundEngine & self, const SpeechParams & params, const std::vector<int32_t> & conversation,
                  const std::vector<int32_t> & text, bool finished, const std::optional<Speaker> & speaker,
                  const std::optional<FloatArray> & thinker_hidden, const std::optional<IntArray> & places,
                  const std::optional<Prompt> & prompt, std::vector<int64_t> piece_frames, int64_t buffered_frames,
                  bool vocoded, int64_t after) {
    const TalkerGeometry & geometry = self.model().talker()->geometry();
    SpeechRequest          request;
    request.params          = params;
    request.conversation    = conversation;
    request.text            = text;
    request.finished        = finished;
    request.thinker         = { thinker_states(thinker_hidden, geometry.thinker_hidden), axis_positions(places) };
    request.piece_frames    = std::move(piece_frames);
    request.buffered_frames = buffered_frames;
    request.vocoded         = vocoded;
    request.after           = after;
    if (speaker) {
        request.speaker = *speaker;
    }
    if (prompt) {
        const auto & [inputs, trailing, pad] = *prompt;
        require_columns(inputs, geometry.decoder.hidden, "the inputs of a talker prompt");
        require_columns(trailing, geometry.decoder.hidden, "the trailing text of a talker prompt");
        require_columns(pad, geometry.decoder.hidden, "the pad of a talker prompt");
        request.prompt = TalkerPrompt{ to_vector(inputs), to_vector(trailing), to_vector(pad), axis_positions(places) };
    }
    std::shared_ptr<EngineSpeech> speech;
    {
        const LockReleased release;
        speech = unless_the_program_ends([&] { return self.engine().begin(std::move(request)); });
    }
    return { std::move(speech), self.model().predictor()->geometry().n_groups };
}

py::object read(BoundSpeech & self, std::optional<double> timeout) {
    const auto   start  = std::chrono::steady_clock::now();
    const double wanted = timeout && *timeout > 0 ? *timeout : 0.0;
    for (;;) {
        const double left =
            timeout ? wanted - Seconds(std::chrono::steady_clock::now() - start).count() : k_signals_looked_for;
        std::optional<SpeechPiece> piece;
        bool                       over = false;
        {
            const LockReleased release;
            piece = self.speech->read(Seconds(std::min(left, k_signals_looked_for)));
            over  = self.speech->ended();
        }
        if (piece) {
            const auto frames  = (py::ssize_t) piece->n_frames;
            const auto samples = (py::ssize_t) piece->samples.size();
            self.newest = py::make_tuple(to_array(std::move(piece->samples), { samples }),
                                         to_array(std::move(piece->codes), { (py::ssize_t) self.groups, frames }),
                                         stop_name(piece->stop));
            ++self.n_given;
            return self.newest;
        }
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
        if (over || (timeout && left <= k_signals_looked_for)) {
            return py::none();
        }
    }
}

py::dict timings(const BoundSpeech & self) {
    const SpeechTimings t = self.speech->timings();
    py::dict            out;
    out["waiting"]          = t.waiting;
    out["prompt"]           = t.prompt;
    out["talker"]           = t.talker;
    out["predictor"]        = t.predictor;
    out["sampling"]         = t.sampling;
    out["vocoder"]          = t.vocoder;
    out["idle"]             = t.idle;
    out["first"]            = t.first;
    out["prompt_positions"] = t.prompt_positions;
    out["n_frames"]         = t.n_frames;
    out["frame_seconds"]    = t.frame_seconds;
    return out;
}

void bind_speech(py::module_ & m) {
    const auto release = py::call_guard<LockReleased>();
    py::class_<BoundSpeech>(m, "EngineSpeech", "One speech of an engine. From any thread.")
        .def_property_readonly(
            "id", [](const BoundSpeech & self) { return self.speech->id(); }, "Unique in its engine.")
        .def(
            "feed", [](BoundSpeech & self, const std::vector<int32_t> & tokens) { self.speech->feed(tokens); },
            py::arg("tokens"), release,
            R"(Further token ids of the answer, [n]. Raises InputError for ids there aren't, after `finish`, and where the context
can't hold them; then nothing was fed.)")
        .def(
            "finish", [](BoundSpeech & self) { self.speech->finish(); }, release,
            "No more text. Raises InputError where there was none.")
        .def(
            "read", &read, py::arg("timeout") = py::none(),
            R"(The next piece: samples float32 [n], codes int32 [groups, frames], and the stop reason, "" before the last. None after
`timeout` seconds without one, and after the last. Raises what went wrong with this speech, and what a signal's handler
raises meanwhile, after which it can be read on.)")
        .def(
            "cancel", [](BoundSpeech & self, bool drop) { self.speech->cancel(drop); }, py::kw_only(),
            py::arg("drop") = false, release, "Ends it within a frame. `drop`: what was spoken won't be read.")
        .def_readonly("newest", &BoundSpeech::newest, "What `read` gave last, for callers that a signal kept from it.")
        .def_readonly("n_given", &BoundSpeech::n_given, "Pieces that `read` has given.")
        .def_property_readonly(
            "ended", [](const BoundSpeech & self) { return self.speech->ended(); }, "Whether all was read.")
        .def_property_readonly(
            "admitted", [](const BoundSpeech & self) { return self.speech->admitted(); }, "Whether it has had a slot.")
        .def_property_readonly(
            "stop_reason", [](const BoundSpeech & self) { return stop_name(self.speech->stop_reason()); },
            R"("eos", "frame_limit", "context_full", "cancelled" or "failed"; "" before all was read.)")
        .def(
            "timings", &timings,
            R"(Seconds so far: waiting for a slot, prompt, talker, predictor, sampling, vocoder, idle, first (to the first samples);
prompt_positions, n_frames and frame_seconds, one a frame.)");
}

}  // namespace

void bind_engine(py::module_ & m) {
    const auto release = py::call_guard<LockReleased>();
    py::class_<BoundEngine>(m, "SpeechEngine", "Speeches in slots, others in a queue. From any thread.")
        .def(py::init(&engine), py::arg("model"), py::kw_only(), py::arg("n_slots") = 1, py::arg("n_threads") = 0,
             py::arg("queue_limit") = 1 << 20, py::arg("probe") = py::none(),
             "Raises InputError for slots or threads that can't be, OutOfMemoryError.")
        .def("begin", &begin, py::arg("params"), py::kw_only(), py::arg("conversation") = std::vector<int32_t>{},
             py::arg("text") = std::vector<int32_t>{}, py::arg("finished") = true, py::arg("speaker") = py::none(),
             py::arg("thinker_hidden") = py::none(), py::arg("positions") = py::none(), py::arg("prompt") = py::none(),
             py::arg("piece_frames") = std::vector<int64_t>{ 2, 4, 8, 16, 25 }, py::arg("buffered_frames") = 75,
             py::arg("vocoded") = true, py::arg("after") = 0, py::keep_alive<0, 1>(),
             R"(A speech of `text`, token ids of which more may follow unless `finished`; other arguments as in
TalkerSession.assemble_prompt. `prompt`: inputs [n, hidden], trailing [m, hidden] and pad [1, hidden] in the place of all that,
`positions` being those of its inputs.
`piece_frames`: frames a piece, the last again and again. `buffered_frames`: frames ahead of the listener, 0 for any number.
`vocoded`: whether there are samples beside codes. `after`: the id of a speech that this one goes on from: never refused,
it takes its turn when that one ends, and before that a slot that nobody waits for. Raises InputError for what makes no sense, BusyError where there is no room.)")
        .def_property_readonly(
            "n_slots", [](BoundEngine & self) { return self.engine().n_slots(); }, "Speeches side by side.")
        .def_property_readonly(
            "n_speaking", [](BoundEngine & self) { return self.engine().n_speaking(); }, "Speeches that have a slot.")
        .def_property_readonly(
            "n_waiting", [](BoundEngine & self) { return self.engine().n_waiting(); }, "Speeches that wait for one.")
        .def_property_readonly(
            "expected_wait", [](BoundEngine & self) { return self.engine().expected_wait(); },
            "Seconds until one that begins now has a slot, as far as those before tell.")
        .def_property_readonly(
            "overlaps", [](BoundEngine & self) { return self.engine().overlaps(); },
            "Whether code2wav has a thread of its own.")
        .def_property_readonly(
            "stopped", [](BoundEngine & self) { return self.engine().stopped(); }, "Whether its threads have ended.")
        .def_property_readonly(
            "cache_nbytes", [](BoundEngine & self) { return self.engine().cache_nbytes(); },
            "Bytes of the talker's cache of keys and values.")
        .def(
            "wait_readable",
            [](BoundEngine & self, double timeout) { return self.engine().wait_readable(Seconds(timeout)); },
            py::arg("timeout"), release,
            "Ids of speeches that have something to read since the last call; waits for the first.")
        .def(
            "close", [](BoundEngine & self) { self.engine().close(); }, release, "Takes no more speeches.")
        .def(
            "drain", [](BoundEngine & self, double timeout) { return self.engine().drain(Seconds(timeout)); },
            py::arg("timeout"), release, "Closes and waits for the speeches there are; False where they take longer.")
        .def("stop", [](BoundEngine & self) { self.engine().stop(); }, release, "Ends all speeches, and the threads.");
    bind_speech(m);
    // Before the interpreter goes: its threads, which know nothing of it, must not be at work when statics are gone.
    py::module_::import("atexit").attr("register")(py::cpp_function([] {
        ending_thread = std::this_thread::get_id();
        const LockReleased releasing;
        SpeechEngine::stop_all();
    }));
}

}  // namespace omni
