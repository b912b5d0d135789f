#include "capi/handles.h"
#include "capi/status.h"

namespace {

std::string_view text_of(const char * text, size_t size) {
    return size > 0 ? std::string_view(&omni::required(text, "the text"), size) : std::string_view();
}

}  // namespace

extern "C" {

omni_status omni_tokenize(const omni_model * model, const char * text, size_t size, bool parse_special, int32_t * ids,
                          size_t capacity, size_t * n) {
    return omni::guarded([&] {
        const auto tokenizer = omni::required(model, "the model").loaded->tokenizer();
        return omni::fill(tokenizer->encode(text_of(text, size), parse_special), ids, capacity, n, "the ids");
    });
}

omni_status omni_detokenize(const omni_model * model, const int32_t * ids, size_t n, bool skip_special, char * text,
                            size_t capacity, size_t * size) {
    return omni::guarded([&] {
        const auto           tokenizer = omni::required(model, "the model").loaded->tokenizer();
        std::vector<int32_t> given;
        if (n > 0) {
            given.assign(&omni::required(ids, "the ids"), ids + n);
        }
        return omni::fill(tokenizer->decode(given, skip_special), text, capacity, size, "the text");
    });
}

int32_t omni_token_id(const omni_model * model, const char * token) {
    int32_t id = -1;
    omni::guarded([&] {
        id = omni::required(model, "the model").loaded->tokenizer()->find(&omni::required(token, "the token"));
        return OMNI_OK;
    });
    return id;
}
}
