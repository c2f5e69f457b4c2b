// Hard negatives: a search whose results are filtered and drawn from block by block of the queries,
// so that no matrix of candidates leaves the call.
#ifndef GECKO_MINING_H_
#define GECKO_MINING_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "kernels/kernels.h"
#include "sampling.h"
#include "search.h"

namespace gecko {

// All pointers are borrowed for the length of the call.
struct MiningInput {
  SearchInput search;               // its k passages are the candidates; it must exclude positives
  const int64_t* positive_offsets;  // (q + 1): CSR, never falling
  const int64_t* positive_ids;      // rows of the passages
  const uint64_t* query_ids;        // (q): what a random draw depends on
  int64_t n_negatives;              // at least 0
  Strategy strategy;
  uint64_t seed;

  // Filters. Candidates with a rank in [first_rank, end_rank) pass, counted from 0; further, if
  // given, those with a score of at most `max_score`, of at least `min_score`, of at most p -
  // `absolute_margin` and of at most p - |p| * `relative_margin`, where p is the lowest score of
  // the query's positives. Without positives p is infinite, and both margins let all pass.
  int64_t first_rank, end_rank;
  std::optional<double> max_score, min_score, absolute_margin, relative_margin;
};

// What became of a candidate: the first filter that refused it, or kEligible.
enum Fate {
  kOutsideRankWindow,
  kAboveMaxScore,
  kBelowMinScore,
  kWithinAbsoluteMargin,
  kWithinRelativeMargin,
  kEligible,
  kFates
};
using FateCounts = std::array<int64_t, kFates>;

// Writes what sample_negatives() draws from each query's candidates that pass: ids (q, n_negatives)
// and scores (q, n_negatives), padded with -1 and -infinity. Gives the number of candidates by
// their fate. The same for any number of threads (>= 1) and, with a certified margin, any kernels.
//
// `report` as in search(). Memory: that of a search, of which no more than 32 MB of candidates, or
// one query's, are there at a time.
FateCounts mine_negatives(const MiningInput& input, const Kernels& kernels, int threads,
                          int64_t* ids, float* scores,
                          const std::function<void(double share)>& report);

}  // namespace gecko

#endif  // GECKO_MINING_H_
