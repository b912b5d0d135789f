// Numbers that were measured on this machine, kept between processes in the user's cache directory: what is slow to
// measure is measured once, and processes that run side by side decide alike.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace omni {

// As many numbers as `measure` returns: those that are kept under the name, else measured and kept. Measured anew by
// another version, on another CPU or with another number of them. A directory that can't be written is no error.
std::vector<double> noted(const std::string & name, size_t n, const std::function<std::vector<double>()> & measure);

// Whether they are kept.
bool is_noted(const std::string & name, size_t n);

// The file that notes of that name are kept in; empty where there is no place for it.
std::string note_path(const std::string & name);

}  // namespace omni
