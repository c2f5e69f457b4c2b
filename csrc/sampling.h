// Choosing hard negatives from ranked candidates.
#ifndef GECKO_SAMPLING_H_
#define GECKO_SAMPLING_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gecko {

enum class Strategy {
  kTop,     // best ranked first
  kRandom,  // uniformly without replacement, by the keys of draw_key
  kLast,    // worst ranked first
};

// The random 64-bit number of (query, passage): Philox with key `seed` and counter (passage,
// query).
uint64_t draw_key(uint64_t seed, uint64_t query_id, uint64_t passage_id);

// Draws for one query after the other.
class Sampler {
 public:
  Sampler(Strategy strategy, uint64_t seed, int64_t n_negatives)
      : strategy_(strategy), seed_(seed), n_negatives_(static_cast<size_t>(n_negatives)) {}

  // Turns the eligible ranks of a query's candidates, ascending, into those that are drawn: at most
  // n_negatives, in the order of the strategy. In a random draw the smallest keys win, and equal
  // keys go by rank.
  void draw(uint64_t query_id, const int64_t* candidates, std::vector<int64_t>& ranks);

 private:
  Strategy strategy_;
  uint64_t seed_;
  size_t n_negatives_;
  std::vector<std::pair<uint64_t, int64_t>> keyed_;  // (key, rank)
};

struct NegativesInput {
  const int64_t* candidates;  // (queries, k): ids, best first; below 0 where there is none
  const bool* eligible;       // (queries, k)
  const uint64_t* query_ids;  // (queries)
  int64_t queries, k, n_negatives;
  Strategy strategy;
  uint64_t seed;
};

// Writes chosen (queries, n_negatives): what a Sampler draws from eligible candidates, then -1.
void sample_negatives(const NegativesInput& input, int64_t* chosen);

}  // namespace gecko

#endif  // GECKO_SAMPLING_H_
