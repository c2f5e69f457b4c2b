// What the levels with AVX-512 (F, BW, DQ, VL) share; each of them includes its own copy.

#include <immintrin.h>

#include "kernels/tile.inl"

namespace gecko {
namespace {

struct Avx512 {
  using Reg = __m512;
  static constexpr int kLanes = 16;
  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg load(const float* p) { return _mm512_load_ps(p); }
  static Reg load_unaligned(const float* p) { return _mm512_loadu_ps(p); }
  static float sum(Reg a) { return _mm512_reduce_add_ps(a); }
  static Reg broadcast(float x) { return _mm512_set1_ps(x); }
  static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg subtract_product(Reg c, Reg a, Reg b) { return _mm512_fnmadd_ps(a, b, c); }
  static Reg max(Reg a, Reg b) { return _mm512_max_ps(a, b); }
  static unsigned reaches(Reg a, Reg bar) { return _mm512_cmp_ps_mask(a, bar, _CMP_GE_OQ); }
  // Compressed in a register and then stored whole: a compressing store is microcode on Zen 4.
  static void append(float* scores, int32_t* places, unsigned mask, Reg a, int first_place) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const auto lane_mask = static_cast<__mmask16>(mask);
    const __m512i place = _mm512_add_epi32(lanes, _mm512_set1_epi32(first_place));
    _mm512_storeu_ps(scores, _mm512_maskz_compress_ps(lane_mask, a));
    _mm512_storeu_si512(places, _mm512_maskz_compress_epi32(lane_mask, place));
  }
};

double exact_dot(const float* a, const float* b, int64_t d) {
  __m512d sums[4];
  for (auto& sum : sums) sum = _mm512_setzero_pd();
  for (int64_t i = 0; i < d; i += 32) {
    const int64_t left = d - i < 32 ? d - i : 32;
    const auto mask = static_cast<uint32_t>((uint64_t{1} << left) - 1);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {  // a masked lane adds +0, which changes no sum that began at +0
      const auto part = static_cast<__mmask8>(mask >> (8 * v));
      const __m512d x = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(part, a + i + 8 * v));
      const __m512d y = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(part, b + i + 8 * v));
      sums[v] = _mm512_fmadd_pd(x, y, sums[v]);
    }
  }
  alignas(64) double lanes[8];
  _mm512_store_pd(lanes, _mm512_add_pd(_mm512_add_pd(sums[0], sums[2]),  // lanes j and j + 16
                                       _mm512_add_pd(sums[1], sums[3])));
  for (int half = 4; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

void widen_half(const uint16_t* half, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t left = n - i < 16 ? n - i : 16;
    const auto mask = static_cast<__mmask16>((1U << left) - 1);
    _mm512_mask_storeu_ps(out + i, mask, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, half + i)));
  }
}

}  // namespace
}  // namespace gecko
