// A piece of work that several threads do at once, each knowing which of how many it is, as OpenMP's parallel region;
// and the threads that do it. They are the process', shared by all sessions: whoever computes borrows some and gives
// them back. Where a team is for a moment not at work its threads sleep. After a fork the child has a pool of its own.
#pragma once

namespace omni {

// Calls work(data) in up to `n_threads` threads at once, this one among them, and returns when all have. Fewer where
// the system refuses threads, or in a thread that is at work already. `work` must not throw.
void work_together(int n_threads, void (*work)(void *), void * data);

// Of the calling thread: which of how many it is, 0 of 1 outside of any work.
int rank();
int team_size();

// Returns when every thread of the team has called it as often as this one.
void meet();

// True for one thread of the team, whichever comes first; false for the others. Every thread calls it as often.
bool first_here();

// Makes sure that there are threads for a team of n. Returns how many such a team would have: fewer where the system
// refuses them.
int prepare_team(int n);

}  // namespace omni
