#include "packed.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"

namespace gecko {
namespace {

constexpr int64_t kRowsPerTask = 3072;  // a multiple of the tile of every level

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

int64_t PackedPassages::padded(int64_t rows) const {
  const int64_t height = scan_->tile_rows;
  return (rows + height - 1) / height * height;
}

void PackedPassages::resize(int64_t rows) {
  const size_t size = index(padded(rows)), tiles = size / index(scan_->tile_rows);
  if (borrowed_ != nullptr) {
    words_.assign(borrowed_, borrowed_ + padded_rows() * words_per_row_);
    borrowed_ = nullptr;
  }
  rows_ = rows;
  words_.resize(size * index(words_per_row_), 0);
  offsets_.resize(size, 0);
  scales_.resize(size, 0.0F);
  residuals_.resize(size, 0.0F);
  norms_.resize(size, 0.0F);
  tile_residuals_.resize(tiles, 0.0F);
  tile_norms_.resize(tiles, 0.0F);
}

void PackedPassages::assign(const Matrix& matrix, int64_t first, int64_t count) {
  resize(0);  // what is past the end of the last tile must be zeros
  resize(count);
  put(matrix, 0, first, count);
}

void PackedPassages::extend(const Matrix& matrix, int threads,
                            const std::function<void(double)>& report) {
  // A tile belongs to one task, also the one that is half full.
  const int64_t old = rows_, begin = old / scan_->tile_rows * scan_->tile_rows;
  const int64_t added = matrix.rows - begin;
  resize(matrix.rows);
  Control control;
  run_tasks((added + kRowsPerTask - 1) / kRowsPerTask, threads, control,
            [&](int64_t task, int) {
              const int64_t from = begin + task * kRowsPerTask;
              const int64_t first = std::max(old, from);
              put(matrix, first, first, std::min(from + kRowsPerTask, matrix.rows) - first);
              control.done += kRowsPerTask;
            },
            [&] {
              const double share = static_cast<double>(control.done);
              report(std::min(1.0, share / static_cast<double>(added + 1)));
            });
}

PackedPassages::Parts PackedPassages::parts() const {
  return {words(), offsets_.data(), scales_.data(), residuals_.data(), norms_.data()};
}

void PackedPassages::adopt(int64_t rows, const Parts& parts) {
  resize(0);
  const int64_t size = padded(rows);
  rows_ = rows;
  borrowed_ = parts.words;
  offsets_.assign(parts.offsets, parts.offsets + size);
  scales_.assign(parts.scales, parts.scales + size);
  residuals_.assign(parts.residuals, parts.residuals + size);
  norms_.assign(parts.norms, parts.norms + size);
  tile_residuals_.resize(index(size / scan_->tile_rows));
  tile_norms_.resize(index(size / scan_->tile_rows));
  measure_tiles(0, rows);
}

void PackedPassages::put(const Matrix& matrix, int64_t first, int64_t source, int64_t count) {
  std::vector<float> scratch(index(columns_));
  std::vector<int32_t> packed(index(words_per_row_), 0);
  const int64_t height = scan_->tile_rows, step = scan_->row_words;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = first + i;
    const float* floats = read_row(matrix, source + i, *kernels_, scratch.data());
    const Rounded rounded = scan_->round(floats, columns_, packed.data());
    int32_t* place = words_.data() + row / height * height * words_per_row_ + row % height * step;
    for (int64_t word = 0; word < words_per_row_; word += step) {
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
  return static_cast<int64_t>(index(padded_rows() * words_per_row_) * sizeof(int32_t) +
                              offsets_.size() * (sizeof(int32_t) + 3 * sizeof(float)) +
                              tile_norms_.size() * 2 * sizeof(float));
}

PackedTiles PackedPassages::tiles(int64_t first, int64_t count) const {
  const int64_t height = scan_->tile_rows, tile = first / height;
  return {words() + first * words_per_row_,
          offsets_.data() + first,
          scales_.data() + first,
          tile_residuals_.data() + tile,
          tile_norms_.data() + tile,
          static_cast<int>((count + height - 1) / height),
          nullptr,
          0};
}

}  // namespace gecko
