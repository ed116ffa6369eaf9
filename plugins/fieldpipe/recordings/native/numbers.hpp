// Numbers as text: integers, and floats as the shortest decimal that reads back, in Python's notation.
#pragma once

#include "digits.hpp"
#include "floats.hpp"

namespace fieldpipe {

inline char* write_u64(char* out, uint64_t value) {
  constexpr uint64_t EIGHT = 100'000'000, SIXTEEN = EIGHT * EIGHT;
  auto digits = [](uint64_t below_eight) { return eight_digits(static_cast<uint32_t>(below_eight)); };
  auto first = [&](uint64_t below_eight) {  // without zeros in front
    uint64_t word = digits(below_eight);
    int zeros = __builtin_ctzll(word | uint64_t{1} << 56) / 8;
    put_word(out, (word | ZEROS) >> 8 * zeros);
    out += 8 - zeros;
  };
  auto next = [&](uint64_t below_eight) {
    put_word(out, digits(below_eight) | ZEROS);
    out += 8;
  };
  if (value < 10) {
    *out++ = static_cast<char>('0' + value);
  } else if (value < EIGHT) {
    first(value);
  } else if (value < SIXTEEN) {
    first(value / EIGHT);
    next(value % EIGHT);
  } else {
    first(value / SIXTEEN);
    next(value % SIXTEEN / EIGHT);
    next(value % EIGHT);
  }
  return out;
}

inline char* write_i64(char* out, int64_t value) {
  *out = '-';
  out += value < 0;
  return write_u64(out, value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value));
}

}  // namespace fieldpipe
