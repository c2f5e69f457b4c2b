// The level `avx512-vnni` as it is, on emulated instructions.
#define GECKO_EMULATED
#define kAvx512VnniKernels kOriginalAvx512VnniKernels
#include "kernels/avx512vnni.cc"
#undef kAvx512VnniKernels

namespace gecko {
namespace {

constexpr Kernels emulated(Kernels kernels) {
  kernels.name = "avx512-vnni (emulated)";
  return kernels;
}
constexpr Kernels kEmulated = emulated(kTable);

}  // namespace

extern const Kernels* const kEmulatedAvx512VnniKernels;
const Kernels* const kEmulatedAvx512VnniKernels = &kEmulated;

}  // namespace gecko
