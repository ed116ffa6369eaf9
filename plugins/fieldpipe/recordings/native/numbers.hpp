// Numbers as text: integers, and floats as the shortest decimal that reads back, in Python's notation.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace fieldpipe {

constexpr size_t MAX_NUMBER = 32;  // bytes; every function here writes less and returns where it stopped

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

inline char* write_u64(char* out, uint64_t value) {
  char digits[20];
  char* at = digits + sizeof digits;
  for (; value >= 100; value /= 100) std::memcpy(at -= 2, PAIRS.of + 2 * (value % 100), 2);
  if (value >= 10) {
    std::memcpy(at -= 2, PAIRS.of + 2 * value, 2);
  } else {
    *--at = static_cast<char>('0' + value);
  }
  size_t size = static_cast<size_t>(digits + sizeof digits - at);
  std::memcpy(out, at, size);
  return out + size;
}

inline char* write_i64(char* out, int64_t value) {
  if (value < 0) *out++ = '-';
  return write_u64(out, value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value));
}

}  // namespace fieldpipe
