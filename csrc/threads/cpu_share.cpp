#include "threads/cpu_share.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace omni {

namespace {

// Where a hierarchy of control groups is mounted, and which of its groups is seen there.
struct Mount {
    std::string root, directory;
};

std::vector<std::string> words_of(const std::string & text, char separator) {
    std::vector<std::string> words;
    std::istringstream       stream(text);
    for (std::string word; std::getline(stream, word, separator);) {
        words.push_back(word);
    }
    return words;
}

bool lists(const std::string & names, const std::string & name) {
    const auto words = words_of(names, ',');
    return std::find(words.begin(), words.end(), name) != words.end();
}

// The mount of version 2, or of version 1 with the controller of CPU time; with an empty directory where there is none.
Mount find_mount(const std::string & root, const std::string & type) {
    std::ifstream file(root + "/proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        // ID PARENT DEVICE ROOT DIRECTORY OPTIONS... - TYPE SOURCE OPTIONS
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) {
            continue;
        }
        const auto before = words_of(line.substr(0, dash), ' ');
        const auto after  = words_of(line.substr(dash + 3), ' ');
        if (before.size() >= 5 && after.size() >= 3 && after[0] == type &&
            (type == "cgroup2" || lists(after[2], "cpu"))) {
            return { before[3], before[4] };
        }
    }
    return {};
}

// The path of the process' group, empty where it has none. Lines are NUMBER:CONTROLLERS:PATH; version 2 lists none.
std::string find_group(const std::string & root, const std::string & type) {
    std::ifstream file(root + "/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        const auto first  = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (type == "cgroup2" ? controllers.empty() : lists(controllers, "cpu")) {
            return line.substr(second + 1);
        }
    }
    return "";
}

// 0: no limit. The files of version 2 say "QUOTA PERIOD" or "max PERIOD", those of version 1 a number each, -1 for
// none.
double quota_in(const std::string & directory, const std::string & type) {
    double quota = 0, period = 0;
    if (type == "cgroup2") {
        std::ifstream(directory + "/cpu.max") >> quota >> period;
    } else {
        std::ifstream(directory + "/cpu.cfs_quota_us") >> quota;
        std::ifstream(directory + "/cpu.cfs_period_us") >> period;
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

double smaller_limit(double a, double b) {
    return a == 0 || (b != 0 && b < a) ? b : a;
}

double quota_of(const std::string & root, const std::string & type) {
    const Mount mount = find_mount(root, type);
    if (mount.directory.empty()) {
        return 0;
    }
    std::string group = find_group(root, type);
    // What is mounted may be a part of the hierarchy; a container sees its own group as the whole.
    if (mount.root != "/" && group.rfind(mount.root, 0) == 0) {
        group = group.substr(mount.root.size());
    }
    if (group.find("..") != std::string::npos) {
        group.clear();
    }
    double found = quota_in(root + mount.directory, type);
    for (; group.size() > 1; group = group.substr(0, group.rfind('/'))) {
        found = smaller_limit(found, quota_in(root + mount.directory + group, type));
    }
    return found;
}

int cpus_to_run_on() {
#if defined(__linux__)
    // A set as large as the kernel's: more than 1,024 CPUs don't fit into the plain one.
    for (int most = CPU_SETSIZE; most <= 64 * CPU_SETSIZE; most *= 2) {
        cpu_set_t * set = CPU_ALLOC((size_t) most);
        if (set == nullptr) {
            break;
        }
        const size_t nbytes = CPU_ALLOC_SIZE((size_t) most);
        const bool   known  = sched_getaffinity(0, nbytes, set) == 0;
        const int    count  = known ? CPU_COUNT_S(nbytes, set) : 0;
        CPU_FREE(set);
        if (known) {
            return count;
        }
    }
#endif
    return (int) std::thread::hardware_concurrency();
}

}  // namespace

double cpu_quota(const std::string & root) {
    return smaller_limit(quota_of(root, "cgroup2"), quota_of(root, "cgroup"));
}

int usable_cpus() {
    const double quota = cpu_quota("");
    const int    cpus  = cpus_to_run_on();
    return std::max(1, quota == 0 ? cpus : (int) std::min((double) cpus, quota));
}

}  // namespace omni
