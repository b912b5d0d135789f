#include "core/file_mapping.h"

#include <algorithm>
#include <limits>

#ifndef _WIN32
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

void FileMapping::prefetch(size_t /*offset*/, size_t /*size*/) const {}

#else

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
    return std::unique_ptr<FileMapping>(new FileMapping(static_cast<const char *>(data), (size_t) size));
}

FileMapping::~FileMapping() {
    munmap(const_cast<char *>(data_), size_);
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
