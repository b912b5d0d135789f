// What is done with every file that the fuzzer makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace omni {

// Reads, loads, speaks, writes, hears and sees as far as the file lets it; the names of what was done and not refused.
// Aborts where a refusal isn't one sentence.
std::vector<std::string> done_with(const uint8_t * data, size_t size);

}  // namespace omni
