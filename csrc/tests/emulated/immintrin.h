// The intrinsics of AVX-512, VNNI and AMX that csrc/kernels uses, in portable C++ and by the
// definitions of Intel's manuals, so that tests run the very same kernels on machines without them.
// Stands in for the compiler's header of this name in the units of tests/emulated, and only there.
#ifndef GECKO_TESTS_EMULATED_IMMINTRIN_H_
#define GECKO_TESTS_EMULATED_IMMINTRIN_H_

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace gecko {
namespace {

template <class T, int kLanes>
struct alignas(sizeof(T) * kLanes) Lanes {
  T lane[kLanes];
};

}  // namespace
}  // namespace gecko

#define GECKO_INTRINSIC [[maybe_unused]] static inline

using __m128i = gecko::Lanes<int8_t, 16>;
using __m256 = gecko::Lanes<float, 8>;
using __m256i = gecko::Lanes<uint16_t, 16>;
using __m512 = gecko::Lanes<float, 16>;
using __m512d = gecko::Lanes<double, 8>;
using __m512i = gecko::Lanes<int32_t, 16>;
using __mmask8 = uint8_t;
using __mmask16 = uint16_t;

enum { _CMP_GE_OQ = 29, _MM_HINT_T1 = 2 };

GECKO_INTRINSIC void _mm_prefetch(const void*, int) {}

// Applies `operation` lane by lane.
template <class Result, class Operation>
static inline Result by_lane(Operation operation) {
  Result result = {};
  for (size_t i = 0; i < sizeof result.lane / sizeof result.lane[0]; ++i) {
    result.lane[i] = operation(i);
  }
  return result;
}

// Loads and stores. Aligned ones check that they are.
static inline void require_alignment(const void* p) {
  if (reinterpret_cast<uintptr_t>(p) % 64 != 0) abort();
}
template <class Register>
static inline Register load(const void* p) {
  Register result;
  memcpy(&result, p, sizeof result);
  return result;
}
GECKO_INTRINSIC __m512 _mm512_load_ps(const void* p) {
  require_alignment(p);
  return load<__m512>(p);
}
GECKO_INTRINSIC __m512i _mm512_load_si512(const void* p) {
  require_alignment(p);
  return load<__m512i>(p);
}
GECKO_INTRINSIC void _mm512_store_pd(void* p, __m512d a) {
  require_alignment(p);
  memcpy(p, &a, sizeof a);
}
GECKO_INTRINSIC void _mm512_storeu_ps(void* p, __m512 a) { memcpy(p, &a, sizeof a); }
GECKO_INTRINSIC void _mm512_storeu_si512(void* p, __m512i a) { memcpy(p, &a, sizeof a); }

// Reads and writes only the lanes of the mask.
template <class Register, class T>
static inline Register load_masked(unsigned mask, const T* p) {
  return by_lane<Register>([&](size_t i) { return (mask >> i & 1) != 0 ? p[i] : T{0}; });
}
template <class Register, class T>
static inline void store_masked(T* p, unsigned mask, const Register& a) {
  for (size_t i = 0; i < sizeof a.lane / sizeof a.lane[0]; ++i) {
    if ((mask >> i & 1) != 0) memcpy(p + i, &a.lane[i], sizeof(T));
  }
}
GECKO_INTRINSIC __m256 _mm256_maskz_loadu_ps(__mmask8 mask, const float* p) {
  return load_masked<__m256>(mask, p);
}
GECKO_INTRINSIC __m512 _mm512_maskz_loadu_ps(__mmask16 mask, const float* p) {
  return load_masked<__m512>(mask, p);
}
GECKO_INTRINSIC __m256i _mm256_maskz_loadu_epi16(__mmask16 mask, const uint16_t* p) {
  return load_masked<__m256i>(mask, p);
}
GECKO_INTRINSIC void _mm512_mask_storeu_ps(float* p, __mmask16 mask, __m512 a) {
  store_masked(p, mask, a);
}
GECKO_INTRINSIC void _mm256_mask_storeu_epi16(uint16_t* p, __mmask16 mask, __m256i a) {
  store_masked(p, mask, a);
}
GECKO_INTRINSIC void _mm_mask_storeu_epi8(int8_t* p, __mmask16 mask, __m128i a) {
  store_masked(p, mask, a);
}

// Constants.
GECKO_INTRINSIC __m512 _mm512_set1_ps(float a) {
  return by_lane<__m512>([&](size_t) { return a; });
}
GECKO_INTRINSIC __m512i _mm512_set1_epi32(int32_t a) {
  return by_lane<__m512i>([&](size_t) { return a; });
}
GECKO_INTRINSIC __m512 _mm512_setzero_ps() { return {}; }
GECKO_INTRINSIC __m512d _mm512_setzero_pd() { return {}; }
GECKO_INTRINSIC __m512i _mm512_setzero_si512() { return {}; }
template <class... Lane>
static inline __m512i _mm512_setr_epi32(Lane... lane) {
  return {{lane...}};
}

// Arithmetic. A multiply-add that rounds twice is within the error bounds of float32, and gives the
// same bits in double, where products of floats are exact.
GECKO_INTRINSIC __m512 _mm512_fmadd_ps(const __m512& a, const __m512& b, const __m512& c) {
  return by_lane<__m512>([&](size_t i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
GECKO_INTRINSIC __m512 _mm512_fnmadd_ps(const __m512& a, const __m512& b, const __m512& c) {
  return by_lane<__m512>([&](size_t i) { return c.lane[i] - a.lane[i] * b.lane[i]; });
}
GECKO_INTRINSIC __m512d _mm512_fmadd_pd(const __m512d& a, const __m512d& b, const __m512d& c) {
  return by_lane<__m512d>([&](size_t i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
GECKO_INTRINSIC __m512d _mm512_add_pd(const __m512d& a, const __m512d& b) {
  return by_lane<__m512d>([&](size_t i) { return a.lane[i] + b.lane[i]; });
}
GECKO_INTRINSIC __m512 _mm512_sub_ps(const __m512& a, const __m512& b) {
  return by_lane<__m512>([&](size_t i) { return a.lane[i] - b.lane[i]; });
}
GECKO_INTRINSIC __m512 _mm512_mul_ps(const __m512& a, const __m512& b) {
  return by_lane<__m512>([&](size_t i) { return a.lane[i] * b.lane[i]; });
}
GECKO_INTRINSIC __m512 _mm512_max_ps(const __m512& a, const __m512& b) {
  return by_lane<__m512>([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
GECKO_INTRINSIC __m512 _mm512_abs_ps(const __m512& a) {
  return by_lane<__m512>([&](size_t i) { return fabsf(a.lane[i]); });
}
GECKO_INTRINSIC __m512i _mm512_add_epi32(const __m512i& a, const __m512i& b) {
  return by_lane<__m512i>([&](size_t i) {
    return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) +
                                static_cast<uint32_t>(b.lane[i]));
  });
}
GECKO_INTRINSIC __m512i _mm512_mullo_epi32(const __m512i& a, const __m512i& b) {
  return by_lane<__m512i>([&](size_t i) { return a.lane[i] * b.lane[i]; });
}
GECKO_INTRINSIC __m512i _mm512_and_si512(const __m512i& a, const __m512i& b) {
  return by_lane<__m512i>([&](size_t i) { return a.lane[i] & b.lane[i]; });
}
GECKO_INTRINSIC __m512i _mm512_srli_epi32(const __m512i& a, unsigned bits) {
  return by_lane<__m512i>(
      [&](size_t i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) >> bits); });
}
GECKO_INTRINSIC __m512i _mm512_slli_epi32(const __m512i& a, unsigned bits) {
  return by_lane<__m512i>(
      [&](size_t i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << bits); });
}
GECKO_INTRINSIC __m512i _mm512_maskz_srli_epi32(__mmask16 mask, const __m512i& a, unsigned bits) {
  const __m512i shifted = _mm512_srli_epi32(a, bits);
  return by_lane<__m512i>([&](size_t i) { return (mask >> i & 1) != 0 ? shifted.lane[i] : 0; });
}

// Comparison, of the one kind that is used; compression.
GECKO_INTRINSIC __mmask16 _mm512_cmp_ps_mask(const __m512& a, const __m512& b, int kind) {
  if (kind != _CMP_GE_OQ) abort();
  unsigned mask = 0;
  for (size_t i = 0; i < 16; ++i) mask |= (a.lane[i] >= b.lane[i] ? 1U : 0U) << i;
  return static_cast<__mmask16>(mask);
}
template <class Register>
static inline Register compress(unsigned mask, const Register& a) {
  Register result = {};
  size_t count = 0;
  for (size_t i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) result.lane[count++] = a.lane[i];
  }
  return result;
}
GECKO_INTRINSIC __m512 _mm512_maskz_compress_ps(__mmask16 mask, const __m512& a) {
  return compress(mask, a);
}
GECKO_INTRINSIC __m512i _mm512_maskz_compress_epi32(__mmask16 mask, const __m512i& a) {
  return compress(mask, a);
}

// Conversions. Those to integers round to the nearest, ties to even.
GECKO_INTRINSIC __m512d _mm512_cvtps_pd(const __m256& a) {
  return by_lane<__m512d>([&](size_t i) { return static_cast<double>(a.lane[i]); });
}
GECKO_INTRINSIC __m512 _mm512_cvtepi32_ps(const __m512i& a) {
  return by_lane<__m512>([&](size_t i) { return static_cast<float>(a.lane[i]); });
}
GECKO_INTRINSIC __m512i _mm512_cvtps_epi32(const __m512& a) {
  return by_lane<__m512i>([&](size_t i) { return static_cast<int32_t>(nearbyintf(a.lane[i])); });
}
GECKO_INTRINSIC __m128i _mm512_cvtepi32_epi8(const __m512i& a) {
  return by_lane<__m128i>([&](size_t i) { return static_cast<int8_t>(a.lane[i]); });
}
GECKO_INTRINSIC __m256i _mm512_cvtepi32_epi16(const __m512i& a) {
  return by_lane<__m256i>([&](size_t i) { return static_cast<uint16_t>(a.lane[i]); });
}
GECKO_INTRINSIC __m512 _mm512_castsi512_ps(const __m512i& a) { return load<__m512>(&a); }
GECKO_INTRINSIC __m512i _mm512_castps_si512(const __m512& a) { return load<__m512i>(&a); }
GECKO_INTRINSIC __m256 _mm512_castps512_ps256(const __m512& a) { return load<__m256>(a.lane); }
GECKO_INTRINSIC __m256 _mm512_extractf32x8_ps(const __m512& a, int half) {
  return load<__m256>(a.lane + 8 * half);
}
GECKO_INTRINSIC __m512 _mm512_cvtph_ps(const __m256i& a) {
  return by_lane<__m512>([&](size_t i) {
    const int exponent = a.lane[i] >> 10 & 31, fraction = a.lane[i] & 1023;
    const float size = exponent == 0 ? ldexpf(static_cast<float>(fraction), -24)
                       : exponent == 31
                           ? (fraction == 0 ? HUGE_VALF : nanf(""))
                           : ldexpf(static_cast<float>(1024 + fraction), exponent - 25);
    return (a.lane[i] & 0x8000) != 0 ? -size : size;
  });
}

// Reductions.
template <class Register>
static inline auto sum_of(const Register& a) {
  auto sum = a.lane[0];
  for (size_t i = 1; i < sizeof a.lane / sizeof a.lane[0]; ++i) sum += a.lane[i];
  return sum;
}
GECKO_INTRINSIC float _mm512_reduce_add_ps(const __m512& a) { return sum_of(a); }
GECKO_INTRINSIC double _mm512_reduce_add_pd(const __m512d& a) { return sum_of(a); }
GECKO_INTRINSIC int32_t _mm512_reduce_add_epi32(const __m512i& a) { return sum_of(a); }
GECKO_INTRINSIC float _mm512_reduce_max_ps(const __m512& a) {
  float largest = a.lane[0];
  for (const float lane : a.lane) largest = lane > largest ? lane : largest;
  return largest;
}

// VNNI: unsigned bytes of `a` times signed bytes of `b`.
GECKO_INTRINSIC __m512i _mm512_dpbusd_epi32(const __m512i& c, const __m512i& a, const __m512i& b) {
  uint8_t left[64];
  int8_t right[64];
  memcpy(left, &a, sizeof left);
  memcpy(right, &b, sizeof right);
  return by_lane<__m512i>([&](size_t i) {
    int32_t sum = c.lane[i];
    for (size_t j = 4 * i; j < 4 * i + 4; ++j) sum += left[j] * right[j];
    return sum;
  });
}

#include "emulated/tiles.h"

#endif  // GECKO_TESTS_EMULATED_IMMINTRIN_H_
