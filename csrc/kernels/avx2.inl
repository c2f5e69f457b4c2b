// What the levels with AVX2, FMA and F16C share; each of them includes its own copy.

#include <immintrin.h>

#include "kernels/tile.inl"

namespace gecko {
namespace {

struct Avx2 {
  using Reg = __m256;
  static constexpr int kLanes = 8;
  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg load(const float* p) { return _mm256_load_ps(p); }
  static Reg load_unaligned(const float* p) { return _mm256_loadu_ps(p); }
  static float sum(Reg a) {
    alignas(32) float lanes[kLanes];
    _mm256_store_ps(lanes, a);
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  }
  static Reg broadcast(float x) { return _mm256_set1_ps(x); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static Reg subtract_product(Reg c, Reg a, Reg b) { return _mm256_fnmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm256_max_ps(a, b); }
  static unsigned reaches(Reg a, Reg bar) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, bar, _CMP_GE_OQ)));
  }
  static void append(float* scores, int32_t* places, unsigned mask, Reg a, int first_place) {
    alignas(32) float lanes[kLanes];
    _mm256_store_ps(lanes, a);
    append_lanes(scores, places, mask, lanes, first_place);
  }
};

double exact_dot(const float* a, const float* b, int64_t d) {
  __m256d sums[8];
  for (auto& sum : sums) sum = _mm256_setzero_pd();
  int64_t i = 0;
  for (; i + 32 <= d; i += 32) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      const __m256d x = _mm256_cvtps_pd(_mm_loadu_ps(a + i + 4 * v));
      const __m256d y = _mm256_cvtps_pd(_mm_loadu_ps(b + i + 4 * v));
      sums[v] = _mm256_fmadd_pd(x, y, sums[v]);
    }
  }
  alignas(32) double lanes[32];
  for (int v = 0; v < 8; ++v) _mm256_store_pd(lanes + 4 * v, sums[v]);
  return finish_exact_dot(lanes, a + i, b + i, d - i);
}

void widen_half(const uint16_t* half, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const auto* source = reinterpret_cast<const __m128i*>(half + i);
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(source)));
  }
  for (; i < n; ++i) out[i] = _cvtsh_ss(half[i]);
}

}  // namespace
}  // namespace gecko
