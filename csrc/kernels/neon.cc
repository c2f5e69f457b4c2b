// Kernels for AArch64 Advanced SIMD: tiles of 6 passages x 16 queries, 24 of 32 registers.
#include "kernels/kernels.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

#include "kernels/tile.inl"

namespace gecko {
namespace {

struct Neon {
  using Reg = float32x4_t;
  static constexpr int kLanes = 4;
  static Reg zero() { return vdupq_n_f32(0.0F); }
  static Reg load(const float* p) { return vld1q_f32(p); }
  static Reg broadcast(float x) { return vdupq_n_f32(x); }
  static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
  static Reg subtract_product(Reg c, Reg a, Reg b) { return vfmsq_f32(c, a, b); }
  static Reg max(Reg a, Reg b) { return vmaxq_f32(a, b); }
  static unsigned reaches(Reg a, Reg bar) {
    const uint32x4_t bits = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcgeq_f32(a, bar), bits));
  }
  static void append(float* scores, int32_t* places, unsigned mask, Reg a, int first_place) {
    float lanes[kLanes];
    vst1q_f32(lanes, a);
    append_lanes(scores, places, mask, lanes, first_place);
  }
};

double exact_dot(const float* a, const float* b, int64_t d) {
  float64x2_t sums[16];
  for (auto& sum : sums) sum = vdupq_n_f64(0.0);
  int64_t i = 0;
  for (; i + 32 <= d; i += 32) {
#pragma GCC unroll 16
    for (int v = 0; v < 16; ++v) {
      const float64x2_t x = vcvt_f64_f32(vld1_f32(a + i + 2 * v));
      const float64x2_t y = vcvt_f64_f32(vld1_f32(b + i + 2 * v));
      sums[v] = vfmaq_f64(sums[v], x, y);
    }
  }
  double lanes[32];
  for (int v = 0; v < 16; ++v) vst1q_f64(lanes + 2 * v, sums[v]);
  return finish_exact_dot(lanes, a + i, b + i, d - i);
}

void widen_half(const uint16_t* half, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half[i]))), 0);
  }
}

constexpr Kernels kTable = {"neon",  6,       16,        nullptr,   0, scan_tile<Neon, 6, 4>,
                            nullptr, nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kNeonKernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kNeonKernels = nullptr;

#endif
