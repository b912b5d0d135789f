// What a message quotes of a text that may be of any length.
#pragma once

#include <string>

namespace omni {

// Its beginning, cut between characters.
std::string shortened(const std::string & text);

}  // namespace omni
