// Kernels for AMX with bfloat16: half the rate of int8, an error of a fifth, blocks of 32 x 32.
#include "kernels/kernels.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512F__) && \
    defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#define GECKO_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#include "kernels/amx.inl"

namespace gecko {
namespace {

struct FloatSums {
  static __m512 scores(const int32_t* sums, float) { return _mm512_load_ps(sums); }
};

// Adds the squares of 16 floats to sums of doubles, where none underflows.
inline __m512d add_squares(__m512d sums, __m512 a) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
  const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
  return _mm512_fmadd_pd(high, high, _mm512_fmadd_pd(low, low, sums));
}

// To the nearest, ties to even. What would become subnormal becomes 0, as the tile product takes
// it.
inline __m512i round_to_bfloat16(__m512 a) {
  const __m512i bits = _mm512_castps_si512(a);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
  const __mmask16 normal =
      _mm512_cmp_ps_mask(_mm512_abs_ps(a), _mm512_set1_ps(0x1p-126F), _CMP_GE_OQ);
  return _mm512_maskz_srli_epi32(normal, _mm512_add_epi32(bits, half), 16);
}

// A norm from a sum of squares, rounded up, also where it is a subnormal float.
inline float norm_of(__m512d squares) {
  return static_cast<float>(sqrt(_mm512_reduce_add_pd(squares))) * (1.0F + 0x1p-20F) + 0x1p-126F;
}

Rounded round_row(const float* row, int64_t d, void* numbers) {
  auto* halves = static_cast<uint16_t*>(numbers);
  __m512d residuals = _mm512_setzero_pd(), all = _mm512_setzero_pd();
  for (int64_t i = 0; i < d; i += 16) {
    const auto mask = static_cast<__mmask16>(d - i < 16 ? (1U << (d - i)) - 1 : 0xFFFF);
    const __m512 exact = _mm512_maskz_loadu_ps(mask, row + i);
    const __m512i rounded = round_to_bfloat16(exact);
    const __m512 wide = _mm512_castsi512_ps(_mm512_slli_epi32(rounded, 16));
    residuals = add_squares(residuals, _mm512_sub_ps(exact, wide));  // exact: they are neighbours
    all = add_squares(all, wide);
    _mm256_mask_storeu_epi16(halves + i, mask, _mm512_cvtepi32_epi16(rounded));
  }
  return {1.0F, norm_of(residuals), norm_of(all), 0};
}

constexpr PackedScan kBFloat16 = {
    kBlock,          kBlock,        2, kStepWords, true, round_row, scan_tiles<FloatSums>,
    configure_tiles, release_tiles,
};
constexpr Kernels kNarrow = {"amx-bf16", 12,         16,        nullptr,   scan_tile<Avx512, 12, 1>,
                             nullptr,    &kBFloat16, exact_dot, widen_half};
constexpr Kernels kTable = {"amx-bf16", 12,         32,        &kNarrow,  scan_tile<Avx512, 12, 2>,
                            nullptr,    &kBFloat16, exact_dot, widen_half};

}  // namespace

const Kernels* const kAmxBFloat16Kernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAmxBFloat16Kernels = nullptr;

#endif
