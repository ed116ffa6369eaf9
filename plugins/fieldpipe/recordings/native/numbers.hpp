// Numbers as text: integers, and floats as the shortest decimal that reads back, in Python's notation.
#pragma once

#include <cmath>

#include "digits.hpp"
#include "floats.hpp"
#include "text.hpp"

namespace fieldpipe {

inline char* write_u64(char* out, uint64_t value) {
  constexpr uint64_t EIGHT = 100'000'000, SIXTEEN = EIGHT * EIGHT;
  auto next = [&](uint64_t below_eight) {
    put_word(out, eight_digits(below_eight) | ZEROS);
    out += 8;
  };
  if (value < 10) {
    *out++ = static_cast<char>('0' + value);
  } else if (value < EIGHT) {
    out = write_short(out, value);
  } else if (value < SIXTEEN) {
    out = write_short(out, value / EIGHT);
    next(value % EIGHT);
  } else {
    out = write_short(out, value / SIXTEEN);
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

// A float as a cell, or inside JSON, which has no numbers that are not finite: they are strings there.
template <class Float>
char* write_real(char* out, Float value, bool json) {
  bool quotes = json && !std::isfinite(value);
  if (quotes) out = write_quote(out);
  out = write_float(out, value);
  return quotes ? write_quote(out) : out;
}

}  // namespace fieldpipe
