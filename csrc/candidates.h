// The passages that can still be among the k best of one query.
#ifndef GECKO_CANDIDATES_H_
#define GECKO_CANDIDATES_H_

#include <cstdint>
#include <functional>
#include <vector>

namespace gecko {

struct Scored {
  float score;
  int64_t id;
};

// The order of results: higher score first, then lower id.
inline bool ranks_before(const Scored& a, const Scored& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// Gives the exact score of a passage with the query that owns the candidates.
using Rescore = std::function<float(int64_t id)>;

// A buffer of fixed size. A candidate has a lower and an upper bound of its exact score; one that
// was rescored has equal bounds. The buffer is only tidied up when it is full: then everything goes
// whose upper bound is below the k-th largest lower bound. If too much stays (many near-ties),
// all are rescored and the k best stay, so the buffer never grows.
class Candidates {
 public:
  // Room for k results; `k` at least 1.
  void reset(int64_t k);

  // Adds a passage that was not added before. Returns true if limit() may have risen.
  bool add(float lower, float upper, int64_t id, const Rescore& rescore);

  // At least k candidates have an exact score of this or more; -infinity while fewer were added.
  float limit() const { return limit_; }

  // Rescores all and gives the (at most k) best in the order of results; the buffer is then empty.
  std::vector<Scored> finish(const Rescore& rescore);

 private:
  void tidy(const Rescore& rescore);
  void rescore_all(const Rescore& rescore);

  int64_t k_ = 0;
  int64_t capacity_ = 0;
  int64_t size_ = 0;
  int64_t rescored_ = 0;  // the first so many have equal bounds
  float limit_ = 0;
  std::vector<float> lower_, upper_, scratch_;
  std::vector<int64_t> ids_;
  std::vector<Scored> ranked_;
};

}  // namespace gecko

#endif  // GECKO_CANDIDATES_H_
