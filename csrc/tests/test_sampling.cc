#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "check.h"
#include "philox.h"
#include "sampling.h"

namespace gecko {
namespace {

// The known answers that come with Random123, the authors' own library.
void philox_gives_the_published_answers() {
  const uint32_t ones = 0xFFFFFFFF;
  const PhiloxCounter of_zeros = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  const PhiloxCounter of_ones = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  const PhiloxCounter of_pi = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == of_zeros);
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) == of_ones);
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        of_pi);
}

std::vector<int64_t> draw(Strategy strategy, int64_t n_negatives, uint64_t query_id) {
  const int64_t candidates[] = {7, 3, 9, -1, 5};
  const bool eligible[] = {true, false, true, true, true};
  std::vector<int64_t> chosen(static_cast<size_t>(n_negatives));
  sample_negatives({candidates, eligible, &query_id, 1, 5, n_negatives, strategy, 42},
                   chosen.data());
  return chosen;
}

void top_and_last_go_by_rank_and_pad_with_minus_one() {
  CHECK((draw(Strategy::kTop, 2, 0) == std::vector<int64_t>{7, 9}));
  CHECK((draw(Strategy::kLast, 2, 0) == std::vector<int64_t>{5, 9}));
  CHECK((draw(Strategy::kLast, 5, 0) == std::vector<int64_t>{5, 9, 7, -1, -1}));
  CHECK(draw(Strategy::kTop, 0, 0).empty());
}

void a_random_draw_takes_each_eligible_candidate_once() {
  std::set<std::vector<int64_t>> orders;
  for (uint64_t query = 0; query < 200; ++query) {
    std::vector<int64_t> chosen = draw(Strategy::kRandom, 3, query);
    CHECK(chosen == draw(Strategy::kRandom, 3, query));
    orders.insert(chosen);
    std::sort(chosen.begin(), chosen.end());
    CHECK((chosen == std::vector<int64_t>{5, 7, 9}));
  }
  CHECK(orders.size() == 6);  // each order of three turns up in 200 draws
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::philox_gives_the_published_answers);
  RUN(gecko::top_and_last_go_by_rank_and_pad_with_minus_one);
  RUN(gecko::a_random_draw_takes_each_eligible_candidate_once);
  return gecko::failures();
}
