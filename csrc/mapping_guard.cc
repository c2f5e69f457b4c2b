#include "mapping_guard.h"

#include <atomic>
#include <cstdint>
#include <mutex>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#endif

namespace gecko {

#if defined(__unix__) || defined(__APPLE__)
namespace {

// Read by the signal handler, so nothing but lock-free atomics. Free where `begin` is 0.
struct Slot {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> tripped{false};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

Slot slots[kMaxGuards];
std::mutex taking;  // of a slot, and of the signal
struct sigaction previous;
uintptr_t page_size = 0;

void pass_on(int number, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
  } else {
    std::signal(number, SIG_DFL);  // the read is repeated, and now ends the process
  }
}

void on_bus_error(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin, end = slot.end;
    if (begin == 0 || address < begin || address >= end) continue;
    const int kept = errno;
    void* page = reinterpret_cast<void*>(address / page_size * page_size);
    const size_t length = end - reinterpret_cast<uintptr_t>(page);
    const void* zeros =
        mmap(page, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = kept;
    if (zeros == MAP_FAILED) break;
    slot.tripped = true;
    return;
  }
  pass_on(number, info, context);
}

void handle_bus_errors() {
  if (page_size != 0) return;
  page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

}  // namespace

MappingGuard::MappingGuard(const void* begin, size_t size) {
  const std::lock_guard lock(taking);
  handle_bus_errors();
  for (int i = 0; i < kMaxGuards && size > 0; ++i) {
    if (slots[i].begin != 0) continue;
    slots[i].tripped = false;
    slots[i].end = reinterpret_cast<uintptr_t>(begin) + size;
    slots[i].begin = reinterpret_cast<uintptr_t>(begin);
    slot_ = i;
    return;
  }
}

MappingGuard::~MappingGuard() {
  const std::lock_guard lock(taking);
  if (slot_ >= 0) slots[slot_].begin = 0;
}

bool MappingGuard::tripped() const { return slot_ >= 0 && slots[slot_].tripped; }

#else

MappingGuard::MappingGuard(const void*, size_t) {}
MappingGuard::~MappingGuard() = default;
bool MappingGuard::tripped() const { return false; }

#endif

}  // namespace gecko
