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

// The largest tile of any level, and how many hits a buffer has room for.
enum {
  kMaxTileRows = 32,
  kMaxPanelQueries = 32,
  kMaxTileHits = kMaxTileRows * kMaxPanelQueries,
  kMaxHits = 4 * kMaxTileHits
};

// The largest dimension whose sum of products of bytes fits 32 bits.
enum { kMaxByteDimension = 65536 };

// Queries packed side by side: values[i * panel_queries + j] is component i of query j.
// 64-byte aligned. Unused places at the end hold zeros and a limit of +infinity.
struct QueryPanel {
  const float* values;  // (d, panel_queries)
  const float* limits;  // (panel_queries): a lower bound of each query's k-th best score so far
  const float* norms;   // (panel_queries): |q|, rounded up
};

// What was found: scores[i] belongs to row places[i] / panel_queries, counted from the first row of
// the call, and to query places[i] % panel_queries. Kernels append in any order, and may write up
// to one vector past the last hit.
struct Hits {
  int count;
  float scores[kMaxHits + 16];
  int32_t places[kMaxHits + 16];
};

// A vector rounded to int8 or bfloat16: component i is about scale * numbers[i].
struct Rounded {
  float scale;     // above 0; 1 for bfloat16
  float residual;  // at least |x - scale * numbers|
  float norm;      // at least |scale * numbers|
  int32_t sum;     // of the bytes; 0 for bfloat16
};

// Packed passages, tile after tile. Four bytes of a row (four components in int8, two in bfloat16),
// lowest first, are one word; rows are padded with zeros.
struct PackedTiles {
  const int32_t* words;    // (tiles, words / row_words, tile_rows, row_words), 64-byte aligned
  const int32_t* offsets;  // (tiles, tile_rows): what PackedScan::signed_queries is about
  const float* scales;     // (tiles, tile_rows)
  const float* residuals;  // (tiles): the largest of the rows
  const float* norms;      // (tiles): the largest of the rows
  int count;
  // What will be read next: so many bytes of it are to be fetched to the L2 cache with each tile.
  const char* ahead;
  int64_t ahead_bytes;
};

// Packed queries. All floats of a query are divided by its scale.
struct PackedPanel {
  const int32_t* words;    // (words, panel_queries), 64-byte aligned
  const float* limits;     // (panel_queries): as in QueryPanel
  const float* norms;      // (panel_queries): factors of the residuals of tiles, |q| or less
  const float* residuals;  // (panel_queries): factors of the norms of tiles, about |q - q'|
};

// A pass over numbers of 8 or 16 bits.
struct PackedScan {
  int tile_rows;        // passages of one tile
  int panel_queries;    // queries of one panel
  int component_bytes;  // 1 for int8, 2 for bfloat16
  int row_words;        // words of a row that lie side by side

  // False where the instruction wants one unsigned factor: bytes of queries are then stored 128
  // higher, and sums begin at the offset of the passage, -128 * Rounded::sum.
  bool signed_queries;

  // Rounds `d` floats to bytes in -127..127, with the largest magnitude / 127 as scale, or to
  // bfloat16, without subnormal numbers.
  Rounded (*round)(const float* row, int64_t d, void* numbers);

  // Scores tiles one after another, as long as `hits` has room, and gives the number of those done,
  // at least 1 with empty `hits`. A score is scales[row] * (sum of products); it is reported if it
  // is at least limit - norm * tile residual - residual * tile norm. `words` is at least 1 and a
  // multiple of row_words.
  int (*scan)(const PackedTiles* tiles, const PackedPanel* panel, int64_t words, Hits* hits);

  // To be called by each thread before its first scan and after its last one, or null.
  void (*begin)(void);
  void (*end)(void);

  // A search with more queries is as fast in float32, as it does not wait for the memory; 0 where
  // the pass always pays.
  int most_queries = 0;
};

struct Kernels {
  const char* name;
  int tile_rows;      // passages of one tile of scan_tile
  int panel_queries;  // queries of one panel of scan_tile

  // The same with narrower panels, for searches with up to `few_queries`; or null. Passages that
  // were packed for one serve the other.
  const Kernels* narrow;
  int few_queries;

  // Scores `tile_rows` passages of `d` floats each against one panel, in float32, and appends to
  // `hits` every pair with score >= limit - norm * reach. rows[] may repeat a pointer; rows need no
  // alignment beyond that of float.
  void (*scan_tile)(const float* const* rows, const QueryPanel* panel, int64_t d, float reach,
                    Hits* hits);

  // Null where the level has no instruction that makes it worth while. The dimension is at most
  // kMaxByteDimension for int8.
  const PackedScan* int8;
  const PackedScan* bfloat16;

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
extern const Kernels* const kAmxInt8Kernels;
extern const Kernels* const kAmxBFloat16Kernels;
extern const Kernels* const kNeonKernels;

}  // namespace gecko

#endif  // GECKO_KERNELS_KERNELS_H_
