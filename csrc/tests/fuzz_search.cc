// Random bytes become shapes, vectors, exclusions and a way to search; the result must be that of a
// full sort of float64 scores, and what is mined from it that of one step after the other. Built
// with -DGECKO_FUZZ=ON by Clang, for libFuzzer.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "levels.h"
#include "mining_oracle.h"
#include "oracle.h"

namespace gecko {
namespace {

// Any float but NaN and what the interface refuses: norms above 1e18.
float any_number(FuzzedDataProvider& bytes) {
  const auto bits = bytes.ConsumeIntegral<uint32_t>();
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return std::fabs(number) < 1e15F ? number : std::ldexp(1.0F, static_cast<int>(bits % 100) - 50);
}

// Rows are new, repeated, or of few different numbers, so that there are ties and near-ties.
Data any_matrix(FuzzedDataProvider& bytes, int64_t rows, int64_t columns) {
  Data data(rows, columns, bytes.ConsumeIntegral<uint8_t>());
  for (int64_t i = 0; i < rows && columns > 0; ++i) {
    const auto row = data.values.begin() + i * columns;
    switch (bytes.ConsumeIntegralInRange<int>(0, 4)) {
      case 0:
        if (i > 0)
          std::copy_n(data.row(bytes.ConsumeIntegralInRange<int64_t>(0, i - 1)), columns, row);
        break;
      case 1:
        row[bytes.ConsumeIntegralInRange<int64_t>(0, columns - 1)] = any_number(bytes);
        break;
      case 2: {
        const float factor = any_number(bytes) * 0x1p-10F;
        std::for_each(row, row + columns, [factor](float& value) { value *= factor; });
        break;
      }
      default:
        break;
    }
  }
  data.measure();
  return data;
}

Lists any_exclusions(FuzzedDataProvider& bytes, int64_t queries, int64_t passages) {
  Lists lists(static_cast<size_t>(queries));
  for (auto& list : lists) {
    for (int i = bytes.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) {
      list.push_back(bytes.ConsumeIntegralInRange<int64_t>(-1, passages));
    }
    std::sort(list.begin(), list.end());
  }
  return lists;
}

// Some of the exclusions that are passages.
Lists any_positives(FuzzedDataProvider& bytes, Lists lists, int64_t passages) {
  for (auto& list : lists) {
    const auto refused = [&](int64_t id) {
      return id < 0 || id >= passages || bytes.ConsumeBool();
    };
    list.erase(std::remove_if(list.begin(), list.end(), refused), list.end());
  }
  return lists;
}

Wish any_wish(FuzzedDataProvider& bytes, int64_t k) {
  Wish wish;
  wish.k = k;
  wish.n_negatives = bytes.ConsumeIntegralInRange<int64_t>(0, 9);
  const int strategy = bytes.ConsumeIntegralInRange<int>(0, 2);
  wish.strategy = static_cast<Strategy>(strategy);
  wish.seed = bytes.ConsumeIntegral<uint64_t>();
  wish.first_rank = bytes.ConsumeIntegralInRange<int64_t>(-1, 5);
  if (bytes.ConsumeBool()) wish.end_rank = bytes.ConsumeIntegralInRange<int64_t>(0, 40);
  for (auto* limit :
       {&wish.max_score, &wish.min_score, &wish.absolute_margin, &wish.relative_margin}) {
    if (bytes.ConsumeBool()) *limit = bytes.ConsumeFloatingPointInRange<double>(-8, 8);
  }
  return wish;
}

[[noreturn]] void stop(const char* what, const Kernels& kernels, int64_t n, int64_t q, int64_t d,
                       int64_t k) {
  std::fprintf(stderr, "another %s at level %s: n %ld, q %ld, d %ld, k %ld\n", what, kernels.name,
               static_cast<long>(n), static_cast<long>(q), static_cast<long>(d),
               static_cast<long>(k));
  std::abort();
}

void search_and_compare(FuzzedDataProvider& bytes) {
  const std::vector<const Kernels*> levels = levels_under_test();
  const Kernels& kernels = *levels[bytes.ConsumeIntegralInRange<size_t>(0, levels.size() - 1)];
  const int threads = bytes.ConsumeIntegralInRange<int>(1, 3);
  const auto n = bytes.ConsumeIntegralInRange<int64_t>(0, bytes.ConsumeBool() ? 40 : 700);
  const auto q = bytes.ConsumeIntegralInRange<int64_t>(0, bytes.ConsumeBool() ? 3 : 70);
  const auto d = bytes.ConsumeIntegralInRange<int64_t>(0, 140);
  const auto k = bytes.ConsumeIntegralInRange<int64_t>(0, 40);
  const Data passages = any_matrix(bytes, n, d), queries = any_matrix(bytes, q, d);
  const Lists excluded = any_exclusions(bytes, q, n);
  const Lists positives = any_positives(bytes, excluded, n);
  const Wish wish = any_wish(bytes, k);

  const Found expected = oracle(queries, passages, k, excluded);
  const Mined to_mine = mining_oracle(queries, passages, positives, expected, wish);
  const auto check = [&](FirstPass pass, const PackedPassages* packed) {
    const Found found = run(queries, passages, k, excluded, kernels, threads, pass, packed);
    if (!(found == expected)) stop("result", kernels, n, q, d, k);
    const Mined mined =
        mine(queries, passages, positives, excluded, wish, kernels, threads, pass, packed);
    if (!(mined == to_mine)) stop("draw", kernels, n, q, d, k);
  };
  check(FirstPass::kFloat32, nullptr);
  for (const FirstPass pass : {FirstPass::kInt8, FirstPass::kBFloat16}) {
    const PackedScan* scan = packed_scan(kernels, pass);
    if (scan == nullptr) continue;
    PackedPassages packed(kernels, *scan, d);
    packed.extend(passages.matrix(), threads, [](double) {});
    check(pass, &packed);
    check(pass, nullptr);
  }
}

}  // namespace
}  // namespace gecko

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider bytes(data, size);
  gecko::search_and_compare(bytes);
  return 0;
}
