// Compute devices, and the set of backends one session computes on.
//
// No other file names a backend: a device is chosen by name at run time, weights and state live in its buffers, and
// ggml's scheduler runs every node where its weights are, or on the CPU where the device can't.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ggml-backend.h"

namespace omni {

struct DeviceInfo {
    std::string name;         // as `find_device` takes it, e.g. "CPU", "CUDA0"
    std::string description;  // the product's name
    std::string kind;         // "cpu", "gpu", "igpu", "accelerator"
    size_t      memory_free;
    size_t      memory_total;
};

std::vector<DeviceInfo> list_devices();

// The device of that name, in any case; "cuda" finds the first of CUDA0, CUDA1 ...; "auto" the first GPU,
// else the CPU; "HOST:PORT" a device served over the network by ggml's RPC server, in builds that have it.
// Throws Error(input) with the names there are.
ggml_backend_dev_t find_device(const std::string & name);

// Whether this process was forked from one that had asked for a device other than the CPU: drivers and connections stay
// behind there. Such devices, and what lies in their memory, can be neither used nor freed here.
bool drivers_are_lost();

// Backends of one session: the chosen device first, the CPU last (it may be the same one). A backend holds scratch
// memory and must not be shared by threads; this is why a session owns its own.
class Backends {
  public:
    // n_threads 0: usable_cpus(). Throws Error(input) for a number that can't be, Error(memory) where the
    // system refuses that many threads.
    Backends(ggml_backend_dev_t device, int n_threads);

    std::vector<ggml_backend_t> handles() const;

    ggml_backend_buffer_type_t device_buffer_type() const;

    // Whether everything runs on this machine's CPU.
    bool on_cpu() const { return ggml_backend_dev_type(device_) == GGML_BACKEND_DEVICE_TYPE_CPU; }

    // Throws Error(input) where drivers_are_lost() and this isn't the CPU's alone.
    void check_process() const;

    // Can any of these backends compute this node?
    bool supports(const ggml_tensor * node) const;

    // After a computation ran out of memory ggml's CPU backend holds a pointer to freed scratch memory: it must be
    // neither used nor freed any more.
    void abandon() const;

    bool abandoned() const { return abandoned_; }

  private:
    struct Free {
        void operator()(ggml_backend_t backend) const;
    };
    using Handle = std::unique_ptr<ggml_backend, Free>;

    void add(ggml_backend_dev_t device, int n_threads);

    ggml_backend_dev_t          device_;
    mutable std::vector<Handle> handles_;
    mutable bool                abandoned_ = false;
};

}  // namespace omni
