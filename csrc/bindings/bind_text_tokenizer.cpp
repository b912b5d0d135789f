#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "text/text_tokenizer.h"
#include "text/token_stream.h"

namespace py = pybind11;

namespace omni {

namespace {

std::shared_ptr<TextTokenizer> tokenizer(std::vector<std::string> tokens, std::vector<int64_t> kinds,
                                         std::vector<std::string> merges, std::string rule) {
    LockReleased release;
    return std::make_shared<TextTokenizer>(
        Vocabulary{ std::move(tokens), std::move(kinds), std::move(merges), std::move(rule) });
}

std::vector<int32_t> encode(const TextTokenizer & self, const std::string & text, bool parse_special) {
    LockReleased release;
    return self.encode(text, parse_special);
}

}  // namespace

void bind_text_tokenizer(py::module_ & m) {
    py::class_<TextTokenizer, std::shared_ptr<TextTokenizer>>(
        m, "TextTokenizer", "Byte-level BPE with a GGUF file's vocabulary. Immutable, shared by threads.")
        .def(py::init(&tokenizer), py::arg("tokens"), py::arg("kinds"), py::arg("merges"), py::arg("rule"),
             "From the values of the `tokenizer.ggml` keys. Raises ModelFileError where they don't fit each other.")
        .def("encode", &encode, py::arg("text"), py::kw_only(), py::arg("parse_special"),
             "Ids of a text. Raises InputError for bytes that are no UTF-8.")
        .def("decode", &TextTokenizer::decode, py::arg("ids"), py::kw_only(), py::arg("skip_special"),
             "The text of ids, U+FFFD for what is no UTF-8. Raises InputError for an id outside the vocabulary.")
        .def("find", &TextTokenizer::find, py::arg("token"), "The id of a token's exact text; -1: there is none.");

    py::class_<TokenStream>(m, "TokenStream",
                            "Ids of a text as it is written: those of the whole text. Not for two threads at once.")
        .def(py::init<std::shared_ptr<const TextTokenizer>>(), py::arg("tokenizer"))
        .def("feed", &TokenStream::feed, py::arg("text"),
             "The ids that are certain by now. Raises InputError for bytes that are no UTF-8; then nothing was taken.")
        .def("finish", &TokenStream::finish, "The rest. Raises InputError where a character was cut.")
        .def_property_readonly("held", &TokenStream::held, "Bytes held back.");
}

}  // namespace omni
