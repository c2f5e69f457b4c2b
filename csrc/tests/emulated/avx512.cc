// The level `avx512` as it is, on emulated instructions.
#define GECKO_EMULATED
#define kAvx512Kernels kOriginalAvx512Kernels
#include "kernels/avx512.cc"
#undef kAvx512Kernels

namespace gecko {
namespace {

constexpr Kernels emulated(Kernels kernels) {
  kernels.name = "avx512 (emulated)";
  return kernels;
}
constexpr Kernels kEmulated = emulated(kTable);

}  // namespace

extern const Kernels* const kEmulatedAvx512Kernels;
const Kernels* const kEmulatedAvx512Kernels = &kEmulated;

}  // namespace gecko
