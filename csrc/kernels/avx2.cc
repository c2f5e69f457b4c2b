// Kernels for AVX2 with FMA and F16C: tiles of 6 passages x 16 queries, 12 of 16 registers.
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "kernels/avx2.inl"

namespace gecko {
namespace {

constexpr Kernels kSingle = {"avx2",  4,       1,         nullptr,   0, scan_rows<Avx2, 4>,
                             nullptr, nullptr, exact_dot, widen_half};
constexpr Kernels kTable = {"avx2",  6,       16,        &kSingle,  4, scan_tile<Avx2, 6, 2>,
                            nullptr, nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx2Kernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx2Kernels = nullptr;

#endif
