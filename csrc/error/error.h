// Errors that reach the user as one sentence.
//
// Every failure that a file, an argument or a client can cause is thrown as omni::Error before any ggml assertion can
// see it. The kind decides the Python exception class; the message says what was found, what was expected, what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace omni {

enum class ErrorKind {
    file,      // a model file that can't be used
    input,     // an argument out of its range
    memory,    // the device could not give the memory
    numeric,   // NaN or infinity where a number is needed
    busy,      // no room for one more
    internal,  // a broken promise of our own code or of ggml
};

class Error : public std::runtime_error {
  public:
    // Control characters in the message, which may quote a file, become question marks.
    Error(ErrorKind kind, const std::string & message);

    ErrorKind kind() const { return kind_; }

  private:
    ErrorKind kind_;
};

}  // namespace omni
