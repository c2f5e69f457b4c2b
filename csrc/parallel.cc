#include "parallel.h"

#include <algorithm>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace gecko {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(50);

// The state of one run_tasks call; `failure`, `running` are guarded by `mutex`.
struct Run {
  std::atomic<int64_t> next_task{0};
  std::mutex mutex;
  std::condition_variable finished;
  int running = 0;
  std::exception_ptr failure;

  void fail(Control& control) {
    control.stop = true;
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::current_exception();
  }
};

class JoiningThreads {
 public:
  ~JoiningThreads() {
    for (auto& thread : threads_) thread.join();
  }
  template <class Function>
  void start(Function function) {
    threads_.emplace_back(std::move(function));
  }

 private:
  std::vector<std::thread> threads_;
};

}  // namespace

void run_tasks(int64_t n_tasks, int threads, Control& control,
               const std::function<void(int64_t task, int worker)>& task,
               const std::function<void()>& poll) {
  Run run;
  const auto work = [&](int worker) {
    std::fesetenv(FE_DFL_ENV);
    try {
      for (int64_t i = run.next_task++; i < n_tasks && !control.stop; i = run.next_task++) {
        task(i, worker);
      }
    } catch (...) {
      run.fail(control);
    }
    const std::lock_guard lock(run.mutex);
    --run.running;
    run.finished.notify_one();
  };

  {
    JoiningThreads workers;
    try {
      const int n_threads = static_cast<int>(std::min<int64_t>(threads, n_tasks));
      for (int worker = 0; worker < n_threads; ++worker) {
        {
          const std::lock_guard lock(run.mutex);
          ++run.running;
        }
        workers.start([&work, worker] { work(worker); });
      }
      std::unique_lock lock(run.mutex);
      while (!run.finished.wait_for(lock, kPollInterval, [&] { return run.running == 0; })) {
        lock.unlock();
        poll();
        lock.lock();
      }
    } catch (...) {  // from poll, or no more threads to be had
      run.fail(control);
    }
  }
  if (run.failure) std::rethrow_exception(run.failure);
  poll();
}

int available_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace gecko
