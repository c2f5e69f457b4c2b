// Mining on small matrices, and what it must find: one step after the other, on all candidates.
#ifndef GECKO_TESTS_MINING_ORACLE_H_
#define GECKO_TESTS_MINING_ORACLE_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "mining.h"
#include "oracle.h"

namespace gecko {

// What is asked for besides the vectors.
struct Wish {
  int64_t k = 0, n_negatives = 0;
  Strategy strategy = Strategy::kTop;
  uint64_t seed = 0;
  int64_t first_rank = 0, end_rank = std::numeric_limits<int64_t>::max();
  std::optional<double> max_score = {}, min_score = {}, absolute_margin = {}, relative_margin = {};
};

struct Mined {
  Found negatives;
  FateCounts counts;
  bool operator==(const Mined& other) const {
    return negatives == other.negatives && counts == other.counts;
  }
};

// Lists in CSR form.
struct Csr {
  std::vector<int64_t> offsets = {0}, ids;
  explicit Csr(const Lists& lists) {
    for (const auto& list : lists) {
      ids.insert(ids.end(), list.begin(), list.end());
      offsets.push_back(static_cast<int64_t>(ids.size()));
    }
  }
};

inline std::vector<uint64_t> query_numbers(int64_t queries) {
  std::vector<uint64_t> numbers(static_cast<size_t>(queries));
  std::iota(numbers.begin(), numbers.end(), uint64_t{1000});
  return numbers;
}

// `hidden` lists hold the positives, too.
inline Mined mine(
    const Data& queries, const Data& passages, const Lists& positives, const Lists& hidden,
    const Wish& wish, const Kernels& kernels, int threads, FirstPass pass = FirstPass::kFloat32,
    const PackedPassages* packed = nullptr,
    const std::function<void(double)>& report = [](double) {}) {
  const Csr own(positives), excluded(hidden);
  const std::vector<uint64_t> numbers = query_numbers(queries.rows);
  const MiningInput input{
      {queries.matrix(), passages.matrix(), queries.norms.data(), passages.norms.data(),
       excluded.offsets.data(), excluded.ids.data(), wish.k, pass, packed, Margin::kCertified},
      own.offsets.data(),
      own.ids.data(),
      numbers.data(),
      wish.n_negatives,
      wish.strategy,
      wish.seed,
      wish.first_rank,
      wish.end_rank,
      wish.max_score,
      wish.min_score,
      wish.absolute_margin,
      wish.relative_margin};
  const auto size = static_cast<size_t>(queries.rows * wish.n_negatives);
  Mined mined{{std::vector<float>(size), std::vector<int64_t>(size)}, {}};
  mined.counts = mine_negatives(input, kernels, threads, mined.negatives.ids.data(),
                                mined.negatives.scores.data(), report);
  return mined;
}

// The lowest score of a query with one of `positives`.
inline double lowest_score(const float* query, const Data& passages,
                           const std::vector<int64_t>& positives) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const int64_t id : positives) {
    const double score = kScalarKernels->exact_dot(query, passages.row(id), passages.columns);
    lowest = std::min(lowest, static_cast<double>(static_cast<float>(score)));
  }
  return lowest;
}

// The first filter that refuses a candidate.
inline Fate fate_of(int64_t rank, double score, double positive, const Wish& wish) {
  const bool known = std::isfinite(positive);
  const double share = known ? std::fabs(positive) * wish.relative_margin.value_or(0) : 0;
  if (rank < wish.first_rank || rank >= wish.end_rank) return kOutsideRankWindow;
  if (score > wish.max_score.value_or(1e300)) return kAboveMaxScore;
  if (score < wish.min_score.value_or(-1e300)) return kBelowMinScore;
  if (known && wish.absolute_margin && score > positive - *wish.absolute_margin) {
    return kWithinAbsoluteMargin;
  }
  if (known && wish.relative_margin && score > positive - share) return kWithinRelativeMargin;
  return kEligible;
}

// From what a search without the hidden passages has found.
inline Mined mining_oracle(const Data& queries, const Data& passages, const Lists& positives,
                           const Found& found, const Wish& wish) {
  const std::vector<uint64_t> numbers = query_numbers(queries.rows);
  const std::unique_ptr<bool[]> eligible(new bool[found.ids.size()]());
  Mined mined{{}, {}};
  for (int64_t query = 0; query < queries.rows; ++query) {
    const double positive =
        lowest_score(queries.row(query), passages, positives[static_cast<size_t>(query)]);
    for (int64_t rank = 0; rank < wish.k; ++rank) {
      const auto at = static_cast<size_t>(query * wish.k + rank);
      if (found.ids[at] < 0) break;
      const Fate fate = fate_of(rank, found.scores[at], positive, wish);
      eligible[at] = fate == kEligible;
      ++mined.counts[fate];
    }
  }
  mined.negatives.ids.resize(static_cast<size_t>(queries.rows * wish.n_negatives));
  sample_negatives({found.ids.data(), eligible.get(), numbers.data(), queries.rows, wish.k,
                    wish.n_negatives, wish.strategy, wish.seed},
                   mined.negatives.ids.data());
  for (size_t at = 0; at < mined.negatives.ids.size(); ++at) {
    const int64_t query = static_cast<int64_t>(at) / wish.n_negatives;
    const int64_t id = mined.negatives.ids[at];
    const double score =
        id < 0 ? -std::numeric_limits<double>::infinity()
               : kScalarKernels->exact_dot(queries.row(query), passages.row(id), passages.columns);
    mined.negatives.scores.push_back(static_cast<float>(score) + 0.0F);
  }
  return mined;
}

}  // namespace gecko

#endif  // GECKO_TESTS_MINING_ORACLE_H_
