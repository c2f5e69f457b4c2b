// What the levels with AMX share; each of them includes its own copy. It defines GECKO_TILE_DOT(c,
// a, b), the tile product, before, and a struct Sums with scores(p, scale), the scores in a row of
// 16 sums, after.
//
// A tile register has 16 rows of 64 bytes. Passages are the left factor and lie in plain rows;
// queries are the right one, four bytes of each of 16 queries in a row; so a row of sums is one
// passage with 16 queries, and one vector comparison serves 16 queries. Blocks of 32 passages x 32
// queries keep four registers of sums busy with four loads for four products:
//
//   0 = passages 0..15 x queries 0..15     1 = passages 0..15 x queries 16..31     4, 5: passages
//   2 = passages 16..31 x queries 0..15    3 = passages 16..31 x queries 16..31    6, 7: queries
//
// Register numbers must be literals, hence the macros.

#include "kernels/avx512.inl"

namespace gecko {
namespace {

enum {
  kBlock = 32,            // passages, and queries, of a block
  kStepBytes = 64 * 32,   // of passages, and of queries, in one step: 16 words of each
  kStepWords = 16,        // of a row
  kSums = 16 * 16,        // of one register
  kFirstReducingStep = 2  // before it, sums of the last block are still on their way to memory
};

struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

void configure_tiles() {
  TileConfig config = {};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  // GCC 12 believes that the intrinsic reads 8 bytes only, and may drop stores to the others.
  asm volatile("" : : "m"(config) : "memory");
  _tile_loadconfig(&config);
}

void release_tiles() { _tile_release(); }

// Passages come from the L2 cache once and queries again and again from L1: the streaming load
// keeps the former from driving out the latter.
#define GECKO_LOAD_STEP(passages, queries)                  \
  do {                                                      \
    _tile_loadd(6, queries, 128);                           \
    _tile_stream_loadd(4, passages, 64);                    \
    _tile_loadd(7, (queries) + 64, 128);                    \
    _tile_stream_loadd(5, (passages) + kStepBytes / 2, 64); \
  } while (false)

#define GECKO_MULTIPLY_STEP() \
  do {                        \
    GECKO_TILE_DOT(0, 4, 6);  \
    GECKO_TILE_DOT(1, 4, 7);  \
    GECKO_TILE_DOT(2, 5, 6);  \
    GECKO_TILE_DOT(3, 5, 7);  \
  } while (false)

// Hands the sums of the last block over and begins new ones: one register after the other, so that
// the products of one hide the store of the next.
#define GECKO_RESTART(sums, c, a, b)           \
  do {                                         \
    _tile_stored(c, (sums) + (c) * kSums, 64); \
    _tile_zero(c);                             \
    GECKO_TILE_DOT(c, a, b);                   \
  } while (false)

// The last finished block: its sums in memory, and the best score of each query as far as it was
// looked for.
template <class Sums>
class FinishedBlock {
 public:
  FinishedBlock(const PackedTiles* tiles, const PackedPanel* panel, Hits* hits)
      : tiles_(tiles), panel_(panel), hits_(hits) {}

  int32_t* sums() { return sums_; }

  void begin(int tile) {
    tile_ = tile;
    reduced_ = 0;
    best_[0] = best_[1] = _mm512_set1_ps(-__builtin_inff());
  }

  // Looks through the sums of one register, if some are left.
  void reduce() {
    if (reduced_ == 4) return;
    const float* scales = tiles_->scales + tile_ * kBlock + reduced_ / 2 * 16;
    const int32_t* sums = sums_ + reduced_ * kSums;
    __m512 best = best_[reduced_ % 2];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) best = _mm512_max_ps(best, Sums::scores(sums + 16 * r, scales[r]));
    best_[reduced_++ % 2] = best;
  }

  void report() {
    while (reduced_ < 4) reduce();
    for (int half = 0; half < 2; ++half) {
      const __m512 bar = bar_of(16 * half);
      if (Avx512::reaches(best_[half], bar) != 0) append(half, bar);
    }
  }

 private:
  __m512 bar_of(int query) const {
    const __m512 residual = _mm512_set1_ps(tiles_->residuals[tile_]);
    const __m512 norm = _mm512_set1_ps(tiles_->norms[tile_]);
    const __m512 limit = _mm512_load_ps(panel_->limits + query);
    const __m512 bar = _mm512_fnmadd_ps(_mm512_load_ps(panel_->norms + query), residual, limit);
    return _mm512_fnmadd_ps(_mm512_load_ps(panel_->residuals + query), norm, bar);
  }

  void append(int half, __m512 bar) {
    int count = hits_->count;
    for (int r = 0; r < kBlock; ++r) {
      const int32_t* sums = sums_ + (r / 16 * 2 + half) * kSums + r % 16 * 16;
      const __m512 scores = Sums::scores(sums, tiles_->scales[tile_ * kBlock + r]);
      const unsigned mask = Avx512::reaches(scores, bar);
      if (mask == 0) continue;
      const int place = (tile_ * kBlock + r) * kBlock + 16 * half;
      Avx512::append(hits_->scores + count, hits_->places + count, mask, scores, place);
      count += __builtin_popcount(mask);
    }
    hits_->count = count;
  }

  alignas(64) int32_t sums_[4 * kSums];
  __m512 best_[2];
  const PackedTiles* tiles_;
  const PackedPanel* panel_;
  Hits* hits_;
  int tile_ = 0;
  int reduced_ = 4;
};

// PackedScan::scan. While the products of one block run, the one before is looked through.
template <class Sums>
int scan_tiles(const PackedTiles* tiles, const PackedPanel* panel, int64_t words, Hits* hits) {
  asm volatile("" : : : "memory");  // tile loads do not tell the compiler that they read memory
  FinishedBlock<Sums> finished(tiles, panel, hits);
  const int64_t steps = words / kStepWords;
  const auto* passages = reinterpret_cast<const char*>(tiles->words);
  const char* ahead = tiles->ahead;
  int t = 0;
  // There must be room for the hits of the block before and for those of this one.
  for (; t < tiles->count && hits->count <= kMaxHits - 2 * kMaxTileHits; ++t) {
    const auto* queries = reinterpret_cast<const char*>(panel->words);
    GECKO_LOAD_STEP(passages, queries);
    GECKO_RESTART(finished.sums(), 0, 4, 6);
    GECKO_RESTART(finished.sums(), 1, 4, 7);
    GECKO_RESTART(finished.sums(), 2, 5, 6);
    GECKO_RESTART(finished.sums(), 3, 5, 7);
    if (t > 0) finished.begin(t - 1);
    passages += kStepBytes;
    for (int64_t step = 1; step < steps; ++step, passages += kStepBytes) {
      queries += kStepBytes;
      GECKO_LOAD_STEP(passages, queries);
      GECKO_MULTIPLY_STEP();
      if (step >= kFirstReducingStep) finished.reduce();
    }
    for (int64_t i = 0; i < tiles->ahead_bytes; i += 64) _mm_prefetch(ahead + i, _MM_HINT_T1);
    ahead += tiles->ahead_bytes;
    if (t > 0) finished.report();
  }
  if (t > 0) {
    _tile_stored(0, finished.sums(), 64);
    _tile_stored(1, finished.sums() + kSums, 64);
    _tile_stored(2, finished.sums() + 2 * kSums, 64);
    _tile_stored(3, finished.sums() + 3 * kSums, 64);
    finished.begin(t - 1);
    finished.report();
  }
  return t;
}

}  // namespace
}  // namespace gecko
