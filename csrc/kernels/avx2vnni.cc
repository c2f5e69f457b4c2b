// Kernels for AVX2 with AVX-VNNI (machines without AVX-512, from Alder Lake on): bytes at four
// times the rate of floats, tiles of 6 passages x 16 queries.
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__AVXVNNI__)

#include "kernels/avx2.inl"

namespace gecko {
namespace {

struct AvxVnni : Avx2 {
  using Int = __m256i;
  static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Int broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
  static Int load_words(const int32_t* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Reg to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  // Not the intrinsic, for the reason given in avx512vnni.cc.
  static void add_products(Int& sum, Int query, Int word) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(query), "x"(word));
  }
};

constexpr PackedScan kInt8 = {
    6, 16, 1, 1, false, quantise_plain, scan_bytes<AvxVnni, 6, 2>, nullptr, nullptr};
constexpr Kernels kTable = {"avx2-vnni", 6,       16,        nullptr,   scan_tile<AvxVnni, 6, 2>,
                            &kInt8,      nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx2VnniKernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx2VnniKernels = nullptr;

#endif
