#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "levels.h"
#include "mining_oracle.h"

namespace gecko {
namespace {

Lists some_positives(int64_t queries, int64_t passages) {
  Lists lists(static_cast<size_t>(queries));
  for (int64_t i = 0; i < queries && passages > 0; ++i) {
    auto& list = lists[static_cast<size_t>(i)];
    for (int64_t j = 0; j < i % 4; ++j) list.push_back((7 * i + 11 * j) % passages);
    std::sort(list.begin(), list.end());
  }
  return lists;
}

Wish every_filter(int64_t k, int64_t n_negatives, Strategy strategy) {
  Wish wish{k, n_negatives, strategy, 0x1234567890ABCDEF};
  wish.first_rank = 1;
  wish.end_rank = k - 1;
  wish.max_score = 18.0;
  wish.min_score = 5.0;
  wish.absolute_margin = -25.0;
  wish.relative_margin = -3.0;
  return wish;
}

// Positives are hidden, nothing else.
Mined expect(const Data& queries, const Data& passages, const Lists& positives, const Wish& wish) {
  const Found found = oracle(queries, passages, wish.k, positives);
  return mining_oracle(queries, passages, positives, found, wish);
}

// The numbers of candidates by fate of all that follows, so that no filter goes untested.
FateCounts& seen() {
  static FateCounts counts = {};
  return counts;
}

void every_level_equals_one_step_after_the_other() {
  for (const int64_t d : {0, 1, 33}) {
    for (const int64_t n : {0, 1, 60, 900}) {
      for (const int64_t q : {0, 1, 35}) {
        const Data queries(q, d, 1), passages(n, d, 2);
        const Lists positives = some_positives(q, n);
        for (const Strategy strategy : {Strategy::kTop, Strategy::kRandom, Strategy::kLast}) {
          for (const int64_t k : {0, 1, 40, 2000}) {
            const Wish wish = every_filter(k, k == 1 ? 0 : 5, strategy);
            const Mined expected = expect(queries, passages, positives, wish);
            for (size_t fate = 0; fate < kFates; ++fate) seen()[fate] += expected.counts[fate];
            for (const Kernels* kernels : levels_under_test()) {
              CHECK(mine(queries, passages, positives, positives, wish, *kernels, 2) == expected);
              for (const FirstPass pass : {FirstPass::kInt8, FirstPass::kBFloat16}) {
                if (packed_scan(*kernels, pass) == nullptr) continue;
                CHECK(mine(queries, passages, positives, positives, wish, *kernels, 1, pass) ==
                      expected);
              }
            }
          }
        }
      }
    }
  }
  for (const int64_t number : seen()) CHECK(number > 0);
}

void each_filter_may_be_left_out() {
  const Data queries(20, 9, 3), passages(200, 9, 4);
  const Lists positives = some_positives(20, 200);
  const Wish all = every_filter(50, 4, Strategy::kRandom);
  for (int off = 0; off < 32; ++off) {
    Wish wish = all;
    if (off & 1) wish.first_rank = 0, wish.end_rank = 50;
    if (off & 2) wish.max_score.reset();
    if (off & 4) wish.min_score.reset();
    if (off & 8) wish.absolute_margin.reset();
    if (off & 16) wish.relative_margin.reset();
    const Mined mined =
        mine(queries, passages, positives, positives, wish, *available_kernels()[0], 2);
    CHECK(mined == expect(queries, passages, positives, wish));
  }
}

// 20,000 queries are searched in several blocks, of different sizes with one thread and with three.
void blocks_and_threads_change_nothing() {
  const Data queries(20000, 5, 5), passages(40, 5, 6);
  const Lists positives = some_positives(queries.rows, passages.rows);
  const Wish wish = every_filter(10, 3, Strategy::kRandom);
  const Mined expected = expect(queries, passages, positives, wish);
  for (const int threads : {1, 2, 3}) {
    double last = 0;
    const auto report = [&last](double share) {
      CHECK(share >= last && share <= 1.0);
      last = share;
    };
    CHECK(mine(queries, passages, positives, positives, wish, *available_kernels()[0], threads,
               FirstPass::kFloat32, nullptr, report) == expected);
    CHECK(last == 1.0);
  }
}

void a_report_that_throws_ends_the_mining() {
  const Data queries(9000, 4, 1), passages(50, 4, 2);
  const Lists none(9000);
  for (const double when : {0.0, 0.9}) {  // in the first block, and in a later one
    bool thrown = false;
    try {
      mine(queries, passages, none, none, {5, 1}, *kScalarKernels, 1, FirstPass::kFloat32, nullptr,
           [when](double share) {
             if (share >= when) throw std::runtime_error("enough");
           });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown);
  }
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::every_level_equals_one_step_after_the_other);
  RUN(gecko::each_filter_may_be_left_out);
  RUN(gecko::blocks_and_threads_change_nothing);
  RUN(gecko::a_report_that_throws_ends_the_mining);
  return gecko::failures();
}
