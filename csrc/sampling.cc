#include "sampling.h"

#include <algorithm>

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

void Sampler::draw(uint64_t query_id, const int64_t* candidates, std::vector<int64_t>& ranks) {
  if (strategy_ == Strategy::kLast) std::reverse(ranks.begin(), ranks.end());
  const size_t drawn = std::min(n_negatives_, ranks.size());
  if (strategy_ == Strategy::kRandom) {
    keyed_.clear();
    for (const int64_t rank : ranks) {
      keyed_.emplace_back(draw_key(seed_, query_id, static_cast<uint64_t>(candidates[rank])), rank);
    }
    const auto end = keyed_.begin() + static_cast<ptrdiff_t>(drawn);
    std::partial_sort(keyed_.begin(), end, keyed_.end());
    std::transform(keyed_.begin(), end, ranks.begin(), [](const auto& one) { return one.second; });
  }
  ranks.resize(drawn);
}

void sample_negatives(const NegativesInput& input, int64_t* chosen) {
  Sampler sampler(input.strategy, input.seed, input.n_negatives);
  std::vector<int64_t> ranks;
  for (int64_t query = 0; query < input.queries; ++query) {
    const int64_t* candidates = input.candidates + query * input.k;
    const bool* eligible = input.eligible + query * input.k;
    ranks.clear();
    for (int64_t rank = 0; rank < input.k; ++rank) {
      if (eligible[rank] && candidates[rank] >= 0) ranks.push_back(rank);
    }
    sampler.draw(input.query_ids[query], candidates, ranks);
    int64_t* out = chosen + query * input.n_negatives;
    std::fill_n(out, input.n_negatives, int64_t{-1});
    for (const int64_t rank : ranks) *out++ = candidates[rank];
  }
}

}  // namespace gecko
