// The two first passes of a search: float32 and int8. Each scores tiles of passages against panels
// of queries approximately and knows how far off a score can be. So that search.cc can be read
// without the difference, both have the same members:
//
//   load_queries(first, count)    packs queries; their limits are -infinity
//   set_limit(j, limit)           query j has k passages with an exact score of at least `limit`
//   load_tile(first, count)       reads passages [first, first + count), count <= tile_rows
//   scan(panel, hits)             gives all pairs that can still reach their limit
//   bounds(j, row, score)         of the exact score of query j and row `row` of the tile
//
// Exact scores are doubles rounded to float; bounds include that rounding. Derivations are in
// docs/retrieval.md.
#ifndef GECKO_FIRST_PASS_H_
#define GECKO_FIRST_PASS_H_

#include <cstdint>
#include <vector>

#include "aligned.h"
#include "bytes.h"
#include "kernels/kernels.h"
#include "search.h"

namespace gecko {

struct Bounds {
  float lower, upper;
};

// Scores in float32 on the passages as they are. The error of a score is at most
// g |q| |p| + t, g = m u / (1 - m u), u = 2^-24, m = d + 16 roundings; t is for underflow.
class FloatPass {
 public:
  FloatPass(const SearchInput& input, const Kernels& kernels);
  static int64_t query_bytes(const SearchInput& input) {
    return input.queries.columns * static_cast<int64_t>(sizeof(float));
  }

  void load_queries(int64_t first, int64_t count);
  void set_limit(int64_t j, float limit) { limits_[static_cast<size_t>(j)] = limit - absolute_; }
  void load_tile(int64_t first, int64_t count);
  int scan(int64_t panel, Hits* hits) const;
  Bounds bounds(int64_t j, int64_t row, float score) const;

 private:
  const SearchInput& input_;
  const Kernels& kernels_;
  const float relative_, absolute_;
  AlignedVector<float> values_, limits_, norms_;
  std::vector<float> scratch_;
  const float* rows_[kMaxTileRows] = {};
  const float* tile_norms_ = nullptr;
  float reach_ = 0;
};

// Scores in int8 on quantised passages q', p'. The error of a score is at most
// |q| |p - p'| + |q - q'| |p'| (Cauchy and Schwarz, twice).
class BytePass {
 public:
  BytePass(const SearchInput& input, const Kernels& kernels);
  static int64_t query_bytes(const SearchInput& input) { return input.queries.columns; }

  void load_queries(int64_t first, int64_t count);
  void set_limit(int64_t j, float limit);
  void load_tile(int64_t first, int64_t count);
  int scan(int64_t panel, Hits* hits) const;
  Bounds bounds(int64_t j, int64_t row, float score) const;

 private:
  const SearchInput& input_;
  const Kernels& kernels_;
  const int64_t groups_;
  const float absolute_;
  AlignedVector<uint8_t> values_;
  // In units of the query's scale: what BytePanel wants.
  AlignedVector<float> limits_, norms_, residuals_;
  std::vector<float> scales_;
  std::vector<float> scratch_;
  std::vector<int8_t> row_bytes_;
  BytePassages streamed_;  // the one tile in work, where nothing was packed beforehand
  const BytePassages* passages_ = nullptr;
  int64_t first_row_ = 0;
  ByteTile tile_ = {};
};

}  // namespace gecko

#endif  // GECKO_FIRST_PASS_H_
