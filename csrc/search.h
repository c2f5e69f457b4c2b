// Exact inner-product top-k, fused: no matrix of scores is ever stored.
#ifndef GECKO_SEARCH_H_
#define GECKO_SEARCH_H_

#include <cstdint>
#include <functional>

#include "kernels/kernels.h"
#include "matrix.h"

namespace gecko {

class PackedPassages;

// The number type of the first pass. It never changes a result, only what has to be rescored. kInt8
// needs Kernels::int8 and at most kMaxByteDimension columns, kBFloat16 needs Kernels::bfloat16.
enum class FirstPass { kFloat32, kInt8, kBFloat16 };

// The kernels of a pass over packed numbers, or null where the level has none.
inline const PackedScan* packed_scan(const Kernels& kernels, FirstPass pass) {
  if (pass == FirstPass::kInt8) return kernels.int8;
  return pass == FirstPass::kBFloat16 ? kernels.bfloat16 : nullptr;
}

// How far off a packed score may be. kCertified: a bound that holds always. kStatistical: six
// standard deviations if the roundings of components are independent of the vectors; fewer passages
// are rescored, but a result may, very rarely, miss one of the best.
enum class Margin { kCertified, kStatistical };

// A search. All pointers are borrowed for the length of the call.
struct SearchInput {
  Matrix queries;                  // (q, d)
  Matrix passages;                 // (n, d)
  const float* query_norms;        // (q): |row|, rounded up, at most 1e18
  const float* passage_norms;      // (n): likewise
  const int64_t* exclude_offsets;  // (q + 1): CSR, never falling
  const int64_t* exclude_ids;      // sorted ascending within each query
  int64_t k;                       // at least 0
  FirstPass first_pass;
  const PackedPassages* packed;  // null, or these passages, packed by the kernels of this search
  Margin margin = Margin::kCertified;
};

// Writes the k best passages of each query: scores (q, k) and ids (q, k), higher score first, then
// lower id, padded with -infinity and -1. A score is that of exact_score() (rows.h). The result is
// the same bits for any kernels and any number of threads (>= 1), where the margin is certified.
//
// `report(share)` is called in the calling thread about every 50 ms; what it throws ends the
// search. Memory: per thread a block of queries and of candidates, some 2 MB at k = 20.
void search(const SearchInput& input, const Kernels& kernels, int threads, float* scores,
            int64_t* ids, const std::function<void(double share)>& report);

}  // namespace gecko

#endif  // GECKO_SEARCH_H_
