// The algorithm of all levels, over a vector type V that each level defines before it includes this
// file. Everything is in an anonymous namespace: each translation unit keeps its own copy.
//
// V has: Reg, kLanes, zero(), load(p), broadcast(x), fma(a, b, c) = a * b + c, max(a, b),
// subtract_product(c, a, b) = c - a * b, reaches(a, bar) -> bit mask of lanes with a >= bar, and
// append(scores, places, mask, reg, first_place): writes the lanes of mask, compacted.

#include "kernels/kernels.h"

namespace gecko {
namespace {

template <class V, int kRows, int kVectors>
int scan_tile(const float* const* rows, const QueryPanel* panel, int64_t d, float reach,
              Hits* hits) {
  constexpr int kPanel = kVectors * V::kLanes;
  const float* row[kRows];
  typename V::Reg sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows[r];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = V::zero();
  }
  const float* values = panel->values;
  for (int64_t i = 0; i < d; ++i, values += kPanel) {
    typename V::Reg query[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) query[v] = V::load(values + v * V::kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename V::Reg component = V::broadcast(row[r][i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] = V::fma(component, query[v], sums[r][v]);
    }
  }

  typename V::Reg bars[kVectors];
  unsigned any = 0;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    bars[v] = V::subtract_product(V::load(panel->limits + v * V::kLanes), V::broadcast(reach),
                                  V::load(panel->norms + v * V::kLanes));
    typename V::Reg best = sums[0][v];
#pragma GCC unroll 16
    for (int r = 1; r < kRows; ++r) best = V::max(best, sums[r][v]);
    any |= V::reaches(best, bars[v]);
  }
  if (any == 0) return 0;  // almost every tile, once the limits have risen

  int count = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const unsigned mask = V::reaches(sums[r][v], bars[v]);
      if (mask == 0) continue;
      V::append(hits->scores + count, hits->places + count, mask, sums[r][v],
                r * kPanel + v * V::kLanes);
      count += __builtin_popcount(mask);
    }
  }
  return count;
}

// The last up to 31 components of exact_dot, and its sum over lanes, for levels without masks.
inline double finish_exact_dot(double* lanes, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) lanes[i] += static_cast<double>(a[i]) * b[i];
  for (int half = 16; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

// Appends lane by lane: for levels that cannot compress a vector.
inline void append_lanes(float* scores, int32_t* places, unsigned mask, const float* lanes,
                         int first_place) {
  for (; mask != 0; mask &= mask - 1) {
    const int lane = __builtin_ctz(mask);
    *scores++ = lanes[lane];
    *places++ = first_place + lane;
  }
}

}  // namespace
}  // namespace gecko
