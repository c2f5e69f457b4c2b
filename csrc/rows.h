// Work on single rows: norms and scores of given pairs.
#ifndef GECKO_ROWS_H_
#define GECKO_ROWS_H_

#include <cstdint>
#include <functional>

#include "kernels/kernels.h"
#include "matrix.h"

namespace gecko {

// The score of a pair: Kernels::exact_dot rounded to float32, with -0 as 0.
inline float exact_score(const Kernels& kernels, const float* query, const float* passage,
                         int64_t d) {
  return static_cast<float>(kernels.exact_dot(query, passage, d)) + 0.0F;
}

// Writes the Euclidean norm of each row, rounded up; infinity or NaN where the row has such
// numbers.
void measure_norms(const Matrix& matrix, const Kernels& kernels, int threads, float* norms,
                   const std::function<void(double share)>& report);

// Writes scores (queries.rows, per_query), as in search(), of query i with the passages
// ids[i * per_query ...]; -infinity where an id is below 0. Ids must be less than passages.rows.
void score_pairs(const Matrix& queries, const Matrix& passages, const int64_t* ids,
                 int64_t per_query, const Kernels& kernels, int threads, float* scores,
                 const std::function<void(double share)>& report);

}  // namespace gecko

#endif  // GECKO_ROWS_H_
