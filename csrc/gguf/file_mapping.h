// A file's pages in the address space, to be read where they are: loading copies nothing, and a second process, or a
// second load, finds them in memory already.
//
// A file may be cut while it is mapped. The signal that reading such a page raises is caught: the page reads as zeros,
// and the mapping says that it is no longer what it was. Windows has no mapping here: weights are copied there.
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

    // Whether pages were found missing: what was computed from them is wrong.
    bool cut() const;

    // Asks the system to read this range soon; returns at once.
    void prefetch(size_t offset, size_t size) const;

  private:
    struct Watch;

    FileMapping(const char * data, size_t size, Watch * watch) : data_(data), size_(size), watch_(watch) {}

    const char * data_;
    size_t       size_;
    Watch *      watch_;
};

}  // namespace omni
