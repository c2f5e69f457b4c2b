#include "candidates.h"

#include <algorithm>
#include <functional>

namespace gecko {

void Candidates::reset(int64_t k, float limit) {
  k_ = k;
  capacity_ = capacity(k);
  rescored_ = 0;
  limit_ = limit;
  entries_.clear();
  entries_.reserve(static_cast<size_t>(capacity_));
}

void Candidates::tidy(Scratch& scratch, const Rescore& rescore) {
  drop_hopeless(scratch);
  if (static_cast<int64_t>(entries_.size()) > capacity_ - capacity_ / 4) {
    rescore_all(scratch, rescore);
  }
}

void Candidates::drop_hopeless(Scratch& scratch) {
  scratch.scores.clear();
  for (const Entry& entry : entries_) scratch.scores.push_back(entry.lower);
  const auto kth = scratch.scores.begin() + (k_ - 1);
  std::nth_element(scratch.scores.begin(), kth, scratch.scores.end(), std::greater<>());
  limit_ = std::max(limit_, *kth);

  size_t kept = 0, rescored = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].upper < limit_) continue;
    if (i < rescored_) ++rescored;
    entries_[kept++] = entries_[i];
  }
  entries_.resize(kept);
  rescored_ = rescored;
}

void Candidates::rescore_all(Scratch& scratch, const Rescore& rescore) {
  const size_t fresh = entries_.size() - rescored_;
  scratch.ids.clear();
  for (size_t i = rescored_; i < entries_.size(); ++i) scratch.ids.push_back(entries_[i].id);
  scratch.scores.resize(fresh);
  rescore(scratch.ids.data(), static_cast<int64_t>(fresh), scratch.scores.data());

  auto& ranked = scratch.ranked;
  ranked.clear();
  for (size_t i = 0; i < entries_.size(); ++i) {
    const bool known = i < rescored_;
    ranked.push_back({known ? entries_[i].lower : scratch.scores[i - rescored_], entries_[i].id});
  }
  const size_t kept = std::min(ranked.size(), static_cast<size_t>(k_));
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(kept);
  std::partial_sort(ranked.begin(), end, ranked.end(), ranks_before);
  ranked.erase(end, ranked.end());
  if (static_cast<int64_t>(kept) == k_) limit_ = std::max(limit_, ranked.back().score);

  entries_.clear();
  for (const Scored& one : ranked) entries_.push_back({one.score, one.score, one.id});
  rescored_ = kept;
}

const std::vector<Scored>& Candidates::finish(Scratch& scratch, const Rescore& rescore) {
  if (static_cast<int64_t>(entries_.size()) > k_) drop_hopeless(scratch);
  rescore_all(scratch, rescore);
  entries_.clear();
  rescored_ = 0;
  return scratch.ranked;
}

}  // namespace gecko
