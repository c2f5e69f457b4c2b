#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "levels.h"
#include "oracle.h"
#include "packed.h"
#include "search.h"

namespace gecko {
namespace {

void every_level_equals_a_full_sort() {
  for (const Kernels* kernels : levels_under_test()) {
    for (const int64_t d : {0, 1, 7, 32, 33, 100}) {
      for (const int64_t n : {0, 1, 5, 12, 13, 400, 9001}) {
        for (const int64_t q : {0, 1, 31, 33, 70}) {
          if (n > 1000 && d != 33) continue;
          const Data queries(q, d, 1), passages(n, d, 2);
          const Lists excluded(static_cast<size_t>(q), {0, 3, 4});
          for (const int64_t k : {0, 1, 20}) {
            const Found expected = oracle(queries, passages, k, excluded);
            CHECK(run(queries, passages, k, excluded, *kernels, 2) == expected);
            for (const FirstPass pass : {FirstPass::kInt8, FirstPass::kBFloat16}) {
              const PackedScan* scan = packed_scan(*kernels, pass);
              if (scan == nullptr) continue;
              PackedPassages packed(*kernels, *scan, d);
              packed.extend(passages.matrix(), 2, [](double) {});
              CHECK(run(queries, passages, k, excluded, *kernels, 2, pass, &packed) == expected);
              CHECK(run(queries, passages, k, excluded, *kernels, 1, pass) == expected);
            }
          }
        }
      }
    }
  }
}

void packed_passages_that_grew_or_were_adopted_serve_like_new_ones() {
  const int64_t d = 33;
  const Data queries(40, d, 1), passages(333, d, 2);
  const Found expected = oracle(queries, passages, 9, Lists(40));
  for (const Kernels* kernels : levels_under_test()) {
    for (const FirstPass pass : {FirstPass::kInt8, FirstPass::kBFloat16}) {
      const PackedScan* scan = packed_scan(*kernels, pass);
      if (scan == nullptr) continue;
      const auto found = [&](const PackedPassages& packed) {
        return run(queries, passages, 9, Lists(40), *kernels, 2, pass, &packed);
      };
      PackedPassages grown(*kernels, *scan, d);
      for (const int64_t rows : {1, 2, 12, 13, 333}) {
        Matrix first = passages.matrix();
        first.rows = rows;
        grown.extend(first, 2, [](double) {});
        CHECK(grown.rows() == rows);
      }
      CHECK(found(grown) == expected);
      PackedPassages adopted(*kernels, *scan, d);
      adopted.adopt(grown.rows(), grown.parts());
      CHECK(adopted.parts().words == grown.parts().words);  // no copy
      CHECK(found(adopted) == expected);
      adopted.extend(passages.matrix(), 1, [](double) {});  // nothing to add, but a copy
      CHECK(adopted.parts().words != grown.parts().words);
      CHECK(found(adopted) == expected);
    }
  }
}

// Component i of what `scan` made of a row.
double number(const PackedScan& scan, const std::vector<uint8_t>& packed, int64_t i) {
  const uint8_t* place = packed.data() + i * scan.component_bytes;
  if (scan.component_bytes == 1) return static_cast<int8_t>(*place);
  const uint32_t bits = static_cast<uint32_t>(place[0]) << 16 | static_cast<uint32_t>(place[1])
                                                                    << 24;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  CHECK(wide == 0 || std::fabs(wide) >= std::numeric_limits<float>::min());
  return static_cast<double>(wide);
}

void check_rounding(const PackedScan& scan, const float* row, int64_t d) {
  std::vector<uint8_t> packed(static_cast<size_t>(d * scan.component_bytes));
  const Rounded rounded = scan.round(row, d, packed.data());
  double residual = 0, norm = 0;
  int64_t sum = 0;
  for (int64_t i = 0; i < d; ++i) {
    const double part = number(scan, packed, i), exact = static_cast<double>(row[i]);
    residual += std::pow(exact - static_cast<double>(rounded.scale) * part, 2.0);
    norm += std::pow(static_cast<double>(rounded.scale) * part, 2.0);
    sum += scan.component_bytes == 1 ? static_cast<int64_t>(part) : 0;
  }
  CHECK(std::sqrt(residual) <= static_cast<double>(rounded.residual));
  CHECK(std::sqrt(residual) * 1.01 + 1e-6 * std::sqrt(norm) + 1e-28 >=
        static_cast<double>(rounded.residual));
  CHECK(std::sqrt(norm) <= static_cast<double>(rounded.norm));
  CHECK(std::sqrt(norm) * 1.001 + 1e-28 >= static_cast<double>(rounded.norm));
  CHECK(sum == rounded.sum);
}

void rounded_rows_are_as_close_as_they_say() {
  for (const Kernels* kernels : levels_under_test()) {
    for (const PackedScan* scan : {kernels->int8, kernels->bfloat16}) {
      if (scan == nullptr) continue;
      for (const int64_t d : {1, 15, 16, 17, 100}) {
        Data data(24, d, 11);
        for (size_t i = 0; i < data.values.size(); ++i) {
          const int power = static_cast<int>(i / static_cast<size_t>(d)) * 3 - 45;
          data.values[i] *= 1.37F * std::pow(10.0F, static_cast<float>(power));
        }
        for (int64_t row = 0; row < data.rows; ++row) check_rounding(*scan, data.row(row), d);
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
  for (const Kernels* kernels : levels_under_test()) {
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
    for (const Kernels* kernels : levels_under_test()) {
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
  for (const Kernels* kernels : levels_under_test()) {
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
  RUN(gecko::rounded_rows_are_as_close_as_they_say);
  RUN(gecko::equal_passages_come_in_the_order_of_their_ids);
  RUN(gecko::the_number_of_threads_changes_nothing);
  RUN(gecko::exact_dot_has_the_same_bits_at_every_level);
  RUN(gecko::every_half_precision_number_widens_alike);
  RUN(gecko::a_report_that_throws_ends_the_search);
  return gecko::failures();
}
