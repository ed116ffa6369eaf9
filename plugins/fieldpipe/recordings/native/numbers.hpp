// Numbers as text: integers, and floats as the shortest decimal that reads back, in Python's notation.
#pragma once

#include <cmath>

#include "digits.hpp"
#include "floats.hpp"
#include "text.hpp"

namespace fieldpipe {

inline char* write_u64(char* out, uint64_t value) {
  constexpr uint64_t EIGHT = 100'000'000, SIXTEEN = EIGHT * EIGHT;
  if (value < 10) {
    *out = static_cast<char>('0' + value);
    return out + 1;
  }
  if (value < EIGHT) return write_short(out, value);
  if (value < SIXTEEN) {
    out = write_short(out, value / EIGHT);
    put_word(out, eight_digits(value % EIGHT) | ZEROS);
    return out + 8;
  }
  uint64_t rest = value % SIXTEEN, high = rest / EIGHT, low = rest % EIGHT;
  out = write_short(out, value / SIXTEEN);
  sixteen_digits(high, low);
  put_word(out, high | ZEROS);
  put_word(out + 8, low | ZEROS);
  return out + 16;
}

inline char* write_i64(char* out, int64_t value) {
  *out = '-';
  out += value < 0;
  return write_u64(out, value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value));
}

// A float as a cell, or inside JSON, which has no numbers that are not finite: they are strings there.
template <class Float>
char* write_real(char* out, Float value, bool json) {
  bool quotes = json && !std::isfinite(value);
  if (quotes) out = write_quote(out);
  out = write_float(out, value);
  return quotes ? write_quote(out) : out;
}

}  // namespace fieldpipe
