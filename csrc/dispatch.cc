#include "dispatch.h"

#include <stdexcept>

#include "amx_permission.h"

namespace gecko {
namespace {

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
  const auto add = [&found](const Kernels* kernels, bool machine_has_it) {
    if (kernels != nullptr && machine_has_it) found.push_back(kernels);
  };
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();  // the builtins also ask whether the operating system keeps the registers
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  add(kAmxInt8Kernels, avx512 && amx_permission().int8);
  add(kAmxBFloat16Kernels, avx512 && amx_permission().bfloat16);
  add(kAvx512VnniKernels, avx512 && __builtin_cpu_supports("avx512vnni"));
  add(kAvx2VnniKernels, avx2 && __builtin_cpu_supports("avxvnni"));
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
