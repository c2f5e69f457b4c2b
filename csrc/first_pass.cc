#include "first_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace gecko {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kRunBytes = 384 << 10;  // packed passages of a run: they stay in the L2 cache
constexpr float kUp = 1.0F + 0x1p-20F;    // pays for the roundings of a few float operations

size_t index(int64_t i) { return static_cast<size_t>(i); }
int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

float relative_error(int64_t d) {
  const double roundings = static_cast<double>(d + 16) * 0x1p-24;
  const double relative = roundings < 0.5 ? roundings / (1 - roundings) : 1e15;
  return static_cast<float>(relative) * kUp;
}

// More than what `d` products and their sum can lose by underflow.
float underflow_error(int64_t d) { return static_cast<float>(d + 16) * 0x1p-125F; }

// 32 roundings of float32, for turning integers to scores and for bounds, limits and exact scores.
constexpr float kRoundingsOfBounds = 0x1p-19F;

constexpr int32_t kHighBits = static_cast<int32_t>(0x80808080);  // + 128 in each byte

int64_t run_rows_of(const PackedScan& scan, int64_t words) {
  const int64_t tile_bytes = scan.tile_rows * words * int64_t{sizeof(int32_t)};
  return std::max<int64_t>(1, kRunBytes / tile_bytes) * scan.tile_rows;
}

// Rounding errors e of the components of p: q.e is at most |q| |e|, and if e points anywhere, it
// has a standard deviation of |q| |e| / sqrt(d).
float spread(Margin margin, int64_t d) {
  if (margin == Margin::kCertified || d <= 36) return 1.0F;
  return 6.0F / std::sqrt(static_cast<float>(d));
}

// Places for `count` queries that are used, and for the rest of the last panel, which is not.
void reset_limits(AlignedVector<float>& limits, int64_t count, int64_t places) {
  limits.assign(index(places), kInfinity);
  std::fill_n(limits.begin(), count, -kInfinity);
}

}  // namespace

FloatPass::FloatPass(const SearchInput& input, const Kernels& kernels)
    : input_(input),
      kernels_(kernels),
      relative_(relative_error(input.queries.columns)),
      absolute_(underflow_error(input.queries.columns)) {}

void FloatPass::load_queries(int64_t first, int64_t count) {
  const int64_t width = kernels_.panel_queries, d = input_.queries.columns;
  const int64_t places = round_up(count, width);
  values_.assign(index(places * std::max<int64_t>(1, d)), 0.0F);
  norms_.assign(index(places), 0.0F);
  scratch_.resize(index(std::max<int64_t>(1, kernels_.tile_rows) * d));
  reset_limits(limits_, count, places);
  for (int64_t j = 0; j < count; ++j) {
    const float* row = read_row(input_.queries, first + j, kernels_, scratch_.data());
    float* column = values_.data() + j / width * width * d + j % width;
    for (int64_t i = 0; i < d; ++i) column[i * width] = row[i];
    norms_[index(j)] = input_.query_norms[first + j];
  }
}

void FloatPass::load_run(int64_t first, int64_t count) {
  const int64_t d = input_.passages.columns;
  for (int64_t r = 0; r < kernels_.tile_rows; ++r) {
    float* scratch = scratch_.data() + r * d;
    rows_[r] =
        r < count ? read_row(input_.passages, first + r, kernels_, scratch) : rows_[count - 1];
  }
  tile_norms_ = input_.passage_norms + first;
  reach_ = relative_ * *std::max_element(tile_norms_, tile_norms_ + count);
}

int64_t FloatPass::scan(int64_t panel, int64_t, Hits* hits) const {
  const int64_t at = panel * kernels_.panel_queries, d = input_.queries.columns;
  const QueryPanel queries = {values_.data() + at * d, limits_.data() + at, norms_.data() + at};
  hits->count = 0;
  kernels_.scan_tile(rows_, &queries, d, reach_, hits);
  return 1;
}

Bounds FloatPass::bounds(int64_t j, int64_t row, float score) const {
  const float error = relative_ * norms_[index(j)] * tile_norms_[row] + absolute_;
  return {score - error, score + error};
}

PackedPass::PackedPass(const SearchInput& input, const Kernels& kernels)
    : input_(input),
      kernels_(kernels),
      scan_(*packed_scan(kernels, input.first_pass)),
      words_(packed_words(scan_, input.queries.columns)),
      run_rows_(run_rows_of(scan_, words_)),
      arithmetic_(input.first_pass == FirstPass::kInt8 ? kRoundingsOfBounds
                                                       : relative_error(input.queries.columns)),
      absolute_(underflow_error(input.queries.columns)),
      spread_(spread(input.margin, input.queries.columns)),
      streamed_(kernels, scan_, input.passages.columns) {}

void PackedPass::load_queries(int64_t first, int64_t count) {
  const int64_t width = scan_.panel_queries, d = input_.queries.columns;
  const int64_t places = round_up(count, width);
  const int32_t flip = scan_.signed_queries ? 0 : kHighBits;
  values_.assign(index(places * words_), flip);
  norms_.assign(index(places), 0.0F);
  residuals_.assign(index(places), 0.0F);
  scales_.assign(index(places), 1.0F);
  scratch_.resize(index(d));
  packed_query_.assign(index(words_), 0);
  reset_limits(limits_, count, places);
  for (int64_t j = 0; j < count; ++j) {
    const float* row = read_row(input_.queries, first + j, kernels_, scratch_.data());
    const Rounded rounded = scan_.round(row, d, packed_query_.data());
    int32_t* column = values_.data() + j / width * width * words_ + j % width;
    for (int64_t i = 0; i < words_; ++i) column[i * width] = packed_query_[index(i)] ^ flip;
    const float up = kUp / rounded.scale, norm = input_.query_norms[first + j];
    scales_[index(j)] = rounded.scale;
    norms_[index(j)] = spread_ * norm * up;
    residuals_[index(j)] = (spread_ * rounded.residual + arithmetic_ * norm) * up;
  }
}

void PackedPass::set_limit(int64_t j, float limit) {
  limits_[index(j)] = (limit - absolute_) / scales_[index(j)];
}

void PackedPass::load_run(int64_t first, int64_t count) {
  if (input_.packed != nullptr) {
    passages_ = input_.packed;
    first_row_ = first;
  } else {
    streamed_.assign(input_.passages, first, count);
    passages_ = &streamed_;
    first_row_ = 0;
  }
  tiles_ = passages_->tiles(first_row_, count);
}

void PackedPass::fetch_ahead(int64_t first, int64_t count, int64_t panels) {
  if (input_.packed == nullptr) return;
  const int64_t bytes = count * words_ * int64_t{sizeof(int32_t)};
  tiles_.ahead = reinterpret_cast<const char*>(input_.packed->tiles(first, count).words);
  tiles_.ahead_bytes = bytes / (tiles_.count * panels) / 64 * 64;
}

int64_t PackedPass::scan(int64_t panel, int64_t tile, Hits* hits) const {
  const int64_t at = panel * scan_.panel_queries, row = tile * scan_.tile_rows;
  const PackedPanel queries = {values_.data() + at * words_, limits_.data() + at,
                               norms_.data() + at, residuals_.data() + at};
  PackedTiles tiles = tiles_;
  tiles.words += row * words_;
  tiles.offsets += row;
  tiles.scales += row;
  tiles.residuals += tile;
  tiles.norms += tile;
  tiles.count -= static_cast<int>(tile);
  tiles.ahead += tiles.ahead_bytes * (panel * tiles_.count + tile);
  hits->count = 0;
  return scan_.scan(&tiles, &queries, words_, hits);
}

Bounds PackedPass::bounds(int64_t j, int64_t row, float score) const {
  const float scale = scales_[index(j)];
  const float error = scale * kUp *
                          (norms_[index(j)] * passages_->residual(first_row_ + row) +
                           residuals_[index(j)] * passages_->norm(first_row_ + row)) +
                      absolute_;
  return {score * scale - error, score * scale + error};
}

}  // namespace gecko
