#include "mining.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parallel.h"
#include "rows.h"

namespace gecko {
namespace {

constexpr int64_t kCandidateBytes = 32 << 20;  // of the queries that are searched at a time
constexpr int64_t kBytesPerCandidate = sizeof(float) + sizeof(int64_t);
// A thread's share of them: as many as search() can lead past the passages at once.
constexpr int64_t kQueriesPerThread = 4096;
constexpr int64_t kQueriesPerTask = 64;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t index(int64_t i) { return static_cast<size_t>(i); }

// How many queries are searched at a time; at least 1.
int64_t block_size(int64_t queries, int64_t k, int threads) {
  const int64_t bufferable = kCandidateBytes / (std::max<int64_t>(1, k) * kBytesPerCandidate);
  const int64_t most = std::clamp<int64_t>(bufferable, 1, threads * kQueriesPerThread);
  const int64_t blocks = std::max<int64_t>(1, divide_up(queries, most));
  return std::max<int64_t>(1, divide_up(queries, blocks));
}

// The search with queries [first, first + count).
SearchInput part_of(const SearchInput& whole, int64_t first, int64_t count) {
  SearchInput part = whole;
  part.queries.data += first * whole.queries.row_stride;
  part.queries.rows = count;
  part.query_norms += first;
  part.exclude_offsets += first;
  return part;
}

// One thread's part in filtering and drawing.
class Drawer {
 public:
  Drawer(const MiningInput& input, const Kernels& kernels)
      : input_(input),
        kernels_(kernels),
        sampler_(input.strategy, input.seed, input.n_negatives),
        query_scratch_(index(input.search.queries.columns)),
        passage_scratch_(index(input.search.queries.columns)) {}

  // Draws from `k` candidates of a query, best first; ids below 0 are none.
  void draw(int64_t query, const int64_t* candidates, const float* scores, int64_t k, int64_t* ids,
            float* drawn_scores) {
    const Limits limits = limits_of(query);
    ranks_.clear();
    for (int64_t rank = 0; rank < k && candidates[rank] >= 0; ++rank) {
      const Fate fate = judge(rank, scores[rank], limits);
      ++counts_[fate];
      if (fate == kEligible) ranks_.push_back(rank);
    }
    sampler_.draw(input_.query_ids[query], candidates, ranks_);
    std::fill_n(ids, input_.n_negatives, int64_t{-1});
    std::fill_n(drawn_scores, input_.n_negatives, -kInfinity);
    for (const int64_t rank : ranks_) {
      *ids++ = candidates[rank];
      *drawn_scores++ = scores[rank];
    }
  }

  const FateCounts& counts() const { return counts_; }

 private:
  // The highest scores that the margins let pass.
  struct Limits {
    double absolute, relative;
  };

  // In the operations of NumPy, each rounded by itself: products apart from differences, so that
  // no compiler fuses them.
  Limits limits_of(int64_t query) {
    const bool wanted = input_.absolute_margin || input_.relative_margin;
    const double positive = wanted ? lowest_positive(query) : kInfinity;
    const double magnitude = std::isfinite(positive) ? std::fabs(positive) : 0.0;
    const double relative = magnitude * input_.relative_margin.value_or(0.0);
    return {positive - input_.absolute_margin.value_or(0.0), positive - relative};
  }

  double lowest_positive(int64_t query) {
    const SearchInput& search = input_.search;
    const float* row = read_row(search.queries, query, kernels_, query_scratch_.data());
    float lowest = kInfinity;
    for (int64_t at = input_.positive_offsets[query]; at < input_.positive_offsets[query + 1];
         ++at) {
      const float* passage =
          read_row(search.passages, input_.positive_ids[at], kernels_, passage_scratch_.data());
      lowest = std::min(lowest, exact_score(kernels_, row, passage, search.queries.columns));
    }
    return lowest;
  }

  Fate judge(int64_t rank, double score, const Limits& limits) const {
    if (rank < input_.first_rank || rank >= input_.end_rank) return kOutsideRankWindow;
    if (input_.max_score && score > *input_.max_score) return kAboveMaxScore;
    if (input_.min_score && score < *input_.min_score) return kBelowMinScore;
    if (input_.absolute_margin && score > limits.absolute) return kWithinAbsoluteMargin;
    if (input_.relative_margin && score > limits.relative) return kWithinRelativeMargin;
    return kEligible;
  }

  const MiningInput& input_;
  const Kernels& kernels_;
  Sampler sampler_;
  std::vector<int64_t> ranks_;
  std::vector<float> query_scratch_, passage_scratch_;
  FateCounts counts_ = {};
};

}  // namespace

FateCounts mine_negatives(const MiningInput& input, const Kernels& kernels, int threads,
                          int64_t* ids, float* scores,
                          const std::function<void(double share)>& report) {
  const int64_t q = input.search.queries.rows, n_negatives = input.n_negatives;
  const int64_t k = std::min(input.search.k, input.search.passages.rows);
  const int64_t block = block_size(q, k, threads);
  std::vector<int64_t> candidates(index(block * k));
  std::vector<float> candidate_scores(index(block * k));
  std::vector<Drawer> drawers(index(threads), Drawer(input, kernels));
  for (int64_t first = 0; first < q; first += block) {
    const int64_t count = std::min(block, q - first);
    const auto report_part = [&](double share) {
      const double done = static_cast<double>(first) + share * static_cast<double>(count);
      report(done / static_cast<double>(q));
    };
    SearchInput part = part_of(input.search, first, count);
    part.k = k;
    search(part, kernels, threads, candidate_scores.data(), candidates.data(), report_part);

    const auto draw_some = [&](int64_t task, int worker) {
      const int64_t end = std::min(count, (task + 1) * kQueriesPerTask);
      for (int64_t i = task * kQueriesPerTask; i < end; ++i) {
        const int64_t out = (first + i) * n_negatives;
        drawers[index(worker)].draw(first + i, candidates.data() + i * k,
                                    candidate_scores.data() + i * k, k, ids + out, scores + out);
      }
    };
    Control control;
    run_tasks(divide_up(count, kQueriesPerTask), threads, control, draw_some,
              [&] { report_part(1.0); });
  }

  FateCounts sum = {};
  for (const Drawer& drawer : drawers) {
    for (size_t fate = 0; fate < kFates; ++fate) sum[fate] += drawer.counts()[fate];
  }
  return sum;
}

}  // namespace gecko
