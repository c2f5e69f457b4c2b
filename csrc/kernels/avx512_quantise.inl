// PackedScan::round to bytes with AVX-512, for the levels that have an int8 pass; to be included
// after avx512.inl.

namespace gecko {
namespace {

inline float largest_magnitude(const float* row, int64_t d) {
  __m512 largest = _mm512_setzero_ps();
  for (int64_t i = 0; i < d; i += 16) {
    const auto mask = static_cast<__mmask16>(d - i < 16 ? (1U << (d - i)) - 1 : 0xFFFF);
    largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, row + i)));
  }
  return _mm512_reduce_max_ps(largest);
}

inline Rounded quantise(const float* row, int64_t d, void* numbers) {
  auto* bytes = static_cast<int8_t*>(numbers);
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

}  // namespace
}  // namespace gecko
