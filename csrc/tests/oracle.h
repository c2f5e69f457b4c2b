// Searches of small matrices, and what they must find.
#ifndef GECKO_TESTS_ORACLE_H_
#define GECKO_TESTS_ORACLE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "candidates.h"
#include "packed.h"
#include "search.h"

namespace gecko {

struct Data {
  int64_t rows, columns;
  std::vector<float> values, norms;

  // Multiples of 1/16 from -2 to 2: many ties, few roundings.
  Data(int64_t n, int64_t d, unsigned seed) : rows(n), columns(d), values(), norms() {
    std::mt19937 random(seed);
    values.resize(static_cast<size_t>(n * d));
    for (float& value : values) value = static_cast<float>(random() % 64) / 16.0F - 2.0F;
    measure();
  }
  void measure() {
    norms.clear();
    for (int64_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < columns; ++j) sum += std::pow(row(i)[j], 2.0);
      norms.push_back(static_cast<float>(std::sqrt(sum) * (1 + 1e-6)));
    }
  }
  const float* row(int64_t i) const { return values.data() + i * columns; }
  Matrix matrix() const {
    const auto stride = static_cast<ptrdiff_t>(columns) * static_cast<ptrdiff_t>(sizeof(float));
    return {reinterpret_cast<const std::byte*>(values.data()),
            rows,
            columns,
            stride,
            sizeof(float),
            Element::kFloat32};
  }
};

struct Found {
  std::vector<float> scores;
  std::vector<int64_t> ids;
  bool operator==(const Found& other) const { return scores == other.scores && ids == other.ids; }
};

using Lists = std::vector<std::vector<int64_t>>;

inline Found run(const Data& queries, const Data& passages, int64_t k, const Lists& excluded,
                 const Kernels& kernels, int threads, FirstPass pass = FirstPass::kFloat32,
                 const PackedPassages* packed = nullptr, Margin margin = Margin::kCertified) {
  std::vector<int64_t> offsets = {0}, ids;
  for (const auto& list : excluded) {
    ids.insert(ids.end(), list.begin(), list.end());
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  const auto size = static_cast<size_t>(queries.rows * k);
  Found found{std::vector<float>(size), std::vector<int64_t>(size)};
  search({queries.matrix(), passages.matrix(), queries.norms.data(), passages.norms.data(),
          offsets.data(), ids.data(), k, pass, packed, margin},
         kernels, threads, found.scores.data(), found.ids.data(), [](double) {});
  return found;
}

// A full sort of all scores, by the definition of a score.
inline Found oracle(const Data& queries, const Data& passages, int64_t k, const Lists& excluded) {
  Found found;
  for (int64_t q = 0; q < queries.rows; ++q) {
    std::vector<Scored> all;
    const auto& list = excluded[static_cast<size_t>(q)];
    for (int64_t id = 0; id < passages.rows; ++id) {
      if (std::find(list.begin(), list.end(), id) != list.end()) continue;
      const double score =
          kScalarKernels->exact_dot(queries.row(q), passages.row(id), queries.columns);
      all.push_back({static_cast<float>(score) + 0.0F, id});
    }
    std::sort(all.begin(), all.end(), ranks_before);
    all.resize(static_cast<size_t>(k), {-std::numeric_limits<float>::infinity(), -1});
    for (const Scored& one : all) {
      found.scores.push_back(one.score);
      found.ids.push_back(one.id);
    }
  }
  return found;
}

}  // namespace gecko

#endif  // GECKO_TESTS_ORACLE_H_
