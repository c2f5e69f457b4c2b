#include "packed.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace gecko {
namespace {

constexpr int64_t kRowsPerTask = 3072;  // a multiple of the tile of every level

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

void PackedPassages::resize(int64_t rows) {
  const int64_t height = scan_->tile_rows, tiles = (rows + height - 1) / height;
  const int64_t padded = tiles * height;
  rows_ = rows;
  values_.assign(index(padded * words_), 0);
  offsets_.assign(index(padded), 0);
  scales_.assign(index(padded), 0.0F);
  residuals_.assign(index(padded), 0.0F);
  norms_.assign(index(padded), 0.0F);
  tile_residuals_.assign(index(tiles), 0.0F);
  tile_norms_.assign(index(tiles), 0.0F);
}

void PackedPassages::assign(const Matrix& matrix, int64_t first, int64_t count) {
  resize(count);
  put(matrix, 0, first, count);
}

void PackedPassages::assign_all(const Matrix& matrix, int threads,
                                const std::function<void(double)>& report) {
  resize(matrix.rows);
  Control control;
  run_tasks((matrix.rows + kRowsPerTask - 1) / kRowsPerTask, threads, control,
            [&](int64_t task, int) {
              const int64_t first = task * kRowsPerTask;
              put(matrix, first, first, std::min(kRowsPerTask, matrix.rows - first));
              control.done += kRowsPerTask;
            },
            [&] { report(static_cast<double>(control.done) / static_cast<double>(matrix.rows)); });
}

void PackedPassages::put(const Matrix& matrix, int64_t first, int64_t source, int64_t count) {
  std::vector<float> scratch(index(columns_));
  std::vector<int32_t> packed(index(words_), 0);
  const int64_t height = scan_->tile_rows, step = scan_->row_words;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = first + i;
    const float* floats = read_row(matrix, source + i, *kernels_, scratch.data());
    const Rounded rounded = scan_->round(floats, columns_, packed.data());
    int32_t* place = values_.data() + row / height * height * words_ + row % height * step;
    for (int64_t word = 0; word < words_; word += step) {
      std::memcpy(place + word * height, packed.data() + word, index(step) * sizeof(int32_t));
    }
    offsets_[index(row)] = -128 * rounded.sum;
    scales_[index(row)] = rounded.scale;
    norms_[index(row)] = rounded.norm;
    residuals_[index(row)] = rounded.residual;
  }
  measure_tiles(first, count);
}

void PackedPassages::measure_tiles(int64_t first, int64_t count) {
  const int64_t height = scan_->tile_rows;
  const auto largest = [height](const std::vector<float>& values, int64_t tile) {
    const auto begin = values.begin() + tile * height;
    return *std::max_element(begin, begin + height);
  };
  for (int64_t tile = first / height; tile * height < first + count; ++tile) {
    tile_residuals_[index(tile)] = largest(residuals_, tile);
    tile_norms_[index(tile)] = largest(norms_, tile);
  }
}

int64_t PackedPassages::bytes() const {
  return static_cast<int64_t>(values_.size() * sizeof(int32_t) +
                              offsets_.size() * (sizeof(int32_t) + 3 * sizeof(float)) +
                              tile_norms_.size() * 2 * sizeof(float));
}

PackedTiles PackedPassages::tiles(int64_t first, int64_t count) const {
  const int64_t height = scan_->tile_rows, tile = first / height;
  return {values_.data() + first * words_,
          offsets_.data() + first,
          scales_.data() + first,
          tile_residuals_.data() + tile,
          tile_norms_.data() + tile,
          static_cast<int>((count + height - 1) / height),
          nullptr,
          0};
}

}  // namespace gecko
