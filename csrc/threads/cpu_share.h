// How much of the machine this process may use. More threads than that wait for each other.
#pragma once

#include <string>

namespace omni {

// Threads that can run at once: the CPUs that the calling thread may run on, at most as many as the control groups of
// the process grant it time for (a group with 2.5 CPUs' time runs 2), at least one.
int usable_cpus();

// CPUs' time that the control groups grant, or 0 where they set no limit. Of version 1 and 2, of the process' own group
// and all above it. Every path is looked for below `root`, which is empty but in tests.
double cpu_quota(const std::string & root);

}  // namespace omni
