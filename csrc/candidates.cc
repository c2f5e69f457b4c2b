#include "candidates.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace gecko {

void Candidates::reset(int64_t k) {
  k_ = k;
  capacity_ = 3 * k + 16;  // 2 to 4 times k are within 5 % of each other
  size_ = rescored_ = 0;
  limit_ = -std::numeric_limits<float>::infinity();
  lower_.resize(static_cast<size_t>(capacity_));
  upper_.resize(static_cast<size_t>(capacity_));
  ids_.resize(static_cast<size_t>(capacity_));
}

bool Candidates::add(float lower, float upper, int64_t id, const Rescore& rescore) {
  if (upper < limit_) return false;
  const auto at = static_cast<size_t>(size_++);
  lower_[at] = lower;
  upper_[at] = upper;
  ids_[at] = id;
  if (size_ < capacity_) return false;
  tidy(rescore);
  return true;
}

void Candidates::tidy(const Rescore& rescore) {
  scratch_.assign(lower_.begin(), lower_.begin() + size_);
  const auto kth = scratch_.begin() + (k_ - 1);
  std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
  limit_ = std::max(limit_, *kth);

  size_t kept = 0;
  int64_t rescored = 0;
  for (size_t i = 0; i < static_cast<size_t>(size_); ++i) {
    if (upper_[i] < limit_) continue;
    if (static_cast<int64_t>(i) < rescored_) ++rescored;
    lower_[kept] = lower_[i];
    upper_[kept] = upper_[i];
    ids_[kept++] = ids_[i];
  }
  size_ = static_cast<int64_t>(kept);
  rescored_ = rescored;
  if (size_ > capacity_ - capacity_ / 4) rescore_all(rescore);
}

void Candidates::rescore_all(const Rescore& rescore) {
  ranked_.clear();
  for (int64_t i = 0; i < size_; ++i) {
    const auto at = static_cast<size_t>(i);
    ranked_.push_back({i < rescored_ ? lower_[at] : rescore(ids_[at]), ids_[at]});
  }
  std::sort(ranked_.begin(), ranked_.end(), ranks_before);
  if (static_cast<int64_t>(ranked_.size()) >= k_) {
    ranked_.resize(static_cast<size_t>(k_));
    limit_ = std::max(limit_, ranked_.back().score);
  }
  size_ = rescored_ = static_cast<int64_t>(ranked_.size());
  for (size_t i = 0; i < ranked_.size(); ++i) {
    lower_[i] = upper_[i] = ranked_[i].score;
    ids_[i] = ranked_[i].id;
  }
}

std::vector<Scored> Candidates::finish(const Rescore& rescore) {
  if (size_ > k_) tidy(rescore);
  rescore_all(rescore);
  size_ = rescored_ = 0;
  return ranked_;
}

}  // namespace gecko
