// Runs independent tasks on threads of its own while the caller keeps answering signals.
#ifndef GECKO_PARALLEL_H_
#define GECKO_PARALLEL_H_

#include <atomic>
#include <cstdint>
#include <functional>

namespace gecko {

// What tasks and the caller share during one call.
struct Control {
  std::atomic<bool> stop{false};  // tasks return soon after this is set
  std::atomic<int64_t> done{0};   // units of work finished, of any size the tasks agree on
};

// Calls task(i, worker) for each i in [0, n_tasks), worker in [0, threads). The order of tasks is
// not defined. Meanwhile the calling thread calls poll() every 50 ms and once at the end; what a
// poll or a task throws stops the others and is thrown here, after all threads have ended.
//
// Threads live as long as the call (starting one takes some 20 us): so nothing is left behind that
// a fork() of the process would break. They run in the default floating-point environment, whatever
// the caller has set: flushing denormals to zero would change results.
void run_tasks(int64_t n_tasks, int threads, Control& control,
               const std::function<void(int64_t task, int worker)>& task,
               const std::function<void()>& poll);

// The number of CPUs this process may use, at least 1.
int available_cpus();

}  // namespace gecko

#endif  // GECKO_PARALLEL_H_
