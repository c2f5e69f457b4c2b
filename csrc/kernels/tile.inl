// The algorithm of all levels, over a vector type V that each level defines before it includes this
// file. Everything is in an anonymous namespace: each translation unit keeps its own copy.
//
// V has: Reg, kLanes, zero(), load(p), broadcast(x), fma(a, b, c) = a * b + c, max(a, b),
// subtract_product(c, a, b) = c - a * b, reaches(a, bar) -> bit mask of lanes with a >= bar, and
// append(scores, places, mask, reg, first_place): writes the lanes of mask, compacted. For the pass
// over bytes also: Int, multiply(a, b), broadcast_int(x), load_words(p), to_float(int) and
// add_products(sum, unsigned bytes, signed bytes): adds four products to each 32-bit lane.

#include <math.h>

#include "kernels/kernels.h"

namespace gecko {
namespace {

// Appends what reaches its bar; `place` is that of the first score.
template <class V, int kRows, int kVectors>
inline void report_hits(typename V::Reg (&scores)[kRows][kVectors],
                        const typename V::Reg (&bars)[kVectors], int place, Hits* hits) {
  unsigned any = 0;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    typename V::Reg best = scores[0][v];
#pragma GCC unroll 16
    for (int r = 1; r < kRows; ++r) best = V::max(best, scores[r][v]);
    any |= V::reaches(best, bars[v]);
  }
  if (any == 0) return;  // almost every tile, once the limits have risen

  int count = hits->count;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const unsigned mask = V::reaches(scores[r][v], bars[v]);
      if (mask == 0) continue;
      V::append(hits->scores + count, hits->places + count, mask, scores[r][v],
                place + (r * kVectors + v) * V::kLanes);
      count += __builtin_popcount(mask);
    }
  }
  hits->count = count;
}

template <class V, int kRows, int kVectors>
void scan_tile(const float* const* rows, const QueryPanel* panel, int64_t d, float reach,
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
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    bars[v] = V::subtract_product(V::load(panel->limits + v * V::kLanes), V::broadcast(reach),
                                  V::load(panel->norms + v * V::kLanes));
  }
  report_hits<V, kRows, kVectors>(sums, bars, 0, hits);
}

// Scores tile `t` of those.
template <class V, int kRows, int kVectors>
inline void scan_byte_tile(const PackedTiles* tiles, int t, const PackedPanel* panel, int64_t words,
                           Hits* hits) {
  const int32_t* row_words = tiles->words + t * words * kRows;
  const int32_t* offsets = tiles->offsets + t * kRows;
  const int32_t* query_words = panel->words;
  typename V::Int sums[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sums[r][v] = V::broadcast_int(offsets[r]);
  }
  for (int64_t i = 0; i < words; ++i, row_words += kRows, query_words += kVectors * V::kLanes) {
    typename V::Int query[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) query[v] = V::load_words(query_words + v * V::kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename V::Int word = V::broadcast_int(row_words[r]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) V::add_products(sums[r][v], query[v], word);
    }
  }

  typename V::Reg scores[kRows][kVectors], bars[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    bars[v] = V::subtract_product(V::load(panel->limits + v * V::kLanes),
                                  V::load(panel->norms + v * V::kLanes),
                                  V::broadcast(tiles->residuals[t]));
    bars[v] = V::subtract_product(bars[v], V::load(panel->residuals + v * V::kLanes),
                                  V::broadcast(tiles->norms[t]));
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const typename V::Reg scale = V::broadcast(tiles->scales[t * kRows + r]);
      scores[r][v] = V::multiply(V::to_float(sums[r][v]), scale);
    }
  }
  report_hits<V, kRows, kVectors>(scores, bars, t * kRows * kVectors * V::kLanes, hits);
}

// PackedScan::scan for bytes.
template <class V, int kRows, int kVectors>
int scan_bytes(const PackedTiles* tiles, const PackedPanel* panel, int64_t words, Hits* hits) {
  constexpr int kTileHits = kRows * kVectors * V::kLanes;
  int t = 0;
  for (; t < tiles->count && hits->count <= kMaxHits - kTileHits; ++t) {
    const char* ahead = tiles->ahead + t * tiles->ahead_bytes;
    for (int64_t i = 0; i < tiles->ahead_bytes; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    scan_byte_tile<V, kRows, kVectors>(tiles, t, panel, words, hits);
  }
  return t;
}

// The step of a row with this largest magnitude. A row of next to nothing gets bytes of 0.
inline float byte_scale(float largest) { return largest > 1e-30F ? largest / 127.0F : 1.0F; }

// Makes norms of sums of squares that were taken in units of `scale`, where nothing underflows: of
// x / scale - byte, of x / scale, and of the bytes. Norms are rounded up: a sum of d squares is off
// by at most d * 2^-24 of itself, and x / scale by 2^-22 of itself. The last term of the residual
// is the norm of a row whose bytes are 0.
inline Rounded finish_quantised(float scale, float residuals, float all, int64_t squares,
                                int32_t sum, int64_t d) {
  const float up = 1.0F + static_cast<float>(d + 8) * 0x1p-23F;
  const float residual = sqrtf(residuals) * up + sqrtf(all) * up * 0x1p-21F;
  return {scale, residual * scale * up + sqrtf(static_cast<float>(d)) * 1e-30F,
          sqrtf(static_cast<float>(squares)) * scale * up, sum};
}

// PackedScan::round to bytes, in plain C++.
inline Rounded quantise_plain(const float* row, int64_t d, void* numbers) {
  auto* bytes = static_cast<int8_t*>(numbers);
  float largest = 0, residuals = 0, all = 0;
  int32_t sum = 0, squares = 0;
  for (int64_t i = 0; i < d; ++i) largest = fmaxf(largest, fabsf(row[i]));
  const float scale = byte_scale(largest), inverse = 1.0F / scale;
  for (int64_t i = 0; i < d; ++i) {
    const float steps = row[i] * inverse, byte = nearbyintf(steps);
    bytes[i] = static_cast<int8_t>(byte);
    residuals += (steps - byte) * (steps - byte);
    all += steps * steps;
    squares += bytes[i] * bytes[i];
    sum += bytes[i];
  }
  return finish_quantised(scale, residuals, all, squares, sum, d);
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
