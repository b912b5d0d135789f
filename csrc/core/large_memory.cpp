#include "core/large_memory.h"

#include <cstdint>

#include "error/error.h"

#ifdef _WIN32
#include <malloc.h>

#include <cstring>
#else
#include <sys/mman.h>
#endif

namespace omni {

namespace {

#ifdef _WIN32
char * allocate(size_t nbytes) {
    void * data = _aligned_malloc(nbytes, 4096);
    return data == nullptr ? nullptr : static_cast<char *>(std::memset(data, 0, nbytes));
}

void release(char * data, size_t /*nbytes*/) {
    _aligned_free(data);
}
#else
char * allocate(size_t nbytes) {
    void * data = mmap(nullptr, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        return nullptr;
    }
    prefer_large_pages(data, nbytes);
    return static_cast<char *>(data);
}

void release(char * data, size_t nbytes) {
    munmap(data, nbytes);
}
#endif

}  // namespace

LargeMemory::LargeMemory(size_t nbytes, const std::string & purpose) : nbytes_(nbytes == 0 ? 1 : nbytes) {
    data_ = allocate(nbytes_);
    if (data_ == nullptr) {
        throw Error(ErrorKind::memory, "not enough memory for " + purpose + " (" +
                                           std::to_string((nbytes_ + (1 << 20) - 1) >> 20) + " MiB)");
    }
}

LargeMemory::~LargeMemory() {
    release(data_, nbytes_);
}

#ifdef MADV_HUGEPAGE
void prefer_large_pages(void * data, size_t nbytes) {
    constexpr size_t k_small_page = 4096, k_large_page = 2 << 20;

    const size_t before = (k_small_page - reinterpret_cast<uintptr_t>(data) % k_small_page) % k_small_page;
    if (nbytes >= before + k_large_page) {
        (void) madvise(static_cast<char *>(data) + before, nbytes - before, MADV_HUGEPAGE);
    }
}
#else
void prefer_large_pages(void * /*data*/, size_t /*nbytes*/) {}
#endif

}  // namespace omni
