// Memory of the process in large pages where the system has them: weights are read from end to end for every frame, and
// with pages of 4 KiB looking up addresses takes a fifth of that time. Where intermediate results lie, a first use of
// 70 MiB costs 18,000 faults.
#pragma once

#include <cstddef>
#include <string>

namespace omni {

class LargeMemory {
  public:
    // Zeros. Throws Error(memory), naming the purpose.
    LargeMemory(size_t nbytes, const std::string & purpose);
    ~LargeMemory();
    LargeMemory(const LargeMemory &)             = delete;
    LargeMemory & operator=(const LargeMemory &) = delete;

    // Aligned to a page.
    char * data() const { return data_; }

    size_t size() const { return nbytes_; }

  private:
    size_t nbytes_;
    char * data_ = nullptr;
};

// Advice, to be given before the memory is used; without large pages it is only slower.
void prefer_large_pages(void * data, size_t nbytes);

}  // namespace omni
