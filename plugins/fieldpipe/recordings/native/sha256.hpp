// SHA-256 (FIPS 180-4) of several streams at once, by the SHA instructions of x86-64.
//
// One stream cannot be faster: each of these instructions waits for the one before, and processors do another one in
// the meantime. Two streams, their instructions in turns, are 1.5 times as fast, four 1.75 times.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fieldpipe {
namespace sha256 {

constexpr size_t BLOCK = 64;  // bytes

// A stream so far. Laid out as in ../sums.py.
struct Digest {
  uint32_t state[8];
  uint64_t size;        // bytes
  uint8_t rest[BLOCK];  // those behind the last whole block
};

// More bytes of a stream.
struct Piece {
  Digest* digest;
  const uint8_t* data;
  uint64_t size;
};

inline void begin(Digest& digest) {  // section 5.3.3
  constexpr uint32_t INITIAL[] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
  std::memcpy(digest.state, INITIAL, sizeof INITIAL);
  digest.size = 0;
}

// Pieces of one stream, as runs of whole blocks.
class Stream {
 public:
  Stream(const Piece* begin, const Piece* end) : at_(begin), end_(end) {
    for (const Piece* piece = begin; piece != end; ++piece) size_ += piece->size;
  }

  Digest& digest() const { return *digest_; }
  const uint8_t* data() const { return data_; }
  uint64_t blocks() const { return blocks_; }
  uint64_t size() const { return size_; }

  // Goes behind so many blocks; at the end of a run there is another one if this returns true.
  bool advance(uint64_t blocks) {
    data_ += blocks * BLOCK;
    blocks_ -= blocks;
    return blocks_ > 0 || next();
  }

  // The next run, which is in a piece, or in `rest`. False: what is left is no whole block, and in `rest`.
  bool next() {
    for (; at_ != end_; ++at_, used_ = 0) {
      digest_ = at_->digest;
      const uint8_t* from = at_->data + used_;
      uint64_t left = at_->size - used_, held = digest_->size % BLOCK;
      uint64_t taken = held == 0 && left >= BLOCK ? left / BLOCK * BLOCK : std::min<uint64_t>(BLOCK - held, left);
      digest_->size += taken;
      used_ += taken;
      data_ = from;
      blocks_ = taken / BLOCK;
      if (held == 0 && left >= BLOCK) return true;
      if (taken > 0) std::memcpy(digest_->rest + held, from, taken);
      data_ = digest_->rest;
      blocks_ = 1;
      if (held + taken == BLOCK) return true;
    }
    return false;
  }

 private:
  const Piece* at_;
  const Piece* end_;
  uint64_t used_ = 0;  // bytes of *at_
  uint64_t size_ = 0;
  Digest* digest_ = nullptr;
  const uint8_t* data_ = nullptr;
  uint64_t blocks_ = 0;
};

}  // namespace sha256
}  // namespace fieldpipe

#if defined(__x86_64__) && defined(__GNUC__)
#define FIELDPIPE_SHA 1

#include <cpuid.h>
#include <immintrin.h>

namespace fieldpipe {
namespace sha256 {

inline bool available() {
  __builtin_cpu_init();
  uint32_t eax, ebx = 0, ecx, edx;
  constexpr uint32_t SHA = 1 << 29;
  bool found = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
  return found && (ebx & SHA) != 0;
}

alignas(16) inline constexpr uint32_t ROUNDS[64] = {  // section 4.2.2
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE,
    0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA,
    0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967, 0x27B70A85,
    0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85, 0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3,
    0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F,
    0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

// So many blocks of each stream. The instructions want the state as (a b e f) and (c d g h), and four words at a time.
template <int LANES>
__attribute__((target("sha,sse4.1"))) void compress(Stream* const* lanes, uint64_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
  __m128i abef[LANES], cdgh[LANES];
  const uint8_t* data[LANES];
  for (int lane = 0; lane < LANES; ++lane) {
    const auto* state = reinterpret_cast<const __m128i*>(lanes[lane]->digest().state);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(state), 0xB1), efgh = _mm_shuffle_epi32(_mm_loadu_si128(state + 1), 0x1B);
    abef[lane] = _mm_alignr_epi8(cdab, efgh, 8);
    cdgh[lane] = _mm_blend_epi16(efgh, cdab, 0xF0);
    data[lane] = lanes[lane]->data();
  }
  for (uint64_t block = 0; block < blocks; ++block) {
    __m128i words[LANES][4], abef_before[LANES], cdgh_before[LANES];
    std::memcpy(abef_before, abef, sizeof abef);
    std::memcpy(cdgh_before, cdgh, sizeof cdgh);
#pragma GCC unroll 16
    for (int four = 0; four < 16; ++four) {
      const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(ROUNDS + 4 * four));
#pragma GCC unroll 4
      for (int lane = 0; lane < LANES; ++lane) {
        __m128i(&past)[4] = words[lane];
        __m128i& word = past[four % 4];
        if (four < 4) {
          word = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data[lane]) + four), big_endian);
        } else {
          __m128i last = past[(four + 3) % 4];
          __m128i seven_ago = _mm_alignr_epi8(last, past[(four + 2) % 4], 4);
          word = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(word, past[(four + 1) % 4]), seven_ago), last);
        }
        __m128i sum = _mm_add_epi32(word, constants);
        cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], sum);
        abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], _mm_shuffle_epi32(sum, 0x0E));
      }
    }
    for (int lane = 0; lane < LANES; ++lane) {
      abef[lane] = _mm_add_epi32(abef[lane], abef_before[lane]);
      cdgh[lane] = _mm_add_epi32(cdgh[lane], cdgh_before[lane]);
      data[lane] += BLOCK;
    }
  }
  for (int lane = 0; lane < LANES; ++lane) {
    auto* state = reinterpret_cast<__m128i*>(lanes[lane]->digest().state);
    __m128i feba = _mm_shuffle_epi32(abef[lane], 0x1B), dchg = _mm_shuffle_epi32(cdgh[lane], 0xB1);
    _mm_storeu_si128(state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(state + 1, _mm_alignr_epi8(dchg, feba, 8));
  }
}

// What used the upper halves of the vectors and left something there (ISA-L's CRC does) makes instructions without AVX,
// which those of SHA are, three times as slow.
__attribute__((target("avx"))) inline void clear_upper_halves() { _mm256_zeroupper(); }

// Pieces of one stream follow one another.
inline void update(const Piece* pieces, uint64_t count) {
  constexpr size_t MOST = 4;
  if (__builtin_cpu_supports("avx")) clear_upper_halves();
  std::vector<Stream> streams;
  for (const Piece *begin = pieces, *end = pieces; begin != pieces + count; begin = end) {
    while (end != pieces + count && end->digest == begin->digest) ++end;
    streams.emplace_back(begin, end);
  }
  // The longest first, so that none of them is alone for long in the end.
  std::sort(streams.begin(), streams.end(), [](const Stream& one, const Stream& other) { return one.size() > other.size(); });
  Stream* lanes[MOST];
  size_t used = 0;
  for (auto waiting = streams.begin();;) {
    for (; used < MOST && waiting != streams.end(); ++waiting) {
      if (waiting->next()) lanes[used++] = &*waiting;
    }
    if (used == 0) return;
    uint64_t blocks = lanes[0]->blocks();
    for (size_t lane = 1; lane < used; ++lane) blocks = std::min(blocks, lanes[lane]->blocks());
    switch (used) {
      case 1: compress<1>(lanes, blocks); break;
      case 2: compress<2>(lanes, blocks); break;
      case 3: compress<3>(lanes, blocks); break;
      default: compress<4>(lanes, blocks);
    }
    for (size_t lane = used; lane-- > 0;) {
      if (!lanes[lane]->advance(blocks)) lanes[lane] = lanes[--used];
    }
  }
}

// The sum of a stream, which may go on afterwards.
inline void finish(Digest digest, uint8_t* sum) {
  uint8_t padding[BLOCK + 8] = {0x80};  // section 5.1.1: at least this byte, and eight for the size
  uint64_t bits = digest.size * 8, size = sizeof padding - (digest.size + 8) % BLOCK;
  for (int byte = 0; byte < 8; ++byte) padding[size - 8 + byte] = static_cast<uint8_t>(bits >> (56 - 8 * byte));
  Piece piece{&digest, padding, size};
  update(&piece, 1);
  for (int word = 0; word < 8; ++word) {
    for (int byte = 0; byte < 4; ++byte) sum[4 * word + byte] = static_cast<uint8_t>(digest.state[word] >> (24 - 8 * byte));
  }
}

}  // namespace sha256
}  // namespace fieldpipe

#endif
