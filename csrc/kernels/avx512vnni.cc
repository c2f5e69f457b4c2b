// Kernels for AVX-512 with VNNI: bytes at four times the rate of floats, tiles of 12 x 32.
#include "kernels/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__) && defined(__AVX512VNNI__)

#include "kernels/avx512.inl"
#include "kernels/avx512_quantise.inl"

namespace gecko {
namespace {

struct Vnni : Avx512 {
  using Int = __m512i;
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Int broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
  static Int load_words(const int32_t* p) { return _mm512_load_si512(p); }
  static Reg to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  // Not the intrinsic: GCC 12 then keeps copies of the sums in memory, at 0.4 of this speed.
  static void add_products(Int& sum, Int query, Int word) {
#ifdef GECKO_EMULATED
    sum = _mm512_dpbusd_epi32(sum, query, word);
#else
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(query), "v"(word));
#endif
  }
};

constexpr PackedScan kNarrowInt8 = {12,      16,     1, 1, false, quantise, scan_bytes<Vnni, 12, 1>,
                                    nullptr, nullptr};
constexpr PackedScan kInt8 = {12,      32,     1, 1, false, quantise, scan_bytes<Vnni, 12, 2>,
                              nullptr, nullptr};
constexpr Kernels kNarrow = {"avx512-vnni", 12,      16,        nullptr,   scan_tile<Vnni, 12, 1>,
                             &kNarrowInt8,  nullptr, exact_dot, widen_half};
constexpr Kernels kTable = {"avx512-vnni", 12,      32,        &kNarrow,  scan_tile<Vnni, 12, 2>,
                            &kInt8,        nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx512VnniKernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx512VnniKernels = nullptr;

#endif
