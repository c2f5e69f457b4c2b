#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "candidates.h"
#include "check.h"

namespace gecko {
namespace {

Rescore rescore_from(const std::vector<float>& scores) {
  return [&scores](const int64_t* ids, int64_t n, float* found) {
    for (int64_t i = 0; i < n; ++i) found[i] = scores[static_cast<size_t>(ids[i])];
  };
}

// Adds scores with bounds of +-error and compares what stays with a full sort.
void compare_with_a_full_sort(const std::vector<float>& scores, int64_t k, float error) {
  const Rescore rescore = rescore_from(scores);
  Scratch scratch;
  Candidates candidates;
  candidates.reset(k, -std::numeric_limits<float>::infinity());
  std::vector<Scored> expected;
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    if (candidates.add(scores[i] - error, scores[i] + error, id)) {
      candidates.tidy(scratch, rescore);
    }
    expected.push_back({scores[i], id});
  }
  std::sort(expected.begin(), expected.end(), ranks_before);
  expected.resize(std::min(expected.size(), static_cast<size_t>(k)));
  const std::vector<Scored> found = candidates.finish(scratch, rescore);
  CHECK(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].id == expected[i].id);
    CHECK(found[i].score == expected[i].score);
  }
}

void the_best_stay_for_any_error_and_order() {
  std::mt19937 random(7);  // the draws themselves do not matter
  for (const size_t n : {0U, 1U, 5U, 100U, 3000U}) {
    std::vector<float> scores(n);
    for (float& score : scores) score = static_cast<float>(random() % 512) / 512.0F;
    for (const int64_t k : {1, 2, 7, 64}) {
      for (const float error : {1e-6F, 0.1F, 10.0F}) {
        compare_with_a_full_sort(scores, k, error);
        std::sort(scores.begin(), scores.end());  // each new one is better
        compare_with_a_full_sort(scores, k, error);
      }
    }
  }
}

void equal_scores_keep_the_lowest_ids() {
  compare_with_a_full_sort(std::vector<float>(1000, 0.5F), 3, 1e-6F);
}

void the_limit_is_reached_by_k_candidates() {
  const std::vector<float> scores = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4};
  const Rescore rescore = rescore_from(scores);
  Scratch scratch;
  Candidates candidates;
  candidates.reset(2, -std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (candidates.add(scores[i] - 0.25F, scores[i] + 0.25F, static_cast<int64_t>(i))) {
      candidates.tidy(scratch, rescore);
    }
    const auto better = std::count_if(scores.begin(), scores.begin() + static_cast<long>(i) + 1,
                                      [&](float score) { return score >= candidates.limit(); });
    CHECK(better >= std::min<long>(2, static_cast<long>(i) + 1));
  }
}

void what_cannot_reach_a_given_limit_is_refused() {
  const std::vector<float> scores = {1, 5, 3, 4, 2};
  const Rescore rescore = rescore_from(scores);
  Scratch scratch;
  Candidates candidates;
  candidates.reset(4, 3.0F);  // 4 passages elsewhere score 3 or more
  for (size_t i = 0; i < scores.size(); ++i) {
    candidates.add(scores[i] - 0.5F, scores[i] + 0.5F, static_cast<int64_t>(i));
  }
  CHECK(candidates.limit() == 3.0F);
  const std::vector<Scored>& found = candidates.finish(scratch, rescore);
  CHECK(found.size() == 3);
  CHECK(found[0].id == 1 && found[1].id == 3 && found[2].id == 2);
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::the_best_stay_for_any_error_and_order);
  RUN(gecko::equal_scores_keep_the_lowest_ids);
  RUN(gecko::what_cannot_reach_a_given_limit_is_refused);
  RUN(gecko::the_limit_is_reached_by_k_candidates);
  return gecko::failures();
}
