#include "sampling.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "philox.h"

namespace gecko {
namespace {

uint32_t low(uint64_t x) { return static_cast<uint32_t>(x); }
uint32_t high(uint64_t x) { return static_cast<uint32_t>(x >> 32); }

}  // namespace

uint64_t draw_key(uint64_t seed, uint64_t query_id, uint64_t passage_id) {
  const PhiloxCounter words = philox4x32(
      {low(passage_id), high(passage_id), low(query_id), high(query_id)}, {low(seed), high(seed)});
  return words[0] | uint64_t{words[1]} << 32;
}

void sample_negatives(const NegativesInput& input, int64_t* chosen) {
  std::vector<std::pair<uint64_t, int64_t>> order;  // (key, rank)
  for (int64_t query = 0; query < input.queries; ++query) {
    const int64_t* candidates = input.candidates + query * input.k;
    const bool* eligible = input.eligible + query * input.k;
    order.clear();
    for (int64_t rank = 0; rank < input.k; ++rank) {
      if (!eligible[rank] || candidates[rank] < 0) continue;
      const bool random = input.strategy == Strategy::kRandom;
      const auto passage = static_cast<uint64_t>(candidates[rank]);
      const auto at = static_cast<uint64_t>(rank);
      const uint64_t by_rank =
          input.strategy == Strategy::kTop ? at : static_cast<uint64_t>(input.k) - at;
      order.emplace_back(random ? draw_key(input.seed, input.query_ids[query], passage) : by_rank,
                         rank);
    }
    const auto wanted = static_cast<size_t>(input.n_negatives);
    const auto end = order.begin() + static_cast<ptrdiff_t>(std::min(wanted, order.size()));
    std::partial_sort(order.begin(), end, order.end());
    int64_t* out = chosen + query * input.n_negatives;
    std::fill_n(out, input.n_negatives, int64_t{-1});
    for (auto it = order.begin(); it != end; ++it) *out++ = candidates[it->second];
  }
}

}  // namespace gecko
