// The driver of a search: cuts it into tasks (a block of queries x a range of passages), and in
// each task leads tiles of passages past panels of queries. A first pass gives bounds of scores;
// what can be among the k best by its upper bound is kept and rescored in double.

#include "search.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <numeric>
#include <vector>

#include "candidates.h"
#include "first_pass.h"
#include "parallel.h"
#include "rows.h"

namespace gecko {
namespace {

constexpr int64_t kPanelBytes = 384 << 10;     // packed queries of a task: half of a small L2 cache
constexpr int64_t kCandidateBytes = 32 << 20;  // of all tasks, beside half a buffer for each query
constexpr int64_t kMaxBlockQueries = 1024;
constexpr int64_t kStreamedFactor = 4;     // larger blocks, where passages are rounded for each one
constexpr int64_t kChunkRows = 192;        // passages that are visited in a row, at least
constexpr int64_t kLongRangeRows = 65536;  // a range of passages whose limits rise soon enough
constexpr int64_t kShortRangeRows = 2048;  // a smaller one is not worth a task
constexpr int64_t kTasksPerThread = 4;     // so that threads end at about the same time
constexpr int64_t kRowsAhead = 4;          // rows fetched ahead when survivors are rescored
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t index(int64_t i) { return static_cast<size_t>(i); }

// How many results a query can have.
int64_t reachable(const SearchInput& input) { return std::min(input.k, input.passages.rows); }

// How a search is cut: query_blocks x ranges tasks.
struct Plan {
  int64_t block_queries, query_blocks, range_rows, ranges;
};

template <class Pass>
Plan make_plan(const SearchInput& input, const Pass& pass, int threads) {
  const int64_t q = input.queries.rows, n = input.passages.rows, panel = pass.panel_queries();
  const int64_t factor = pass.streams() ? kStreamedFactor : 1;
  const int64_t packable = factor * kPanelBytes / std::max<int64_t>(1, pass.query_bytes());
  const int64_t buffer = Candidates::bytes(reachable(input));
  const int64_t bufferable = (kCandidateBytes + q * buffer / 2) / threads / buffer;
  const int64_t most = std::min({packable, bufferable, factor * kMaxBlockQueries});
  const int64_t fitting = std::max<int64_t>(1, most / panel) * panel;
  const int64_t wanted = threads > 1 ? threads * kTasksPerThread : 1;
  // Large blocks of queries read the passages less often, so long ranges are split first; then
  // blocks, which costs little if passages are few; then, with few of both, short ranges.
  int64_t blocks = divide_up(q, fitting);
  int64_t ranges =
      std::clamp<int64_t>(divide_up(wanted, blocks), 1, std::max<int64_t>(1, n / kLongRangeRows));
  blocks = std::max(blocks, std::min(divide_up(wanted, ranges), divide_up(q, panel)));
  Plan plan{};
  plan.block_queries = divide_up(divide_up(q, blocks), panel) * panel;
  plan.query_blocks = divide_up(q, plan.block_queries);
  ranges = std::clamp(divide_up(wanted, plan.query_blocks), ranges,
                      std::max(ranges, n / kShortRangeRows));
  plan.range_rows = divide_up(divide_up(n, ranges), pass.tile_rows()) * pass.tile_rows();
  plan.ranges = divide_up(n, plan.range_rows);
  return plan;
}

// Visits chunks 0 to n - 1 each once, far apart from one another: passages that lie in the order of
// their clusters would else raise a query's limit step by step, and fill its buffer at each step.
class StridedOrder {
 public:
  explicit StridedOrder(int64_t n) : n_(n), step_(std::max<int64_t>(1, n * 618 / 1000)) {
    while (std::gcd(step_, n_) > 1) ++step_;
  }
  int64_t operator[](int64_t i) const { return i * step_ % n_; }

 private:
  int64_t n_, step_;
};

// What is known of each query's k-th best score, over all ranges of passages and all threads.
class SharedLimits {
 public:
  explicit SharedLimits(int64_t queries) : limits_(index(queries)) {
    for (auto& limit : limits_) limit.store(-kInfinity, std::memory_order_relaxed);
  }
  float get(int64_t query) const { return limits_[index(query)].load(std::memory_order_relaxed); }

  void raise(int64_t query, float limit) {
    float known = get(query);
    while (known < limit &&
           !limits_[index(query)].compare_exchange_weak(known, limit, std::memory_order_relaxed)) {
    }
  }

 private:
  std::vector<std::atomic<float>> limits_;
};

// One thread's part in a search.
template <class Pass>
class Worker {
 public:
  Worker(const SearchInput& input, const Kernels& kernels, Control& control, SharedLimits& limits)
      : input_(input),
        kernels_(kernels),
        control_(control),
        shared_limits_(limits),
        pass_(input, kernels),
        chunk_rows_(std::max<int64_t>(1, kChunkRows / pass_.run_rows()) * pass_.run_rows()),
        query_scratch_(index(input.queries.columns)),
        passage_scratch_(index(input.queries.columns)) {}

  const Pass& pass() const { return pass_; }

  void load(int64_t first_query, int64_t count) {
    first_query_ = first_query;
    count_ = count;
    pass_.load_queries(first_query, count);
    candidates_.resize(std::max(candidates_.size(), index(count)));
    for (int64_t j = 0; j < count; ++j) {
      const float limit = shared_limits_.get(first_query + j);
      candidates_[index(j)].reset(reachable(input_), limit);
      pass_.set_limit(j, limit);
    }
  }

  // Leads passages [begin, end) past the loaded queries. Returns early if the search is stopped.
  void scan(int64_t begin, int64_t end) {
    const typename Pass::Scope scope(pass_);
    const int64_t chunks = divide_up(end - begin, chunk_rows_);
    const StridedOrder order(chunks);
    for (int64_t c = 0; c < chunks && !control_.stop; ++c) {
      const int64_t first = begin + order[c] * chunk_rows_;
      const int64_t last = std::min(end, first + chunk_rows_);
      const int64_t next = begin + order[c + 1] * chunk_rows_;  // after the last one, any
      for (int64_t row = first; row < last; row += pass_.run_rows()) {
        const int64_t after = row + pass_.run_rows();
        scan_run(row, std::min(last, after), after < last ? after : next, end);
      }
      control_.done += (last - first) * count_;
    }
  }

  // The best of query j, valid until the next call.
  const std::vector<Scored>& finish(int64_t j) {
    const auto& found = candidates_[index(j)].finish(scratch_, rescore(j));
    shared_limits_.raise(first_query_ + j, candidates_[index(j)].limit());
    return found;
  }

 private:
  // Passages [first, last); next, up to `end`, come those from `next`.
  void scan_run(int64_t first, int64_t last, int64_t next, int64_t end) {
    const int64_t tiles = divide_up(last - first, pass_.tile_rows());
    const int64_t panels = divide_up(count_, pass_.panel_queries());
    pass_.load_run(first, last - first);
    pass_.fetch_ahead(next, std::min(pass_.run_rows(), end - next), panels);
    for (int64_t panel = 0; panel < panels; ++panel) {
      for (int64_t tile = 0; tile < tiles;) {
        const int64_t done = pass_.scan(panel, tile, &hits_);
        take_hits(panel, tile * pass_.tile_rows(), first, last);
        tile += done;
      }
    }
  }

  // Hits of a panel, in rows from `row` on of the run [first, last).
  void take_hits(int64_t panel, int64_t row, int64_t first, int64_t last) {
    const auto width = static_cast<int32_t>(pass_.panel_queries());
    for (int h = 0; h < hits_.count; ++h) {
      const int64_t row_of_hit = row + hits_.places[h] / width;
      if (first + row_of_hit >= last) continue;  // filling of the last tile
      add(panel * width + hits_.places[h] % width, first, row_of_hit, hits_.scores[h]);
    }
  }

  void add(int64_t j, int64_t first, int64_t row, float score) {
    if (excludes(j, first + row)) return;
    const Bounds bounds = pass_.bounds(j, row, score);
    Candidates& candidates = candidates_[index(j)];
    if (candidates.add(bounds.lower, bounds.upper, first + row)) {
      candidates.tidy(scratch_, rescore(j));
      pass_.set_limit(j, candidates.limit());
    }
  }

  bool excludes(int64_t j, int64_t id) const {
    const int64_t* begin = input_.exclude_ids + input_.exclude_offsets[first_query_ + j];
    const int64_t* end = input_.exclude_ids + input_.exclude_offsets[first_query_ + j + 1];
    return begin != end && std::binary_search(begin, end, id);
  }

  // Survivors lie anywhere in memory: the rows ahead are fetched while one is scored.
  Rescore rescore(int64_t j) {
    return [this, j](const int64_t* ids, int64_t n, float* scores) {
      const int64_t d = input_.queries.columns;
      const float* query =
          read_row(input_.queries, first_query_ + j, kernels_, query_scratch_.data());
      for (int64_t i = 0; i < std::min(n, kRowsAhead); ++i) prefetch_row(input_.passages, ids[i]);
      for (int64_t i = 0; i < n; ++i) {
        if (i + kRowsAhead < n) prefetch_row(input_.passages, ids[i + kRowsAhead]);
        const float* passage = read_row(input_.passages, ids[i], kernels_, passage_scratch_.data());
        scores[i] = exact_score(kernels_, query, passage, d);
      }
    };
  }

  const SearchInput& input_;
  const Kernels& kernels_;
  Control& control_;
  SharedLimits& shared_limits_;
  Pass pass_;
  const int64_t chunk_rows_;
  int64_t first_query_ = 0, count_ = 0;
  Hits hits_;
  std::vector<Candidates> candidates_;
  Scratch scratch_;
  std::vector<float> query_scratch_, passage_scratch_;
};

// Where the results of the ranges of passages come together: the best of those that are in.
class Results {
 public:
  Results(int64_t queries, int64_t k, float* scores, int64_t* ids)
      : k_(k), scores_(scores), ids_(ids) {
    std::fill_n(scores, queries * k, -kInfinity);
    std::fill_n(ids, queries * k, int64_t{-1});
  }

  // Takes what was found in one more range, in the order of results.
  void put(int64_t query, const std::vector<Scored>& found) {
    const std::lock_guard lock(mutex_);
    float* scores = scores_ + query * k_;
    int64_t* ids = ids_ + query * k_;
    best_.clear();
    for (int64_t rank = 0; rank < k_ && ids[rank] >= 0; ++rank) {
      best_.push_back({scores[rank], ids[rank]});
    }
    const auto middle = static_cast<std::ptrdiff_t>(best_.size());
    best_.insert(best_.end(), found.begin(), found.end());
    std::inplace_merge(best_.begin(), best_.begin() + middle, best_.end(), ranks_before);
    const int64_t filled = std::min(k_, static_cast<int64_t>(best_.size()));
    for (int64_t rank = 0; rank < filled; ++rank) {
      scores[rank] = best_[index(rank)].score;
      ids[rank] = best_[index(rank)].id;
    }
  }

 private:
  const int64_t k_;
  float* const scores_;
  int64_t* const ids_;
  std::mutex mutex_;
  std::vector<Scored> best_;
};

template <class Pass>
void run_search(const SearchInput& input, const Kernels& kernels, int threads, float* scores,
                int64_t* ids, const std::function<void(double share)>& report) {
  const int64_t q = input.queries.rows, n = input.passages.rows;
  Control control;
  SharedLimits limits(q);
  std::vector<Worker<Pass>> workers;
  workers.reserve(index(threads));
  for (int i = 0; i < threads; ++i) workers.emplace_back(input, kernels, control, limits);
  const Plan plan = make_plan(input, workers[0].pass(), threads);
  Results results(q, input.k, scores, ids);

  const auto task = [&](int64_t i, int worker) {
    // Neighbouring tasks share a range of passages, so that their reads meet in the cache, and the
    // tasks of a block of queries come one after another: each begins with the limits of the last.
    const int64_t first = i % plan.query_blocks * plan.block_queries;
    const int64_t count = std::min(plan.block_queries, q - first);
    const int64_t range = i / plan.query_blocks;
    Worker<Pass>& self = workers[index(worker)];
    self.load(first, count);
    self.scan(range * plan.range_rows, std::min(n, (range + 1) * plan.range_rows));
    for (int64_t j = 0; j < count && !control.stop; ++j) {
      results.put(first + j, self.finish(j));
    }
  };
  const double total = static_cast<double>(q) * static_cast<double>(n);
  run_tasks(plan.query_blocks * plan.ranges, threads, control, task,
            [&] { report(static_cast<double>(control.done) / total); });
}

}  // namespace

void search(const SearchInput& input, const Kernels& all_kernels, int threads, float* scores,
            int64_t* ids, const std::function<void(double share)>& report) {
  const Kernels* fitting = &all_kernels;
  while (fitting->narrow != nullptr && input.queries.rows <= fitting->few_queries) {
    fitting = fitting->narrow;
  }
  const Kernels& kernels = *fitting;
  if (input.queries.rows == 0 || input.k == 0) return;
  if (input.passages.rows == 0) {
    std::fill_n(scores, input.queries.rows * input.k, -kInfinity);
    std::fill_n(ids, input.queries.rows * input.k, int64_t{-1});
  } else if (input.first_pass == FirstPass::kFloat32) {
    run_search<FloatPass>(input, kernels, threads, scores, ids, report);
  } else {
    run_search<PackedPass>(input, kernels, threads, scores, ids, report);
  }
}

}  // namespace gecko
