#include "error/error.h"

namespace omni {

namespace {

constexpr size_t k_longest_message = 4000;

// Messages quote what files hold: names with line ends, terminal codes or a megabyte of text.
std::string one_sentence(std::string message) {
    if (message.size() > k_longest_message) {
        message.resize(k_longest_message);
        message += "...";
    }
    for (char & c : message) {
        if ((unsigned char) c < 32 || c == 127) {
            c = '?';
        }
    }
    return message;
}

}  // namespace

Error::Error(ErrorKind kind, const std::string & message) : std::runtime_error(one_sentence(message)), kind_(kind) {}

}  // namespace omni
