#include "core/machine_note.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "core/device.h"
#include "core/process.h"
#include "threads/cpu_share.h"

namespace omni {

namespace fs = std::filesystem;

namespace {

constexpr uintmax_t k_most_bytes = 4096;

// Empty for a variable that says nothing, or something relative, as the XDG specification has it.
fs::path directory_in(const char * variable, const char * below) {
    const char * value = std::getenv(variable);
    return value == nullptr || !fs::path(value).is_absolute() ? fs::path() : fs::path(value) / below;
}

fs::path cache_directory() {
#if defined(_WIN32)
    return directory_in("LOCALAPPDATA", "omniggml/cache");
#else
    const fs::path chosen = directory_in("XDG_CACHE_HOME", "omniggml");
    return !chosen.empty() ? chosen : directory_in("HOME", ".cache/omniggml");
#endif
}

// What the numbers hold for.
std::string circumstances() {
    std::string cpu;
    for (const DeviceInfo & device : list_devices()) {
        cpu = device.kind == "cpu" ? device.description : cpu;
    }
    return "omniggml " OMNIGGML_VERSION ", ggml " OMNIGGML_GGML_VERSION ", " + std::to_string(usable_cpus()) +
           " CPUs, " + cpu;
}

// FNV-1a: a home directory may be shared by machines of several kinds.
std::string digits_of(const std::string & text) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) {
        hash = (hash ^ (unsigned char) c) * 0x100000001b3;
    }
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016llx", (unsigned long long) hash);
    return digits;
}

// A pipe or a device in its place would be read for ever.
bool is_plain(const fs::path & path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && fs::file_size(path, ignored) <= k_most_bytes;
}

// Empty for a file that isn't there, or is no note of ours: what was measured is more than nothing.
std::vector<double> read_note(const fs::path & path, size_t n) {
    if (!is_plain(path)) {
        return {};
    }
    std::ifstream       file(path);
    std::string         line;
    std::vector<double> numbers;
    if (!std::getline(file, line) || line != circumstances()) {
        return {};
    }
    for (double number = 0; file >> number;) {
        numbers.push_back(number);
    }
    const bool sound = std::all_of(numbers.begin(), numbers.end(), [](double x) { return x > 0 && std::isfinite(x); });
    return sound && numbers.size() == n ? numbers : std::vector<double>();
}

// Whole or not at all, and not over a sound one of another process.
void write_note(const fs::path & path, const std::vector<double> & numbers) {
    std::error_code ignored;
    if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored)) {
        return;
    }
    fs::create_directories(path.parent_path(), ignored);
    const fs::path aside = path.string() + "." + std::to_string(process_id());
    {
        std::ofstream file(aside);
        file.precision(std::numeric_limits<double>::max_digits10);
        file << circumstances() << '\n';
        for (double number : numbers) {
            file << number << '\n';
        }
        file.close();
        if (!file) {
            fs::remove(aside, ignored);
            return;
        }
    }
    fs::rename(aside, path, ignored);
    if (ignored) {
        fs::remove(aside, ignored);
    }
}

}  // namespace

std::string note_path(const std::string & name) {
    const fs::path directory = cache_directory();
    return directory.empty() ? "" : (directory / (name + "-" + digits_of(circumstances()) + ".txt")).string();
}

bool is_noted(const std::string & name, size_t n) {
    const std::string path = note_path(name);
    return !path.empty() && !read_note(path, n).empty();
}

std::vector<double> noted(const std::string & name, size_t n, const std::function<std::vector<double>()> & measure) {
    const std::string path = note_path(name);
    if (path.empty()) {
        return measure();
    }
    std::vector<double> numbers = read_note(path, n);
    if (!numbers.empty()) {
        return numbers;
    }
    numbers                         = measure();
    const std::vector<double> known = read_note(path, n);  // another process was first
    if (!known.empty()) {
        return known;
    }
    write_note(path, numbers);
    return numbers;
}

}  // namespace omni
