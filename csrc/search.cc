// The driver of a search: cuts it into tasks (a block of queries x a range of passages), and in
// each task leads tiles of passages past panels of queries.
//
// Exactness. A kernel's float32 score s of a pair satisfies |s - q.p| <= g |q| |p| + t, where
// g = m u / (1 - m u) with u = 2^-24 and m = d roundings of the dot product (in any order: Higham,
// Accuracy and Stability, eq. 3.5) + 16 for bounds, thresholds and the final rounding of scores,
// and t pays for products that underflow. So s -+ (g |q| |p| + t) are a lower and an upper bound;
// what can be among the k best by its upper bound is kept and rescored in double. docs/retrieval.md
// has the full argument.

#include "search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "aligned.h"
#include "candidates.h"
#include "parallel.h"

namespace gecko {
namespace {

constexpr int64_t kPanelBytes = 384 << 10;  // packed queries of a task: half of a small L2 cache
constexpr int64_t kMaxBlockQueries = 1024;
constexpr int64_t kChunkTiles = 16;      // tiles that are visited in a row
constexpr int64_t kMinRangeRows = 2048;  // a smaller range of passages is not worth a task
constexpr int64_t kTasksPerThread = 4;   // so that threads end at about the same time
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t index(int64_t i) { return static_cast<size_t>(i); }

// The error bound of a float32 score is relative * |q| * |p| + absolute.
struct ErrorBound {
  float relative, absolute;
};

ErrorBound error_bound(int64_t d) {
  const double roundings = static_cast<double>(d + 16) * 0x1p-24;
  const double relative = roundings < 0.5 ? roundings / (1 - roundings) : 1e30;
  return {static_cast<float>(relative * (1 + 0x1p-20)), static_cast<float>(d + 16) * 0x1p-125F};
}

// How a search is cut: query_blocks x ranges tasks.
struct Plan {
  int64_t block_queries, query_blocks, range_rows, ranges;
};

Plan make_plan(const SearchInput& input, const Kernels& kernels, int threads) {
  const int64_t q = input.queries.rows, n = input.passages.rows, panel = kernels.panel_queries;
  const int64_t row_bytes = std::max<int64_t>(1, input.queries.columns) * int64_t{sizeof(float)};
  const int64_t fitting =
      std::clamp(kPanelBytes / row_bytes / panel * panel, panel, kMaxBlockQueries);
  const int64_t wanted_tasks = threads > 1 ? threads * kTasksPerThread : 1;
  const int64_t shared = divide_up(divide_up(q, wanted_tasks), panel) * panel;
  Plan plan{};
  plan.block_queries = std::min(fitting, std::max(shared, std::min<int64_t>(fitting, 4 * panel)));
  plan.query_blocks = divide_up(q, plan.block_queries);
  const int64_t ranges = std::clamp<int64_t>(divide_up(wanted_tasks, plan.query_blocks), 1,
                                             std::max<int64_t>(1, n / kMinRangeRows));
  plan.range_rows = divide_up(divide_up(n, ranges), kernels.tile_rows) * kernels.tile_rows;
  plan.ranges = divide_up(n, plan.range_rows);
  return plan;
}

// The queries of one task, packed in panels, with what they have found so far.
class QueryBlock {
 public:
  QueryBlock(const SearchInput& input, const Kernels& kernels) : input_(input), kernels_(kernels) {}

  void load(int64_t first, int64_t count) {
    first_ = first;
    count_ = count;
    const int64_t width = kernels_.panel_queries, d = input_.queries.columns;
    panels_ = divide_up(count, width);
    values_.assign(index(panels_ * width * d), 0.0F);
    limits_.assign(index(panels_ * width), kInfinity);
    norms_.assign(index(panels_ * width), 0.0F);
    scratch_.resize(index(d));
    candidates_.resize(std::max(candidates_.size(), index(count)));
    for (int64_t j = 0; j < count; ++j) {
      const float* row = read_row(input_.queries, first + j, kernels_, scratch_.data());
      float* column = values_.data() + j / width * width * d + j % width;
      for (int64_t i = 0; i < d; ++i) column[i * width] = row[i];
      limits_[index(j)] = -kInfinity;
      norms_[index(j)] = input_.query_norms[first + j];
      candidates_[index(j)].reset(input_.k);
    }
  }

  int64_t first() const { return first_; }
  int64_t count() const { return count_; }
  int64_t panels() const { return panels_; }

  QueryPanel panel(int64_t p) const {
    const int64_t at = p * kernels_.panel_queries;
    return {values_.data() + at * input_.queries.columns, limits_.data() + at, norms_.data() + at};
  }

  bool excludes(int64_t j, int64_t id) const {
    const int64_t* begin = input_.exclude_ids + input_.exclude_offsets[first_ + j];
    const int64_t* end = input_.exclude_ids + input_.exclude_offsets[first_ + j + 1];
    return begin != end && std::binary_search(begin, end, id);
  }

  void add(int64_t j, int64_t id, float score, const ErrorBound& bound, const Rescore& rescore) {
    if (excludes(j, id)) return;
    const float error =
        bound.relative * norms_[index(j)] * input_.passage_norms[id] + bound.absolute;
    Candidates& candidates = candidates_[index(j)];
    if (candidates.add(score - error, score + error, id, rescore)) {
      limits_[index(j)] = candidates.limit() - bound.absolute;
    }
  }

  std::vector<Scored> finish(int64_t j, const Rescore& rescore) {
    return candidates_[index(j)].finish(rescore);
  }

 private:
  const SearchInput& input_;
  const Kernels& kernels_;
  int64_t first_ = 0, count_ = 0, panels_ = 0;
  AlignedVector<float> values_, limits_, norms_;
  std::vector<float> scratch_;
  std::vector<Candidates> candidates_;
};

// Rows of passages as the kernels want them: pointers to floats.
class TileReader {
 public:
  TileReader(const Matrix& passages, const Kernels& kernels)
      : passages_(passages),
        kernels_(kernels),
        scratch_(passages.rows_are_plain() ? 0 : index(kernels.tile_rows * passages.columns)) {}

  // Rows [first, first + count) and, up to tile_rows, the last of them again.
  const float* const* read(int64_t first, int64_t count) {
    for (int64_t r = 0; r < kernels_.tile_rows; ++r) {
      float* scratch = scratch_.empty() ? nullptr : scratch_.data() + r * passages_.columns;
      rows_[r] = r < count ? read_row(passages_, first + r, kernels_, scratch) : rows_[count - 1];
    }
    return rows_;
  }

 private:
  const Matrix& passages_;
  const Kernels& kernels_;
  std::vector<float> scratch_;
  const float* rows_[kMaxTileRows] = {};
};

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

// One thread's part in a search.
class Worker {
 public:
  Worker(const SearchInput& input, const Kernels& kernels, Control& control)
      : input_(input),
        kernels_(kernels),
        control_(control),
        bound_(error_bound(input.queries.columns)),
        queries_(input, kernels),
        tiles_(input.passages, kernels),
        query_scratch_(index(input.queries.columns)),
        passage_scratch_(index(input.queries.columns)) {}

  void load(int64_t first_query, int64_t count) { queries_.load(first_query, count); }

  // Leads passages [begin, end) past the loaded queries. Returns early if the search is stopped.
  void scan(int64_t begin, int64_t end) {
    const int64_t chunk_rows = kChunkTiles * kernels_.tile_rows;
    const int64_t chunks = divide_up(end - begin, chunk_rows);
    const StridedOrder order(chunks);
    for (int64_t c = 0; c < chunks && !control_.stop; ++c) {
      const int64_t first = begin + order[c] * chunk_rows;
      const int64_t last = std::min(end, first + chunk_rows);
      for (int64_t row = first; row < last; row += kernels_.tile_rows) {
        scan_tile(row, std::min<int64_t>(kernels_.tile_rows, last - row));
      }
      control_.done += (last - first) * queries_.count();
    }
  }

  std::vector<Scored> finish(int64_t j) {
    return queries_.finish(j, [&](int64_t id) { return exact_score(j, id); });
  }

 private:
  void scan_tile(int64_t first, int64_t count) {
    const float* const* rows = tiles_.read(first, count);
    const float* norms = input_.passage_norms + first;
    const float reach = bound_.relative * *std::max_element(norms, norms + count);
    for (int64_t p = 0; p < queries_.panels(); ++p) {
      const QueryPanel panel = queries_.panel(p);
      const int hits = kernels_.scan_tile(rows, &panel, input_.queries.columns, reach, &hits_);
      for (int h = 0; h < hits; ++h) {
        const int64_t row = hits_.places[h] / kernels_.panel_queries;
        if (row >= count) break;  // repetitions of the last row, at the end of a range
        const int64_t j = p * kernels_.panel_queries + hits_.places[h] % kernels_.panel_queries;
        queries_.add(j, first + row, hits_.scores[h], bound_,
                     [&](int64_t id) { return exact_score(j, id); });
      }
    }
  }

  float exact_score(int64_t j, int64_t id) {
    const float* query =
        read_row(input_.queries, queries_.first() + j, kernels_, query_scratch_.data());
    const float* passage = read_row(input_.passages, id, kernels_, passage_scratch_.data());
    const double exact = kernels_.exact_dot(query, passage, input_.queries.columns);
    return static_cast<float>(exact) + 0.0F;  // + 0 turns -0 to 0
  }

  const SearchInput& input_;
  const Kernels& kernels_;
  Control& control_;
  const ErrorBound bound_;
  QueryBlock queries_;
  TileReader tiles_;
  Hits hits_;
  std::vector<float> query_scratch_, passage_scratch_;
};

// Where the results of the ranges of passages come together.
class Results {
 public:
  Results(const SearchInput& input, const Plan& plan, float* scores, int64_t* ids)
      : k_(input.k), scores_(scores), ids_(ids) {
    if (plan.ranges > 1) parts_.resize(index(plan.ranges * input.queries.rows));
    queries_ = input.queries.rows;
    ranges_ = plan.ranges;
  }

  void put(int64_t range, int64_t query, std::vector<Scored> found) {
    if (ranges_ == 1) {
      write(query, found);
    } else {
      parts_[index(range * queries_ + query)] = std::move(found);
    }
  }

  // To be called once, when all ranges are in.
  void merge() {
    std::vector<Scored> all;
    for (int64_t query = 0; ranges_ > 1 && query < queries_; ++query) {
      all.clear();
      for (int64_t range = 0; range < ranges_; ++range) {
        const auto& part = parts_[index(range * queries_ + query)];
        all.insert(all.end(), part.begin(), part.end());
      }
      std::sort(all.begin(), all.end(), ranks_before);
      write(query, all);
    }
  }

 private:
  void write(int64_t query, const std::vector<Scored>& found) {
    for (int64_t rank = 0; rank < k_; ++rank) {
      const bool filled = rank < static_cast<int64_t>(found.size());
      scores_[query * k_ + rank] = filled ? found[index(rank)].score : -kInfinity;
      ids_[query * k_ + rank] = filled ? found[index(rank)].id : -1;
    }
  }

  int64_t k_, queries_, ranges_;
  float* scores_;
  int64_t* ids_;
  std::vector<std::vector<Scored>> parts_;
};

}  // namespace

void search(const SearchInput& input, const Kernels& kernels, int threads, float* scores,
            int64_t* ids, const std::function<void(double share)>& report) {
  const int64_t q = input.queries.rows, n = input.passages.rows;
  if (q == 0 || input.k == 0) return;
  if (n == 0) {
    std::fill_n(scores, q * input.k, -kInfinity);
    std::fill_n(ids, q * input.k, int64_t{-1});
    return;
  }
  const Plan plan = make_plan(input, kernels, threads);
  Results results(input, plan, scores, ids);
  Control control;
  std::vector<Worker> workers;
  workers.reserve(index(threads));
  for (int i = 0; i < threads; ++i) workers.emplace_back(input, kernels, control);

  const auto task = [&](int64_t i, int worker) {
    // Neighbouring tasks share a range of passages: their reads meet in the cache.
    const int64_t first = i % plan.query_blocks * plan.block_queries;
    const int64_t count = std::min(plan.block_queries, q - first);
    const int64_t range = i / plan.query_blocks;
    Worker& self = workers[index(worker)];
    self.load(first, count);
    self.scan(range * plan.range_rows, std::min(n, (range + 1) * plan.range_rows));
    for (int64_t j = 0; j < count && !control.stop; ++j) {
      results.put(range, first + j, self.finish(j));
    }
  };
  const double total = static_cast<double>(q) * static_cast<double>(n);
  run_tasks(plan.query_blocks * plan.ranges, threads, control, task,
            [&] { report(static_cast<double>(control.done) / total); });
  results.merge();
}

}  // namespace gecko
