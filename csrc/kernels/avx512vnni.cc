// Kernels for AVX-512 with VNNI: bytes at four times the rate of floats, tiles of 12 x 32.
#include "kernels/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__) && defined(__AVX512VNNI__)

#include "kernels/avx512.inl"

namespace gecko {
namespace {

struct Vnni : Avx512 {
  using Int = __m512i;
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Int broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
  static Int load_bytes(const uint8_t* p) { return _mm512_load_si512(p); }
  static Reg to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  // Not the intrinsic: GCC 12 then keeps copies of the sums in memory, at 0.4 of this speed.
  static void add_products(Int& sum, Int query, Int word) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(query), "v"(word));
  }
};

float largest_magnitude(const float* row, int64_t d) {
  __m512 largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < d; i += 16) {
    const auto mask = static_cast<__mmask16>(d - i < 16 ? (1U << (d - i)) - 1 : 0xFFFF);
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, row + i)));
  }
  return _mm512_reduce_max_ps(largest);
}

Quantised quantise(const float* row, int64_t d, int8_t* bytes) {
  const float scale = byte_scale(largest_magnitude(row, d));
  const __m512 inverse = _mm512_set1_ps(1.0F / scale);
  __m512 residuals = _mm512_setzero_ps(), all = _mm512_setzero_ps();
  __m512i sum = _mm512_setzero_si512(), squares = _mm512_setzero_si512();
  for (int64_t i = 0; i < d; i += 16) {
    const auto mask = static_cast<__mmask16>(d - i < 16 ? (1U << (d - i)) - 1 : 0xFFFF);
    const __m512 steps = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, row + i), inverse);
    const __m512i byte = _mm512_cvtps_epi32(steps);
    const __m512 residual = _mm512_sub_ps(steps, _mm512_cvtepi32_ps(byte));
    residuals = _mm512_fmadd_ps(residual, residual, residuals);
    all = _mm512_fmadd_ps(steps, steps, all);
    squares = _mm512_add_epi32(squares, _mm512_mullo_epi32(byte, byte));
    sum = _mm512_add_epi32(sum, byte);
    _mm_mask_storeu_epi8(bytes + i, mask, _mm512_cvtepi32_epi8(byte));
  }
  return finish_quantised(scale, _mm512_reduce_add_ps(residuals), _mm512_reduce_add_ps(all),
                          _mm512_reduce_add_epi32(squares), _mm512_reduce_add_epi32(sum), d);
}

constexpr Kernels kNarrow = {
    "avx512-vnni",           12,       16,        nullptr,   scan_tile<Vnni, 12, 1>,
    scan_bytes<Vnni, 12, 1>, quantise, exact_dot, widen_half};
constexpr Kernels kTable = {
    "avx512-vnni",           12,       32,        &kNarrow,  scan_tile<Vnni, 12, 2>,
    scan_bytes<Vnni, 12, 2>, quantise, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx512VnniKernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx512VnniKernels = nullptr;

#endif
