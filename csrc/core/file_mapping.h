// A file's pages in the address space, to be read where they are: loading copies nothing, and a second process, or a
// second load, finds them in memory already.
//
// Reading a page beyond the end of a file that was cut meanwhile ends the process (SIGBUS), so files in use must be
// replaced, not rewritten. Windows has no mapping here: weights are copied there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>

namespace omni {

class FileMapping {
  public:
    // The first `size` bytes. Null where the system can't map the file, or where it has fewer bytes by now.
    static std::unique_ptr<FileMapping> open(std::FILE * file, uint64_t size);
    ~FileMapping();
    FileMapping(const FileMapping &)             = delete;
    FileMapping & operator=(const FileMapping &) = delete;

    // Aligned to a page.
    const char * data() const { return data_; }

    size_t size() const { return size_; }

    // Asks the system to read this range soon; returns at once.
    void prefetch(size_t offset, size_t size) const;

  private:
    FileMapping(const char * data, size_t size) : data_(data), size_(size) {}

    const char * data_;
    size_t       size_;
};

}  // namespace omni
