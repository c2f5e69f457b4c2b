// The levels that the tests run: those of this machine, and emulated ones for the others.
#ifndef GECKO_TESTS_LEVELS_H_
#define GECKO_TESTS_LEVELS_H_

#include <vector>

#include "dispatch.h"

namespace gecko {

#ifdef GECKO_EMULATED
extern const Kernels* const kEmulatedAvx512Kernels;
extern const Kernels* const kEmulatedAvx512VnniKernels;
extern const Kernels* const kEmulatedAmxInt8Kernels;
extern const Kernels* const kEmulatedAmxBFloat16Kernels;
#endif

inline std::vector<const Kernels*> levels_under_test() {
  std::vector<const Kernels*> levels = available_kernels();
#ifdef GECKO_EMULATED
  levels.insert(levels.end(), {kEmulatedAvx512Kernels, kEmulatedAvx512VnniKernels,
                               kEmulatedAmxInt8Kernels, kEmulatedAmxBFloat16Kernels});
#endif
  return levels;
}

}  // namespace gecko

#endif  // GECKO_TESTS_LEVELS_H_
