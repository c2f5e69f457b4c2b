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

// Writes the exact scores of `n` passages with the query that owns the candidates.
using Rescore = std::function<void(const int64_t* ids, int64_t n, float* scores)>;

// Working memory for tidying up, shared by the candidates of one thread.
struct Scratch {
  std::vector<float> scores;
  std::vector<int64_t> ids;
  std::vector<Scored> ranked;
};

// A buffer of fixed size. A candidate has a lower and an upper bound of its exact score; one that
// was rescored has equal bounds. The buffer is only tidied up when it is full: then everything goes
// whose upper bound is below the k-th largest lower bound. If too much stays (many near-ties),
// all are rescored and the k best stay, so the buffer never grows.
class Candidates {
  struct Entry {
    float lower, upper;
    int64_t id;
  };

 public:
  // The memory of a full buffer.
  static int64_t bytes(int64_t k) { return capacity(k) * int64_t{sizeof(Entry)}; }

  // Makes it empty, with room for k results; `k` at least 1. At least k passages, added here or
  // not, must have an exact score of `limit` or more.
  void reset(int64_t k, float limit);

  // Adds a passage that was not added before. Returns true if the buffer is now full: then tidy()
  // must be called before the next one is added.
  bool add(float lower, float upper, int64_t id) {
    if (upper < limit_) return false;
    entries_.push_back({lower, upper, id});
    return static_cast<int64_t>(entries_.size()) >= capacity_;
  }

  // Makes room. May raise limit(). To be called with at least k candidates.
  void tidy(Scratch& scratch, const Rescore& rescore);

  // At least k passages have an exact score of this or more.
  float limit() const { return limit_; }

  // Rescores all and gives the (at most k) best in the order of results, valid until `scratch` is
  // used again. The buffer is then empty.
  const std::vector<Scored>& finish(Scratch& scratch, const Rescore& rescore);

 private:
  // 2 to 4 times k are within 5 % of each other in time.
  static int64_t capacity(int64_t k) { return 3 * k + 16; }
  void drop_hopeless(Scratch& scratch);
  void rescore_all(Scratch& scratch, const Rescore& rescore);

  int64_t k_ = 0;
  int64_t capacity_ = 0;
  size_t rescored_ = 0;  // the first so many entries have equal bounds
  float limit_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace gecko

#endif  // GECKO_CANDIDATES_H_
