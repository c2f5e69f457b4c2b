// The level `amx-int8` as it is, on emulated instructions.
#define GECKO_EMULATED
#define kAmxInt8Kernels kOriginalAmxInt8Kernels
#include "kernels/amx_int8.cc"
#undef kAmxInt8Kernels

namespace gecko {
namespace {

constexpr Kernels emulated(Kernels kernels) {
  kernels.name = "amx-int8 (emulated)";
  return kernels;
}
constexpr Kernels kEmulated = emulated(kTable);

}  // namespace

extern const Kernels* const kEmulatedAmxInt8Kernels;
const Kernels* const kEmulatedAmxInt8Kernels = &kEmulated;

}  // namespace gecko
