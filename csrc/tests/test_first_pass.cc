// Searches of vectors that are hard to round, at every level, with every first pass.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "check.h"
#include "first_pass.h"
#include "levels.h"
#include "oracle.h"

namespace gecko {
namespace {

enum class Shape {
  kGaussian,
  kEqual,
  kDuplicates,
  kZeros,
  kOutlier,
  kUnnormalised,
  kTiny,
  kSorted
};
constexpr Shape kShapes[] = {Shape::kGaussian, Shape::kEqual,   Shape::kDuplicates,
                             Shape::kZeros,    Shape::kOutlier, Shape::kUnnormalised,
                             Shape::kTiny,     Shape::kSorted};

Data make(Shape shape, int64_t n, int64_t d, unsigned seed) {
  Data data(n, d, seed);
  std::mt19937 random(seed);
  std::normal_distribution<float> gaussian;
  for (float& value : data.values) value = gaussian(random);
  const auto row = [&](int64_t i) { return data.values.begin() + i * d; };
  for (int64_t i = 0; i < n && d > 0; ++i) {
    const auto scale = [&](float factor) {
      std::for_each(row(i), row(i) + d, [factor](float& value) { value *= factor; });
    };
    if (shape == Shape::kEqual) std::fill_n(row(i), d, 0.1F);
    if (shape == Shape::kDuplicates) std::copy_n(row(i % (n / 3 + 1)), d, row(i));
    if (shape == Shape::kZeros && i % 2 == 0) std::fill_n(row(i), d, 0.0F);
    if (shape == Shape::kOutlier) *(row(i) + d / 2) *= 1000.0F;
    if (shape == Shape::kUnnormalised) scale(std::pow(10.0F, static_cast<float>(i % 30) - 15.0F));
    if (shape == Shape::kTiny) scale(std::pow(10.0F, -30.0F - static_cast<float>(i % 14)));
    if (shape == Shape::kSorted) scale(0.01F), *row(i) = static_cast<float>(i) / 100.0F;
  }
  data.measure();
  return data;
}

template <class Check>
void for_each_packed_scan(Check check) {
  for (const Kernels* kernels : levels_under_test()) {
    for (const FirstPass pass : {FirstPass::kInt8, FirstPass::kBFloat16}) {
      const PackedScan* scan = packed_scan(*kernels, pass);
      if (scan != nullptr) check(*kernels, pass, *scan);
    }
  }
}

PackedPassages pack(const Data& passages, const Kernels& kernels, const PackedScan& scan) {
  PackedPassages packed(kernels, scan, passages.columns);
  packed.extend(passages.matrix(), 2, [](double) {});
  return packed;
}

void no_shape_of_vectors_changes_a_result() {
  for (const Shape shape : kShapes) {
    for (const int64_t d : {1, 31, 64, 130}) {
      const Data queries = make(shape, 35, d, 1), passages = make(shape, 1100, d, 2);
      const Lists excluded(35, {1, 2, 700});
      const Found expected = oracle(queries, passages, 9, excluded);
      for (const Kernels* kernels : levels_under_test()) {
        CHECK(run(queries, passages, 9, excluded, *kernels, 2) == expected);
      }
      for_each_packed_scan([&](const Kernels& kernels, FirstPass pass, const PackedScan& scan) {
        const PackedPassages packed = pack(passages, kernels, scan);
        CHECK(run(queries, passages, 9, excluded, kernels, 2, pass, &packed) == expected);
        CHECK(run(queries, passages, 9, excluded, kernels, 1, pass) == expected);
      });
    }
  }
}

void threads_and_blocks_of_queries_change_no_bit() {
  const Data queries = make(Shape::kGaussian, 70, 40, 3), passages(6000, 40, 4);
  const Lists none(70);
  const Found expected = oracle(queries, passages, 5, none);
  for_each_packed_scan([&](const Kernels& kernels, FirstPass pass, const PackedScan& scan) {
    const PackedPassages packed = pack(passages, kernels, scan);
    for (const int threads : {1, 2, 3, 8}) {
      CHECK(run(queries, passages, 5, none, kernels, threads, pass, &packed) == expected);
    }
    Found whole;
    for (const int64_t first : {0, 33, 34}) {
      const int64_t count = first == 0 ? 33 : first == 33 ? 1 : 36;
      Data part(count, 40, 0);
      std::copy_n(queries.row(first), count * 40, part.values.begin());
      part.measure();
      const Found found =
          run(part, passages, 5, Lists(static_cast<size_t>(count)), kernels, 2, pass, &packed);
      whole.scores.insert(whole.scores.end(), found.scores.begin(), found.scores.end());
      whole.ids.insert(whole.ids.end(), found.ids.begin(), found.ids.end());
    }
    CHECK(whole == expected);
  });
}

// Scores of one tile against one panel, on everything that the kernel reports without a limit.
void a_score_is_no_further_off_than_its_bounds_say() {
  for (const Shape shape : kShapes) {
    const int64_t d = 70;
    const Data queries = make(shape, 20, d, 5), passages = make(shape, 100, d, 6);
    for_each_packed_scan([&](const Kernels& kernels, FirstPass pass, const PackedScan& scan) {
      const int64_t offsets[21] = {};
      const SearchInput input = {queries.matrix(),
                                 passages.matrix(),
                                 queries.norms.data(),
                                 passages.norms.data(),
                                 offsets,
                                 nullptr,
                                 1,
                                 pass,
                                 nullptr};
      PackedPass packed(input, kernels);
      packed.load_queries(0, queries.rows);
      packed.load_run(0, passages.rows);
      const PackedPass::Scope scope(packed);
      Hits hits;
      int64_t seen = 0;
      const int64_t tiles = (passages.rows + scan.tile_rows - 1) / scan.tile_rows;
      for (int64_t panel = 0; panel * scan.panel_queries < queries.rows; ++panel) {
        for (int64_t tile = 0; tile < tiles;) {
          const int64_t done = packed.scan(panel, tile, &hits);
          for (int h = 0; h < hits.count; ++h) {
            const int64_t row = tile * scan.tile_rows + hits.places[h] / scan.panel_queries;
            const int64_t j = panel * scan.panel_queries + hits.places[h] % scan.panel_queries;
            CHECK(j < queries.rows);
            if (row >= passages.rows) continue;
            ++seen;
            const double score = kScalarKernels->exact_dot(queries.row(j), passages.row(row), d);
            const Bounds bounds = packed.bounds(j, row, hits.scores[h]);
            CHECK(bounds.lower <= static_cast<float>(score));
            CHECK(static_cast<float>(score) <= bounds.upper);
          }
          tile += done;
        }
      }
      CHECK(seen == queries.rows * passages.rows);
    });
  }
}

// Not certified: it may miss, but of thousands of pairs it must find nearly all.
void a_statistical_margin_rescores_less_and_finds_nearly_all() {
  const Data queries = make(Shape::kGaussian, 60, 256, 7);
  const Data passages = make(Shape::kGaussian, 4000, 256, 8);
  const Lists none(60);
  const Found expected = oracle(queries, passages, 10, none);
  for_each_packed_scan([&](const Kernels& kernels, FirstPass pass, const PackedScan& scan) {
    const PackedPassages packed = pack(passages, kernels, scan);
    const Found found =
        run(queries, passages, 10, none, kernels, 2, pass, &packed, Margin::kStatistical);
    size_t same = 0;
    for (size_t i = 0; i < found.ids.size(); ++i) same += found.ids[i] == expected.ids[i] ? 1 : 0;
    CHECK(same >= found.ids.size() - 3);
    const int64_t offsets[61] = {};
    SearchInput input = {queries.matrix(),
                         passages.matrix(),
                         queries.norms.data(),
                         passages.norms.data(),
                         offsets,
                         nullptr,
                         10,
                         pass,
                         &packed};
    const auto width = [&] {
      PackedPass first_pass(input, kernels);
      first_pass.load_queries(0, queries.rows);
      first_pass.load_run(0, 1);
      const Bounds bounds = first_pass.bounds(0, 0, 0.0F);
      return bounds.upper - bounds.lower;
    };
    const float certified = width();
    input.margin = Margin::kStatistical;
    CHECK(width() < 0.5F * certified);  // 6 / sqrt(256) and the error of the arithmetic
  });
}

}  // namespace
}  // namespace gecko

int main() {
  RUN(gecko::no_shape_of_vectors_changes_a_result);
  RUN(gecko::threads_and_blocks_of_queries_change_no_bit);
  RUN(gecko::a_score_is_no_further_off_than_its_bounds_say);
  RUN(gecko::a_statistical_margin_rescores_less_and_finds_nearly_all);
  return gecko::failures();
}
