// The net below all checks: ggml's failed assertions as errors.
#pragma once

namespace omni {

// From now on a failed assertion of ggml in this thread is thrown as Error(internal). Called wherever ggml is first
// met: a device, a context. Threads of ggml's own (a computation's workers, the RPC client's sender) never call it, and
// can't throw: there the process ends after one line on stderr.
void catch_ggml_aborts();

// The same while one lives: for a thread that computes at other times.
class CatchScope {
  public:
    CatchScope();
    ~CatchScope();
    CatchScope(const CatchScope &)             = delete;
    CatchScope & operator=(const CatchScope &) = delete;

  private:
    bool before_;
};

// While one lives, an assertion in this thread is not thrown: a parallel region must not be left by an exception. A
// driver's word that its device has no memory left is, as Error(memory): it comes from outside of any region.
class ComputeScope {
  public:
    ComputeScope();
    ~ComputeScope();
    ComputeScope(const ComputeScope &)             = delete;
    ComputeScope & operator=(const ComputeScope &) = delete;
};

}  // namespace omni
