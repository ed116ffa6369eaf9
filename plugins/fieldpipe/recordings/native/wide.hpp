// Sixteen digits and their point at once, where the processor has AVX-512 with IFMA, VBMI and VBMI2 (since 2019; AMD's
// since 2022): the same text as floats.hpp writes elsewhere.
#pragma once

#include "digits.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define FIELDPIPE_WIDE __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512ifma,avx512vbmi,avx512vbmi2,bmi,bmi2,lzcnt,popcnt")))

#include <immintrin.h>

namespace fieldpipe {
namespace wide {

inline bool found() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512ifma") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("bmi2");
}
inline bool in_use = found();  // tests turn it off

// Where each character of a number of a certain magnitude comes from: of two vectors of eight words, whose first bytes
// are the digits behind the first one, in their order; further bytes are a zero, a point and the first digit.
struct Layout {
  static constexpr int SIZE = 32;
  static constexpr uint8_t ZERO = 1, POINT = 2, FIRST = 3, SECOND = 64;
  alignas(SIZE) uint8_t from[SIZE];
  uint32_t last;  // a bit for the last character that it has at least
};

constexpr Layout layout(int magnitude) {
  Layout made{};
  int first = magnitude < 0 ? 1 - magnitude : 0, point = magnitude < 0 ? 1 : magnitude + 1;
  for (int at = 0; at < Layout::SIZE; ++at) {
    int digit = at - first - 1 - (magnitude >= 0 && at > point);
    bool is_digit = at > first && digit < 16;
    int from = digit < 8 ? 8 * digit : Layout::SECOND + 8 * (digit - 8);
    made.from[at] = at == point   ? Layout::POINT
                    : at == first ? Layout::FIRST
                    : is_digit    ? static_cast<uint8_t>(from)
                                  : Layout::ZERO;
  }
  made.last = uint32_t{1} << (magnitude < 0 ? first : magnitude + 2);
  return made;
}

template <int FROM, int TO>
struct Layouts {
  Layout of[TO - FROM];
  constexpr Layouts() : of() {
    for (int magnitude = FROM; magnitude < TO; ++magnitude) of[magnitude - FROM] = layout(magnitude);
  }
};

// What stands beside a digit in its word, lowest byte first: nothing of its own, a zero, a point, the first digit.
constexpr int FIRST_SHIFT = 24;
constexpr uint64_t around(uint64_t first) { return ('0' + first) << FIRST_SHIFT | '.' << 16 | '0' << 8 | '0'; }

// The digits of a number n below 10^8 in words of their own. 2^52 / 10^k times n, cut to its 52 bits behind the point,
// is what stands behind the digit before; ten times that has the digit in front of the point. The reciprocals are rounded
// up, which for k < 8 is too little to reach the next digit. For k = 8 it is not: that one is rounded down, and what it
// lacks for the largest n, 0.2737 * 10^8, is added to all.
FIELDPIPE_WIDE inline __m512i digits(const uint64_t& number, const uint64_t& around) {
  const __m512i reciprocals = _mm512_set_epi64(450359962737050, 45035996273705, 4503599627371, 450359962738, 45035996274,
                                               4503599628, 450359963, 45035996);
  const __m512i lacks = _mm512_zextsi128_si512(_mm_cvtsi64_si128(27'370'496));
  __m512i behind = _mm512_madd52lo_epu64(lacks, _mm512_set1_epi64(static_cast<int64_t>(number)), reciprocals);
  return _mm512_madd52hi_epu64(_mm512_set1_epi64(static_cast<int64_t>(around)), behind, _mm512_set1_epi64(10));
}

// The first digit, which is in `around`, then the eight each of `high` and `low`, less the zeros at the end. Uses
// Layout::SIZE bytes.
FIELDPIPE_WIDE inline char* write_fixed(
    char* out, const Layout& layout, const uint64_t& around, const uint64_t& high, const uint64_t& low) {
  __m512i from = _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(layout.from)));
  __m512i text_and_more = _mm512_permutex2var_epi8(digits(high, around), from, digits(low, around));
  __m256i text = reinterpret_cast<const __m256i&>(text_and_more);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), text);
  uint32_t written = _mm256_cmpneq_epi8_mask(text, _mm256_set1_epi8('0'));
  return out + (32 - _lzcnt_u32(written | layout.last));
}

}  // namespace wide
}  // namespace fieldpipe

#endif
