#include "dispatch.h"

#include <stdexcept>

#include "amx_permission.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace gecko {
namespace {

#if defined(__x86_64__) || defined(__i386__)

// Two features that __builtin_cpu_supports of Clang 14 does not know. They need no registers beyond
// those of AVX2.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & 1U << 29) != 0;
}

bool has_avxvnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1U << 4) != 0;
}

#endif

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
  const auto add = [&found](const Kernels* kernels, bool machine_has_it) {
    if (kernels != nullptr && machine_has_it) found.push_back(kernels);
  };
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();  // the builtins also ask whether the operating system keeps the registers
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  add(kAmxInt8Kernels, avx512 && amx_permission().int8);
  add(kAmxBFloat16Kernels, avx512 && amx_permission().bfloat16);
  add(kAvx512VnniKernels, avx512 && __builtin_cpu_supports("avx512vnni"));
  add(kAvx2VnniKernels, avx2 && has_avxvnni());
  add(kAvx512Kernels, avx512);
  add(kAvx2Kernels, avx2);
#endif
  add(kNeonKernels, true);  // part of every AArch64
  add(kScalarKernels, true);
  return found;
}

}  // namespace

const std::vector<const Kernels*>& available_kernels() {
  static const std::vector<const Kernels*> found = detect();
  return found;
}

const Kernels& kernels_named(const std::string& name) {
  for (const Kernels* kernels : available_kernels()) {
    if (name == kernels->name) return *kernels;
  }
  throw std::invalid_argument("no kernels called '" + name + "' on this machine and build");
}

}  // namespace gecko
