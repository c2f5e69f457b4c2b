#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "bytes.h"
#include "candidates.h"
#include "check.h"
#include "dispatch.h"
#include "search.h"

namespace gecko {
namespace {

struct Data {
  int64_t rows, columns;
  std::vector<float> values, norms;

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

Found run(const Data& queries, const Data& passages, int64_t k, const Lists& excluded,
          const Kernels& kernels, int threads, FirstPass pass = FirstPass::kFloat32,
          const BytePassages* packed = nullptr) {
  std::vector<int64_t> offsets = {0}, ids;
  for (const auto& list : excluded) {
    ids.insert(ids.end(), list.begin(), list.end());
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  const auto size = static_cast<size_t>(queries.rows * k);
  Found found{std::vector<float>(size), std::vector<int64_t>(size)};
  search({queries.matrix(), passages.matrix(), queries.norms.data(), passages.norms.data(),
          offsets.data(), ids.data(), k, pass, packed},
         kernels, threads, found.scores.data(), found.ids.data(), [](double) {});
  return found;
}

// A full sort of all scores.
Found oracle(const Data& queries, const Data& passages, int64_t k, const Lists& excluded) {
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

void every_level_equals_a_full_sort() {
  for (const Kernels* kernels : available_kernels()) {
    for (const int64_t d : {0, 1, 7, 32, 33, 100}) {
      for (const int64_t n : {0, 1, 5, 12, 13, 400, 9001}) {
        for (const int64_t q : {0, 1, 31, 33, 70}) {
          if (n > 1000 && d != 33) continue;
          const Data queries(q, d, 1), passages(n, d, 2);
          const Lists excluded(static_cast<size_t>(q), {0, 3, 4});
          for (const int64_t k : {0, 1, 20}) {
            const Found expected = oracle(queries, passages, k, excluded);
            CHECK(run(queries, passages, k, excluded, *kernels, 2) == expected);
            if (kernels->scan_bytes == nullptr) continue;
            BytePassages packed(*kernels, d);
            packed.extend(passages.matrix(), 2, [](double) {});
            const auto bytes = FirstPass::kInt8;
            CHECK(run(queries, passages, k, excluded, *kernels, 2, bytes, &packed) == expected);
            CHECK(run(queries, passages, k, excluded, *kernels, 1, bytes) == expected);
          }
        }
      }
    }
  }
}

void packed_passages_that_grew_or_were_adopted_serve_like_new_ones() {
  for (const Kernels* kernels : available_kernels()) {
    if (kernels->scan_bytes == nullptr) continue;
    const int64_t d = 33;
    const Data queries(40, d, 1), passages(333, d, 2);
    const Found expected = oracle(queries, passages, 9, Lists(40));
    const auto found = [&](const BytePassages& packed) {
      return run(queries, passages, 9, Lists(40), *kernels, 2, FirstPass::kInt8, &packed);
    };
    BytePassages grown(*kernels, d);
    for (const int64_t rows : {1, 2, 12, 13, 333}) {
      Matrix first = passages.matrix();
      first.rows = rows;
      grown.extend(first, 2, [](double) {});
      CHECK(grown.rows() == rows);
    }
    CHECK(found(grown) == expected);
    BytePassages adopted(*kernels, d);
    adopted.adopt(grown.rows(), grown.parts());
    CHECK(adopted.parts().words == grown.parts().words);  // no copy
    CHECK(found(adopted) == expected);
    adopted.extend(passages.matrix(), 1, [](double) {});  // nothing to add, but a copy
    CHECK(adopted.parts().words != grown.parts().words);
    CHECK(found(adopted) == expected);
  }
}

void quantised_rows_are_as_close_as_they_say() {
  for (const Kernels* kernels : available_kernels()) {
    if (kernels->quantise == nullptr) continue;
    for (const int64_t d : {1, 15, 16, 17, 100}) {
      Data data(20, d, 11);
      for (size_t i = 0; i < data.values.size(); ++i) {
        data.values[i] *= std::pow(10.0F, static_cast<float>(i / static_cast<size_t>(d)) * 3 - 36);
      }
      std::vector<int8_t> bytes(static_cast<size_t>(d));
      for (int64_t row = 0; row < data.rows; ++row) {
        const Quantised quantised = kernels->quantise(data.row(row), d, bytes.data());
        double residual = 0, norm = 0;
        for (int64_t i = 0; i < d; ++i) {
          const double rounded =
              static_cast<double>(quantised.scale) * bytes[static_cast<size_t>(i)];
          residual += std::pow(data.row(row)[i] - rounded, 2.0);
          norm += std::pow(rounded, 2.0);
        }
        CHECK(std::sqrt(residual) <= static_cast<double>(quantised.residual));
        CHECK(std::sqrt(norm) <= static_cast<double>(quantised.norm));
        CHECK(std::sqrt(norm) * 1.001 + 1e-28 >= static_cast<double>(quantised.norm));
      }
    }
  }
}

void equal_passages_come_in_the_order_of_their_ids() {
  Data passages(5000, 8, 3);
  std::fill(passages.values.begin(), passages.values.end(), 0.1F);
  passages.measure();
  const Data queries(40, 8, 4);
  const Lists none(40);
  for (const Kernels* kernels : available_kernels()) {
    CHECK(run(queries, passages, 10, none, *kernels, 2) == oracle(queries, passages, 10, none));
  }
}

void the_number_of_threads_changes_nothing() {
  const Data queries(65, 48, 5), passages(20000, 48, 6);
  const Lists none(65);
  const Found one = run(queries, passages, 5, none, *available_kernels()[0], 1);
  for (const int threads : {2, 3, 8}) {
    CHECK(run(queries, passages, 5, none, *available_kernels()[0], threads) == one);
  }
}

void exact_dot_has_the_same_bits_at_every_level() {
  for (const int64_t d : {0, 1, 31, 32, 33, 63, 64, 65, 384, 1000}) {
    Data pair(2, d, 8);
    for (size_t i = 0; i < pair.values.size(); ++i) {
      pair.values[i] *= std::ldexp(1.37F, static_cast<int>(i % 60) - 30);
    }
    const double expected = kScalarKernels->exact_dot(pair.row(0), pair.row(1), d);
    for (const Kernels* kernels : available_kernels()) {
      CHECK(kernels->exact_dot(pair.row(0), pair.row(1), d) == expected);
    }
  }
}

void every_half_precision_number_widens_alike() {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7C00) != 0x7C00) halves.push_back(static_cast<uint16_t>(bits));
  }
  halves.resize(halves.size() - 3);  // not a whole number of vectors
  const auto n = static_cast<int64_t>(halves.size());
  std::vector<float> expected(halves.size()), wide(halves.size());
  kScalarKernels->widen_half(halves.data(), expected.data(), n);
  CHECK(expected[0x3C00] == 1.0F && expected[1] == 0x1p-24F && expected[0x7BFF] == 65504.0F);
  for (const Kernels* kernels : available_kernels()) {
    kernels->widen_half(halves.data(), wide.data(), n);
    CHECK(wide == expected);
  }
}

void a_report_that_throws_ends_the_search() {
  const Data queries(1, 4, 1), passages(50, 4, 2);
  const int64_t offsets[] = {0, 0};
  float score = 0;
  int64_t id = 0;
  bool thrown = false;
  try {
    search({queries.matrix(), passages.matrix(), queries.norms.data(), passages.norms.data(),
            offsets, nullptr, 1, FirstPass::kFloat32, nullptr},
           *kScalarKernels, 1, &score, &id, [](double) { throw std::runtime_error("enough"); });
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown);
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::every_level_equals_a_full_sort);
  RUN(gecko::packed_passages_that_grew_or_were_adopted_serve_like_new_ones);
  RUN(gecko::quantised_rows_are_as_close_as_they_say);
  RUN(gecko::equal_passages_come_in_the_order_of_their_ids);
  RUN(gecko::the_number_of_threads_changes_nothing);
  RUN(gecko::exact_dot_has_the_same_bits_at_every_level);
  RUN(gecko::every_half_precision_number_widens_alike);
  RUN(gecko::a_report_that_throws_ends_the_search);
  return gecko::failures();
}
