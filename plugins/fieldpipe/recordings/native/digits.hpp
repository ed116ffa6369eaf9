// Digits as text, several at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace fieldpipe {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first digit is the lowest byte of a word");

constexpr size_t MAX_NUMBER = 40;  // bytes; what writes a number may use as many, and returns where it stopped

constexpr uint64_t ZEROS = 0x3030303030303030;  // eight times '0'

struct Pairs {
  char of[200];
  constexpr Pairs() : of() {
    for (int number = 0; number < 100; ++number) {
      of[2 * number] = static_cast<char>('0' + number / 10);
      of[2 * number + 1] = static_cast<char>('0' + number % 10);
    }
  }
};
inline constexpr Pairs PAIRS;

// The eight digits of a number below 10^8, one a byte, the first one lowest. Both halves, then all four quarters, are
// divided at once; the factors are reciprocals that are exact for numbers that small.
inline uint64_t eight_digits(uint64_t number) {
  uint64_t upper = number * 3518437209 >> 45;
  uint64_t halves = (number << 32) - upper * ((uint64_t{10000} << 32) - 1);
  uint64_t hundreds = (halves * 10486 >> 20) & 0x0000007F0000007F;
  uint64_t pairs = (halves << 16) - hundreds * ((100 << 16) - 1);
  uint64_t tens = (pairs * 103 >> 10) & 0x000F000F000F000F;
  return (pairs << 8) - tens * ((10 << 8) - 1);
}

// The digits of two numbers below 10^8, in their places. SSE2 does both at once in the steps of `eight_digits`.
#ifdef __SSE2__
inline void sixteen_digits(uint64_t& high, uint64_t& low) {
  __m128i number = _mm_set_epi64x(static_cast<int64_t>(low), static_cast<int64_t>(high));
  __m128i upper = _mm_srli_epi64(_mm_mul_epu32(number, _mm_set1_epi64x(3518437209)), 45);
  __m128i lower = _mm_sub_epi64(number, _mm_mul_epu32(upper, _mm_set1_epi64x(10000)));
  __m128i halves = _mm_or_si128(upper, _mm_slli_epi64(lower, 32));
  __m128i hundreds = _mm_srli_epi16(_mm_mulhi_epu16(halves, _mm_set1_epi16(5243)), 3);
  __m128i rest = _mm_sub_epi16(halves, _mm_mullo_epi16(hundreds, _mm_set1_epi16(100)));
  __m128i pairs = _mm_or_si128(hundreds, _mm_slli_epi32(rest, 16));
  __m128i tens = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));
  __m128i digits = _mm_sub_epi16(_mm_slli_epi16(pairs, 8), _mm_mullo_epi16(tens, _mm_set1_epi16((10 << 8) - 1)));
  high = static_cast<uint64_t>(_mm_cvtsi128_si64(digits));
  low = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(digits, digits)));
}
#else
inline void sixteen_digits(uint64_t& high, uint64_t& low) {
  high = eight_digits(high);
  low = eight_digits(low);
}
#endif

inline void put_word(char* out, uint64_t word) { std::memcpy(out, &word, sizeof word); }

// A number below 10^8, without zeros in front.
inline char* write_short(char* out, uint64_t number) {
  uint64_t word = eight_digits(number);
  int zeros = __builtin_ctzll(word | uint64_t{1} << 56) / 8;
  put_word(out, (word | ZEROS) >> 8 * zeros);
  return out + 8 - zeros;
}

}  // namespace fieldpipe
