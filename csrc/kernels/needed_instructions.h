// Instruction sets that ggml was compiled for, and whether this CPU has them. Asked before any of ggml runs: a CPU
// without one of them would end the process without a word.
#pragma once

#include <string>
#include <vector>

namespace omni {

// By the names that Linux and compilers use; ends with nullptr.
extern const char * const k_needed_instructions[];

// Those of `names` that this CPU, or its operating system, lacks. A name that isn't known is taken as there.
std::vector<std::string> missing_instructions(const char * const * names);

// What to tell whoever runs this build on a CPU that lacks some of what it needs; empty where it lacks nothing.
std::string refusal();

}  // namespace omni
