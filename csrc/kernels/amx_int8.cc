// Kernels for AMX with int8: bytes at some twenty times the rate of floats, blocks of 32 x 32.
#include "kernels/kernels.h"

#if defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AVX512F__) && \
    defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#define GECKO_TILE_DOT(c, a, b) _tile_dpbssd(c, a, b)
#include "kernels/amx.inl"
#include "kernels/avx512_quantise.inl"

namespace gecko {
namespace {

struct IntegerSums {
  static __m512 scores(const int32_t* sums, float scale) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums)), _mm512_set1_ps(scale));
  }
};

constexpr PackedScan kInt8 = {
    kBlock,          kBlock,        1, kStepWords, true, quantise, scan_tiles<IntegerSums>,
    configure_tiles, release_tiles,
};
constexpr Kernels kNarrow = {"amx-int8", 12,      16,        nullptr,   scan_tile<Avx512, 12, 1>,
                             &kInt8,     nullptr, exact_dot, widen_half};
constexpr Kernels kTable = {"amx-int8", 12,      32,        &kNarrow,  scan_tile<Avx512, 12, 2>,
                            &kInt8,     nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAmxInt8Kernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAmxInt8Kernels = nullptr;

#endif
