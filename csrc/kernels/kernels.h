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

// Queries packed side by side: values[i * panel_queries + j] is component i of query j.
// 64-byte aligned. Unused places at the end hold zeros and a limit of +infinity.
struct QueryPanel {
  const float* values;  // (d, panel_queries)
  const float* limits;  // (panel_queries): a lower bound of each query's k-th best score so far
  const float* norms;   // (panel_queries): |q|, rounded up
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

  // Scores `tile_rows` passages of `d` floats each against one panel, in float32, and reports in
  // `hits` every pair with score >= limit - norm * reach, in ascending order of place. Returns
  // their number. rows[] may repeat a pointer; rows need no alignment beyond that of float.
  int (*scan_tile)(const float* const* rows, const QueryPanel* panel, int64_t d, float reach,
                   Hits* hits);

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
extern const Kernels* const kAvx512Kernels;
extern const Kernels* const kNeonKernels;

}  // namespace gecko

#endif  // GECKO_KERNELS_KERNELS_H_
