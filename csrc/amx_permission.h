// Whether this process may use the tile registers of AMX: a processor can have them, an operating
// system must keep them for each thread, and Linux wants to be asked.
#ifndef GECKO_AMX_PERMISSION_H_
#define GECKO_AMX_PERMISSION_H_

#include <cstdint>
#include <functional>
#include <string>

namespace gecko {

// What the processor says: CPUID leaf 7, subleaf 0, EDX; and XCR0, the register states that the
// operating system keeps, 0 where it cannot be read.
struct AmxFeatures {
  uint32_t edx = 0;
  uint64_t kept_states = 0;
};

struct AmxPermission {
  bool int8 = false;
  bool bfloat16 = false;
  // Why a processor that has AMX may not be used; empty if it may, and if there is none.
  std::string refusal;
};

// `request` asks the kernel for the tile registers and gives 0 or an errno. It is not called where
// there is nothing to ask for.
AmxPermission decide_amx(const AmxFeatures& features, const std::function<int()>& request);

// Decides for this process, once: to be called before threads use tiles. Grants hold for all its
// threads, also for those that exist.
const AmxPermission& amx_permission();

}  // namespace gecko

#endif  // GECKO_AMX_PERMISSION_H_
