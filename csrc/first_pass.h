// The two first passes of a search: over float32 and over packed numbers (int8, bfloat16). Each
// scores tiles of passages against panels of queries approximately and knows how far off a score
// can be. So that search.cc can be read without the difference, both have the same members:
//
//   tile_rows(), panel_queries()  the shape of the kernel
//   run_rows()                    passages that are read at once, a multiple of tile_rows()
//   query_bytes(), streams()      bytes of a packed query; whether runs are rounded anew each time
//   Scope(pass)                   to be there while scan() is called, in the same thread
//   load_queries(first, count)    packs queries; their limits are -infinity
//   set_limit(j, limit)           query j has k passages with an exact score of at least `limit`
//   load_run(first, count)        reads passages [first, first + count), count <= run_rows()
//   fetch_ahead(first, count, panels)  says what is loaded next, and after how many panels
//   scan(panel, tile, hits)       fills `hits` with all pairs that can still reach their limit;
//   from
//                                 tile `tile` of the run on; gives the number of tiles it did
//   bounds(j, row, score)         of the exact score of query j and row `row` of the run
//
// Exact scores are doubles rounded to float; bounds include that rounding. Derivations are in
// docs/retrieval.md.
#ifndef GECKO_FIRST_PASS_H_
#define GECKO_FIRST_PASS_H_

#include <cstdint>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "packed.h"
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
  struct Scope {
    explicit Scope(const FloatPass&) {}
  };

  int64_t tile_rows() const { return kernels_.tile_rows; }
  int64_t panel_queries() const { return kernels_.panel_queries; }
  int64_t run_rows() const { return kernels_.tile_rows; }
  int64_t query_bytes() const { return input_.queries.columns * int64_t{sizeof(float)}; }
  bool streams() const { return false; }
  void load_queries(int64_t first, int64_t count);
  void set_limit(int64_t j, float limit) { limits_[static_cast<size_t>(j)] = limit - absolute_; }
  void load_run(int64_t first, int64_t count);
  void fetch_ahead(int64_t, int64_t, int64_t) {}
  int64_t scan(int64_t panel, int64_t tile, Hits* hits) const;
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

// Scores on rounded passages p' and queries q'. The error of a score is at most
// |q| |p - p'| + |q - q'| |p'| (Cauchy and Schwarz, twice) and that of the arithmetic,
// a |q| |p'| with a = 2^-19 for int8, whose sums are exact, and g of FloatPass for bfloat16.
class PackedPass {
 public:
  PackedPass(const SearchInput& input, const Kernels& kernels);

  class Scope {
   public:
    explicit Scope(const PackedPass& pass) : scan_(pass.scan_) {
      if (scan_.begin != nullptr) scan_.begin();
    }
    ~Scope() {
      if (scan_.end != nullptr) scan_.end();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const PackedScan& scan_;
  };

  int64_t tile_rows() const { return scan_.tile_rows; }
  int64_t panel_queries() const { return scan_.panel_queries; }
  int64_t run_rows() const { return run_rows_; }
  int64_t query_bytes() const { return words_ * int64_t{sizeof(int32_t)}; }
  bool streams() const { return input_.packed == nullptr; }
  void load_queries(int64_t first, int64_t count);
  void set_limit(int64_t j, float limit);
  void load_run(int64_t first, int64_t count);
  void fetch_ahead(int64_t first, int64_t count, int64_t panels);
  int64_t scan(int64_t panel, int64_t tile, Hits* hits) const;
  Bounds bounds(int64_t j, int64_t row, float score) const;

 private:
  const SearchInput& input_;
  const Kernels& kernels_;
  const PackedScan& scan_;
  const int64_t words_;  // of a row
  const int64_t run_rows_;
  const float arithmetic_, absolute_;
  const float spread_;  // what of the rounding error is reckoned with: 1 where certified
  AlignedVector<int32_t> values_;
  // In units of the query's scale: what PackedPanel wants.
  AlignedVector<float> limits_, norms_, residuals_;
  std::vector<float> scales_;
  std::vector<float> scratch_;
  std::vector<int32_t> packed_query_;
  PackedPassages streamed_;  // the run in work, where nothing was packed beforehand
  const PackedPassages* passages_ = nullptr;
  int64_t first_row_ = 0;
  PackedTiles tiles_ = {};
};

}  // namespace gecko

#endif  // GECKO_FIRST_PASS_H_
