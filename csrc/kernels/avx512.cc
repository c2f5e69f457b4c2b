// Kernels for AVX-512 (F, BW, DQ, VL): tiles of 12 passages x 32 queries, 24 of 32 registers.
//
// 14 rows would fill the registers, but their pointers do not fit the 15 general ones.
#include "kernels/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#include "kernels/avx512.inl"

namespace gecko {
namespace {

constexpr Kernels kSingle = {"avx512", 4,       1,         nullptr,   0, scan_rows<Avx512, 4>,
                             nullptr,  nullptr, exact_dot, widen_half};
constexpr Kernels kNarrow = {"avx512", 12,      16,        &kSingle,  4, scan_tile<Avx512, 12, 1>,
                             nullptr,  nullptr, exact_dot, widen_half};
constexpr Kernels kTable = {"avx512", 12,      32,        &kNarrow,  16, scan_tile<Avx512, 12, 2>,
                            nullptr,  nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx512Kernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx512Kernels = nullptr;

#endif
