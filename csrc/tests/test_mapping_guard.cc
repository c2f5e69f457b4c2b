#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <numeric>
#include <string>

#include "check.h"
#include "mapping_guard.h"

namespace gecko {
namespace {

// A file of four pages full of ones, mapped.
class MappedFile {
 public:
  MappedFile() : page(static_cast<size_t>(sysconf(_SC_PAGESIZE))), size(4 * page) {
    char name[] = "mapping_guard_XXXXXX";
    file_ = mkstemp(name);
    unlink(name);
    const std::string ones(size, '\1');
    CHECK(write(file_, ones.data(), size) == static_cast<ssize_t>(size));
    data = static_cast<const char*>(mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, 0));
    CHECK(data != MAP_FAILED);
  }
  ~MappedFile() {
    munmap(const_cast<char*>(data), size);
    close(file_);
  }
  void cut(size_t length) const { CHECK(ftruncate(file_, static_cast<off_t>(length)) == 0); }
  int sum() const { return std::accumulate(data, data + size, 0); }

  const size_t page, size;
  const char* data;

 private:
  int file_;
};

void a_whole_file_does_not_trip() {
  const MappedFile file;
  const MappingGuard guard(file.data, file.size);
  CHECK(file.sum() == static_cast<int>(file.size));
  CHECK(!guard.tripped());
}

void pages_that_are_gone_read_as_zeros() {
  const MappedFile file, other;
  const MappingGuard guard(file.data, file.size), guard_of_other(other.data, other.size);
  file.cut(file.page);
  CHECK(file.sum() == static_cast<int>(file.page));
  CHECK(guard.tripped());
  CHECK(other.sum() == static_cast<int>(other.size));
  CHECK(!guard_of_other.tripped());
}

void a_slot_is_free_again() {
  for (int i = 0; i < 3 * kMaxGuards; ++i) {
    const MappedFile file;
    const MappingGuard guard(file.data, file.size);
    file.cut(0);
    CHECK(file.sum() == 0);
    CHECK(guard.tripped());
  }
}

// Whether a child process that reads a shortened file without a guard is ended by SIGBUS.
void other_bus_errors_end_the_process_as_before() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const MappedFile file, guarded;
  const MappingGuard guard(guarded.data, guarded.size);
  file.cut(0);
  const pid_t child = fork();
  if (child == 0) {
    std::_Exit(file.sum());
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
#endif
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::a_whole_file_does_not_trip);
  RUN(gecko::pages_that_are_gone_read_as_zeros);
  RUN(gecko::a_slot_is_free_again);
  RUN(gecko::other_bus_errors_end_the_process_as_before);
  return gecko::failures();
}
