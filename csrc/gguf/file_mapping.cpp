#include "gguf/file_mapping.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <mutex>

#ifndef _WIN32
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace omni {

#ifdef _WIN32

std::unique_ptr<FileMapping> FileMapping::open(std::FILE * /*file*/, uint64_t /*size*/) {
    return nullptr;
}

FileMapping::~FileMapping() = default;

bool FileMapping::cut() const {
    return false;
}

void FileMapping::prefetch(size_t /*offset*/, size_t /*size*/) const {}

#else

// What the signal handler knows of one mapping. It may be asked at any moment: only atomics, no memory of its own.
struct FileMapping::Watch {
    std::atomic<char *> begin{ nullptr };
    std::atomic<size_t> size{ 0 };
    std::atomic<bool>   cut{ false };

    static constexpr size_t k_most = 256;

    static std::array<Watch, k_most> all;
    static struct sigaction          previous;

    static Watch * take(char * begin, size_t size);
    static void    on_signal(int number, siginfo_t * info, void * context);
    static bool    mend(char * at);
    static void    install();
};

std::array<FileMapping::Watch, FileMapping::Watch::k_most> FileMapping::Watch::all;
struct sigaction                                           FileMapping::Watch::previous;

// Puts a page of zeros where the file has none any more; false for an address in no mapping.
bool FileMapping::Watch::mend(char * at) {
    const auto page_size = (size_t) sysconf(_SC_PAGESIZE);
    for (auto & watch : all) {
        char * begin = watch.begin.load();
        if (begin == nullptr || at < begin || at >= begin + watch.size.load()) {
            continue;
        }
        char * page = begin + (size_t) (at - begin) / page_size * page_size;
        if (mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
            return false;
        }
        watch.cut = true;
        return true;
    }
    return false;
}

void FileMapping::Watch::on_signal(int number, siginfo_t * info, void * context) {
    if (mend(static_cast<char *>(info->si_addr))) {
        return;
    }
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else {
        // The access is repeated, and ends the process as it would have without us.
        (void) sigaction(SIGBUS, &previous, nullptr);
    }
}

void FileMapping::Watch::install() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action{};
        action.sa_sigaction = on_signal;
        action.sa_flags     = SA_SIGINFO;
        (void) sigemptyset(&action.sa_mask);
        (void) sigaction(SIGBUS, &action, &previous);
    });
}

// Null where too many files are mapped to watch over another.
FileMapping::Watch * FileMapping::Watch::take(char * begin, size_t size) {
    static std::mutex           mutex;
    std::lock_guard<std::mutex> lock(mutex);
    install();
    for (auto & watch : all) {
        if (watch.begin.load() == nullptr) {
            watch.cut   = false;
            watch.size  = size;
            watch.begin = begin;
            return &watch;
        }
    }
    return nullptr;
}

std::unique_ptr<FileMapping> FileMapping::open(std::FILE * file, uint64_t size) {
    struct stat found{};

    const int descriptor = fileno(file);
    if (size == 0 || size > std::numeric_limits<size_t>::max() || fstat(descriptor, &found) != 0 || found.st_size < 0 ||
        (uint64_t) found.st_size < size) {
        return nullptr;
    }
    void * data = mmap(nullptr, (size_t) size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) {
        return nullptr;
    }
    Watch * watch = Watch::take(static_cast<char *>(data), (size_t) size);
    if (watch == nullptr) {
        munmap(data, (size_t) size);
        return nullptr;
    }
    return std::unique_ptr<FileMapping>(new FileMapping(static_cast<const char *>(data), (size_t) size, watch));
}

FileMapping::~FileMapping() {
    watch_->begin = nullptr;
    munmap(const_cast<char *>(data_), size_);
}

bool FileMapping::cut() const {
    return watch_->cut;
}

void FileMapping::prefetch(size_t offset, size_t size) const {
    const auto page = (size_t) sysconf(_SC_PAGESIZE);
    if (offset < size_) {
        const size_t first = offset / page * page;
        const size_t end   = offset + std::min(size, size_ - offset);
        (void) madvise(const_cast<char *>(data_) + first, end - first, MADV_WILLNEED);
    }
}

#endif

}  // namespace omni
