#include "rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parallel.h"

namespace gecko {
namespace {

constexpr int64_t kRowsPerTask = 512;

// Calls work(row, scratch) for each row in parallel; scratch has room for one row of floats.
void for_each_row(int64_t rows, int64_t columns, int threads,
                  const std::function<void(int64_t row, float* scratch)>& work,
                  const std::function<void(double share)>& report) {
  Control control;
  const auto task = [&](int64_t i, int) {
    std::vector<float> scratch(static_cast<size_t>(2 * columns));
    const int64_t end = std::min(rows, (i + 1) * kRowsPerTask);
    for (int64_t row = i * kRowsPerTask; row < end; ++row) work(row, scratch.data());
    control.done += kRowsPerTask;
  };
  run_tasks((rows + kRowsPerTask - 1) / kRowsPerTask, threads, control, task, [&] {
    const double share = static_cast<double>(control.done) / static_cast<double>(rows + 1);
    report(std::min(1.0, share));
  });
}

}  // namespace

void measure_norms(const Matrix& matrix, const Kernels& kernels, int threads, float* norms,
                   const std::function<void(double share)>& report) {
  const auto work = [&](int64_t i, float* scratch) {
    const float* row = read_row(matrix, i, kernels, scratch);
    const double norm = std::sqrt(kernels.exact_dot(row, row, matrix.columns));
    norms[i] = static_cast<float>(norm) * (1.0F + 0x1p-22F);
  };
  for_each_row(matrix.rows, matrix.columns, threads, work, report);
}

void score_pairs(const Matrix& queries, const Matrix& passages, const int64_t* ids,
                 int64_t per_query, const Kernels& kernels, int threads, float* scores,
                 const std::function<void(double share)>& report) {
  const int64_t d = queries.columns;
  const auto work = [&](int64_t i, float* scratch) {
    const float* query = read_row(queries, i, kernels, scratch);
    for (int64_t at = i * per_query; at < (i + 1) * per_query; ++at) {
      scores[at] = -std::numeric_limits<float>::infinity();
      if (ids[at] < 0) continue;
      const float* passage = read_row(passages, ids[at], kernels, scratch + d);
      scores[at] = exact_score(kernels, query, passage, d);
    }
  };
  for_each_row(queries.rows, d, threads, work, report);
}

}  // namespace gecko
