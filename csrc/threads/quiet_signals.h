// Threads of our own are started without the program's signals: Ctrl-C and its like are for threads that the program
// made. What a thread's own instruction raises stays open, whatever the program has blocked: the system ends a process
// that has such a signal blocked, and the handler that mends a page of a cut file (gguf/file_mapping.h) is never asked.
#pragma once

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

namespace omni {

// While it lives, threads that the calling one starts begin so.
class QuietSignals {
  public:
#if defined(_WIN32)
    QuietSignals() {}
#else
    QuietSignals() {
        sigset_t quiet;
        (void) sigfillset(&quiet);
        for (const int own : { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT }) {
            (void) sigdelset(&quiet, own);
        }
        (void) pthread_sigmask(SIG_SETMASK, &quiet, &before_);
    }

    ~QuietSignals() { (void) pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;

  public:
#endif
    QuietSignals(const QuietSignals &)             = delete;
    QuietSignals & operator=(const QuietSignals &) = delete;
};

}  // namespace omni
