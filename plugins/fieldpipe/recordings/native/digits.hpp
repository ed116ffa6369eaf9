// Digits as text, several at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

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

inline void put_word(char* out, uint64_t word) { std::memcpy(out, &word, sizeof word); }

}  // namespace fieldpipe
