// Choosing hard negatives from ranked candidates.
#ifndef GECKO_SAMPLING_H_
#define GECKO_SAMPLING_H_

#include <cstdint>

namespace gecko {

enum class Strategy {
  kTop,     // best ranked first
  kRandom,  // uniformly without replacement, by the keys of draw_key
  kLast,    // worst ranked first
};

// The random 64-bit number of (query, passage): Philox with key `seed` and counter (passage,
// query).
uint64_t draw_key(uint64_t seed, uint64_t query_id, uint64_t passage_id);

struct NegativesInput {
  const int64_t* candidates;  // (queries, k): ids, best first; below 0 where there is none
  const bool* eligible;       // (queries, k)
  const uint64_t* query_ids;  // (queries)
  int64_t queries, k, n_negatives;
  Strategy strategy;
  uint64_t seed;
};

// Writes chosen (queries, n_negatives): eligible candidates in the order of the strategy, then -1.
// In a random draw the smallest keys win and equal keys go by rank.
void sample_negatives(const NegativesInput& input, int64_t* chosen);

}  // namespace gecko

#endif  // GECKO_SAMPLING_H_
