#include "first_pass.h"

#include <algorithm>
#include <limits>

namespace gecko {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kUp = 1.0F + 0x1p-20F;  // pays for the roundings of a few float operations

size_t index(int64_t i) { return static_cast<size_t>(i); }
int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

float relative_error(int64_t d) {
  const double roundings = static_cast<double>(d + 16) * 0x1p-24;
  const double relative = roundings < 0.5 ? roundings / (1 - roundings) : 1e15;
  return static_cast<float>(relative) * kUp;
}

// More than what `d` products and their sum can lose by underflow.
float underflow_error(int64_t d) { return static_cast<float>(d + 16) * 0x1p-125F; }

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
  values_.assign(index(places * d), 0.0F);
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

void FloatPass::load_tile(int64_t first, int64_t count) {
  const int64_t d = input_.passages.columns;
  for (int64_t r = 0; r < kernels_.tile_rows; ++r) {
    float* scratch = scratch_.data() + r * d;
    rows_[r] =
        r < count ? read_row(input_.passages, first + r, kernels_, scratch) : rows_[count - 1];
  }
  tile_norms_ = input_.passage_norms + first;
  reach_ = relative_ * *std::max_element(tile_norms_, tile_norms_ + count);
}

int FloatPass::scan(int64_t panel, Hits* hits) const {
  const int64_t at = panel * kernels_.panel_queries, d = input_.queries.columns;
  const QueryPanel queries = {values_.data() + at * d, limits_.data() + at, norms_.data() + at};
  return kernels_.scan_tile(rows_, &queries, d, reach_, hits);
}

Bounds FloatPass::bounds(int64_t j, int64_t row, float score) const {
  const float error = relative_ * norms_[index(j)] * tile_norms_[row] + absolute_;
  return {score - error, score + error};
}

BytePass::BytePass(const SearchInput& input, const Kernels& kernels)
    : input_(input),
      kernels_(kernels),
      groups_((input.queries.columns + 3) / 4),
      absolute_(underflow_error(input.queries.columns)),
      streamed_(kernels, input.passages.columns) {}

void BytePass::load_queries(int64_t first, int64_t count) {
  const int64_t width = kernels_.panel_queries, d = input_.queries.columns;
  const int64_t places = round_up(count, width);
  values_.assign(index(places * groups_ * 4), 128);
  norms_.assign(index(places), 0.0F);
  residuals_.assign(index(places), 0.0F);
  scales_.assign(index(places), 1.0F);
  scratch_.resize(index(d));
  row_bytes_.assign(index(4 * groups_), 0);
  reset_limits(limits_, count, places);
  for (int64_t j = 0; j < count; ++j) {
    const float* row = read_row(input_.queries, first + j, kernels_, scratch_.data());
    const Quantised quantised = kernels_.quantise(row, d, row_bytes_.data());
    uint8_t* column = values_.data() + (j / width * width * groups_ + j % width) * 4;
    for (int64_t i = 0; i < d; ++i) {
      column[i / 4 * width * 4 + i % 4] = static_cast<uint8_t>(row_bytes_[index(i)] + 128);
    }
    scales_[index(j)] = quantised.scale;
    norms_[index(j)] = input_.query_norms[first + j] / quantised.scale * kUp;
    residuals_[index(j)] = quantised.residual / quantised.scale * kUp;
  }
}

void BytePass::set_limit(int64_t j, float limit) {
  limits_[index(j)] = (limit - absolute_) / scales_[index(j)];
}

void BytePass::load_tile(int64_t first, int64_t count) {
  if (input_.packed != nullptr) {
    passages_ = input_.packed;
    first_row_ = first;
  } else {
    streamed_.assign(input_.passages, first, count);
    passages_ = &streamed_;
    first_row_ = 0;
  }
  tile_ = passages_->tile(first_row_);
}

int BytePass::scan(int64_t panel, Hits* hits) const {
  const int64_t at = panel * kernels_.panel_queries;
  const BytePanel queries = {values_.data() + at * groups_ * 4, limits_.data() + at,
                             norms_.data() + at, residuals_.data() + at};
  return kernels_.scan_bytes(&tile_, &queries, groups_, hits);
}

Bounds BytePass::bounds(int64_t j, int64_t row, float score) const {
  const float scale = scales_[index(j)];
  const float error = scale * kUp *
                          (norms_[index(j)] * passages_->residual(first_row_ + row) +
                           residuals_[index(j)] * passages_->norm(first_row_ + row)) +
                      absolute_;
  return {score * scale - error, score * scale + error};
}

}  // namespace gecko
