// How many threads may be asked for.
#pragma once

namespace omni {

// Throws Error(input) for a number that can't be; 0 is all that may run.
void check_n_threads(int n_threads);

}  // namespace omni
