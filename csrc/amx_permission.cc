#include "amx_permission.h"

#include <cerrno>
#include <system_error>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gecko {
namespace {

constexpr uint32_t kBFloat16 = 1U << 22, kTile = 1U << 24, kInt8 = 1U << 25;  // CPUID.7.0:EDX
constexpr uint64_t kTileStates = uint64_t{3} << 17;  // XCR0: tile configuration and tile data

#if defined(__x86_64__) && defined(__linux__)

AmxFeatures read_features() {
  constexpr unsigned kOsSavesStates = 1U << 27;  // CPUID.1:ECX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return {};
  const bool readable = (ecx & kOsSavesStates) != 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return {};
  AmxFeatures features;
  features.edx = edx;
  if (readable) {
    uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    features.kept_states = static_cast<uint64_t>(high) << 32 | low;
  }
  return features;
}

int request_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, Linux 5.16
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0 ? 0 : errno;
}

#else

AmxFeatures read_features() { return {}; }
int request_tiles() { return ENOSYS; }

#endif

}  // namespace

AmxPermission decide_amx(const AmxFeatures& features, const std::function<int()>& request) {
  AmxPermission permission;
  if ((features.edx & kTile) == 0) return permission;
  if ((features.kept_states & kTileStates) != kTileStates) {
    permission.refusal = "the operating system does not keep its registers";
    return permission;
  }
  if (const int error = request(); error != 0) {
    permission.refusal = "the kernel refused: " + std::generic_category().message(error);
    return permission;
  }
  permission.int8 = (features.edx & kInt8) != 0;
  permission.bfloat16 = (features.edx & kBFloat16) != 0;
  return permission;
}

const AmxPermission& amx_permission() {
  static const AmxPermission permission = decide_amx(read_features(), request_tiles);
  return permission;
}

}  // namespace gecko
