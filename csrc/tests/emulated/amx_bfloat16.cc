// The level `amx-bf16` as it is, on emulated instructions.
#define GECKO_EMULATED
#define kAmxBFloat16Kernels kOriginalAmxBFloat16Kernels
#include "kernels/amx_bfloat16.cc"
#undef kAmxBFloat16Kernels

namespace gecko {
namespace {

constexpr Kernels emulated(Kernels kernels) {
  kernels.name = "amx-bf16 (emulated)";
  return kernels;
}
constexpr Kernels kEmulated = emulated(kTable);

}  // namespace

extern const Kernels* const kEmulatedAmxBFloat16Kernels;
const Kernels* const kEmulatedAmxBFloat16Kernels = &kEmulated;

}  // namespace gecko
