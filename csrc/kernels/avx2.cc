// Kernels for AVX2 with FMA and F16C: tiles of 6 passages x 16 queries, 12 of 16 registers. There
// is no instruction that makes sums of bytes faster than those of floats, but a search with a few
// queries waits for the memory, and reads a quarter of it in bytes.
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "kernels/avx2.inl"

namespace gecko {
namespace {

constexpr int kByteRows = 8;  // a passage to each 32-bit lane

// sums[lane] += four products of the lane's bytes. The first factor of vpmaddubsw is unsigned, so
// the sign of `word` moves to `query`; 2 * 127 * 127 fits the 16 bits of its sums.
inline __m256i add_products(__m256i sums, __m256i magnitude, __m256i word, __m256i query) {
  const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(query, word));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Appends the passages of tile `t` whose score with query `q` reaches its bar.
inline void report_lanes(const PackedTiles* tiles, int t, const PackedPanel* panel, int q,
                         int panel_queries, __m256i sums, Hits* hits) {
  const float bar = panel->limits[q] - panel->norms[q] * tiles->residuals[t] -
                    panel->residuals[q] * tiles->norms[t];
  const __m256 scales = _mm256_loadu_ps(tiles->scales + t * kByteRows);
  const __m256 scores = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales);
  unsigned mask = Avx2::reaches(scores, _mm256_set1_ps(bar));
  if (mask == 0) return;
  alignas(32) float lanes[kByteRows];
  _mm256_store_ps(lanes, scores);
  for (; mask != 0; mask &= mask - 1) {
    const int row = __builtin_ctz(mask);
    hits->scores[hits->count] = lanes[row];
    hits->places[hits->count++] = (t * kByteRows + row) * panel_queries + q;
  }
}

// PackedScan::scan for bytes and panels of kQueries, which stay signed.
template <int kQueries>
int scan_byte_lanes(const PackedTiles* tiles, const PackedPanel* panel, int64_t words, Hits* hits) {
  int t = 0;
  for (; t < tiles->count && hits->count <= kMaxHits - kByteRows * kQueries; ++t) {
    const char* ahead = tiles->ahead + t * tiles->ahead_bytes;
    for (int64_t i = 0; i < tiles->ahead_bytes; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    const int32_t* row_words = tiles->words + t * words * kByteRows;
    __m256i sums[kQueries];
    for (auto& sum : sums) sum = _mm256_setzero_si256();
    for (int64_t i = 0; i < words; ++i, row_words += kByteRows) {
      const __m256i word = _mm256_load_si256(reinterpret_cast<const __m256i*>(row_words));
      const __m256i magnitude = _mm256_abs_epi8(word);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        const __m256i query = _mm256_set1_epi32(panel->words[i * kQueries + q]);
        sums[q] = add_products(sums[q], magnitude, word, query);
      }
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) report_lanes(tiles, t, panel, q, kQueries, sums[q], hits);
  }
  return t;
}

constexpr int kMostByteQueries = 16;

constexpr PackedScan kOneInt8 = {
    kByteRows,       1, 1, 1, true, quantise_plain, scan_byte_lanes<1>, nullptr, nullptr,
    kMostByteQueries};
constexpr PackedScan kInt8 = {
    kByteRows,       4, 1, 1, true, quantise_plain, scan_byte_lanes<4>, nullptr, nullptr,
    kMostByteQueries};
constexpr Kernels kSingle = {"avx2",    4,       1,         nullptr,   0, scan_rows<Avx2, 4>,
                             &kOneInt8, nullptr, exact_dot, widen_half};
constexpr Kernels kTable = {"avx2", 6,       16,        &kSingle,  4, scan_tile<Avx2, 6, 2>,
                            &kInt8, nullptr, exact_dot, widen_half};

}  // namespace

const Kernels* const kAvx2Kernels = &kTable;

}  // namespace gecko

#else

const gecko::Kernels* const gecko::kAvx2Kernels = nullptr;

#endif
