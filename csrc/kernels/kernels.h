// The contract between the search driver and the kernels of one instruction set.
//
// This header is included by translation units built with different -m flags. It holds plain data
// only: an inline function or a template shared between them could be kept by the linker in its
// AVX-512 form and then run on a machine that has none.
#ifndef GECKO_KERNELS_KERNELS_H_
#define GECKO_KERNELS_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

namespace gecko {

// The largest tile of any level: what a `Hits` buffer must have room for.
enum { kMaxTileRows = 16, kMaxPanelQueries = 32, kMaxHits = kMaxTileRows * kMaxPanelQueries };

// The largest dimension whose sum of products of bytes fits 32 bits.
enum { kMaxByteDimension = 65536 };

// Queries packed side by side: values[i * panel_queries + j] is component i of query j.
// 64-byte aligned. Unused places at the end hold zeros and a limit of +infinity.
struct QueryPanel {
  const float* values;  // (d, panel_queries)
  const float* limits;  // (panel_queries): a lower bound of each query's k-th best score so far
  const float* norms;   // (panel_queries): |q|, rounded up
};

// A vector as bytes: component i is about scale * bytes[i].
struct Quantised {
  float scale;     // above 0
  float residual;  // at least |x - scale * bytes|
  float norm;      // at least |scale * bytes|
  int32_t sum;     // of the bytes
};

// `tile_rows` quantised passages. Four components of a row, lowest first, are one word.
struct ByteTile {
  const int32_t* words;    // (groups, tile_rows), groups = ceil(d / 4), padded with zeros
  const int32_t* offsets;  // (tile_rows): -128 * sum, as bytes of queries are stored 128 higher
  const float* scales;     // (tile_rows)
  float residual;          // the largest of the rows
  float norm;              // the largest of the rows
};

// Quantised queries. All floats of a query are divided by its scale.
struct BytePanel {
  const uint8_t* values;   // (groups, panel_queries, 4): bytes + 128, 64-byte aligned
  const float* limits;     // (panel_queries): as in QueryPanel
  const float* norms;      // (panel_queries): |q|, rounded up
  const float* residuals;  // (panel_queries): Quantised::residual of q
};

// What one tile found: scores[i] belongs to tile row places[i] / panel_queries and to query
// places[i] % panel_queries. Kernels may write up to one vector past the last hit.
struct Hits {
  float scores[kMaxHits + 16];
  int32_t places[kMaxHits + 16];
};

struct Kernels {
  const char* name;
  int tile_rows;      // passages of one tile
  int panel_queries;  // queries of one panel

  // The same with narrower panels, for searches with few queries; or null. Passages that were
  // packed for one serve the other.
  const Kernels* narrow;

  // Scores `tile_rows` passages of `d` floats each against one panel, in float32, and reports in
  // `hits` every pair with score >= limit - norm * reach, in ascending order of place. Returns
  // their number. rows[] may repeat a pointer; rows need no alignment beyond that of float.
  int (*scan_tile)(const float* const* rows, const QueryPanel* panel, int64_t d, float reach,
                   Hits* hits);

  // The same in int8, or null where the level has no instruction that makes it worth while: scores
  // are scales[row] * (sum of products of bytes), reported if they are at least
  // limit - norm * tile.residual - residual * tile.norm. d is at most kMaxByteDimension.
  int (*scan_bytes)(const ByteTile* tile, const BytePanel* panel, int64_t groups, Hits* hits);

  // Rounds `d` floats to bytes in -127..127; their scale is the largest magnitude / 127. Null
  // together with scan_bytes.
  Quantised (*quantise)(const float* row, int64_t d, int8_t* bytes);

  // The definition of a score, the same bits at every level and in NumPy: component i belongs to
  // lane i % 32; each lane adds its float64 products (exact, as the factors are float32) in
  // ascending order from 0; lanes are added by halves (lane j + lane j + 16, then + 8, ... + 1).
  double (*exact_dot)(const float* a, const float* b, int64_t d);

  // Widens `n` IEEE half precision numbers to float32, exactly.
  void (*widen_half)(const uint16_t* half, float* out, int64_t n);
};

// Null where the build has no such level; whether the machine has it is for dispatch.h to say.
extern const Kernels* const kScalarKernels;
extern const Kernels* const kAvx2Kernels;
extern const Kernels* const kAvx2VnniKernels;
extern const Kernels* const kAvx512Kernels;
extern const Kernels* const kAvx512VnniKernels;
extern const Kernels* const kNeonKernels;

}  // namespace gecko

#endif  // GECKO_KERNELS_KERNELS_H_
