// Reading a memory-mapped file that another process may cut short meanwhile.
#ifndef GECKO_MAPPING_GUARD_H_
#define GECKO_MAPPING_GUARD_H_

#include <cstddef>

namespace gecko {

// While one lives, a read of a page in [begin, begin + size) that the file no longer has gives
// zeros, for the rest of the mapping too, and is remembered; without it the system ends the process
// with SIGBUS. The mapping is of no use any more afterwards: what was read must be thrown away.
//
// Works through a handler of SIGBUS, which stays for the life of the process, and passes every
// other signal on to the handler that was there before. At most kMaxGuards live at a time; one too
// many, or a system without SIGBUS, guards nothing.
class MappingGuard {
 public:
  MappingGuard(const void* begin, size_t size);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

  // Whether a page was missing.
  bool tripped() const;

 private:
  int slot_ = -1;
};

constexpr int kMaxGuards = 64;

}  // namespace gecko

#endif  // GECKO_MAPPING_GUARD_H_
