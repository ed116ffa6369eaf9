// Functions that only tests call.
#pragma once

#include "decimals.hpp"
#include "eights.hpp"
#include "export.hpp"
#include "numbers.hpp"

namespace fieldpipe {

// Numbers, each with a comma behind it; returns how many bytes were written. `out` has room for MAX_NUMBER + 1 bytes a
// number.
template <class Float>
uint64_t write_floats(const Float* values, uint64_t count, char* out) {
  char* to = out;
  for (uint64_t at = 0; at < count; ++at) {
    to = write_float(to, values[at]);
    *to++ = ',';
  }
  return static_cast<uint64_t>(to - out);
}

// The same by wide::Ahead, so many at a time.
#ifdef FIELDPIPE_WIDE
[[gnu::flatten, gnu::noinline]] FIELDPIPE_WIDE inline uint64_t write_ahead(
    const double* values, uint64_t count, char* out, uint64_t at_a_time) {
  wide::Ahead ahead;
  char* to = out;
  const uint8_t *from = reinterpret_cast<const uint8_t*>(values), *end = from + count * sizeof(double);
  auto one = [](char* text, const uint8_t* in) FIELDPIPE_WIDE {
    double value;
    std::memcpy(&value, in, sizeof value);
    return write_float(text, value);
  };
  for (uint64_t left = count, step; left > 0; left -= step, from += step * sizeof(double)) {
    step = left < at_a_time ? left : at_a_time;
    to = ahead.write(to, from, step, end, one);
  }
  return static_cast<uint64_t>(to - out);
}
#endif

// Of all numbers below 10^8, how many the vectors of wide.hpp write otherwise than `eight_digits`. For processors that
// have them.
inline uint64_t wrong_wide_digits() {
  uint64_t wrong = 0;
#ifdef FIELDPIPE_WIDE
  constexpr wide::Layout layout = wide::layout(0);
  for (uint64_t number = 0; number < 100'000'000; ++number) {
    char text[wide::Layout::SIZE];
    wide::write_fixed(text, layout, wide::around(1), number, number);
    uint64_t expected = eight_digits(number) | ZEROS;
    wrong += std::memcmp(text + 2, &expected, 8) != 0 || std::memcmp(text + 10, &expected, 8) != 0;
  }
#endif
  return wrong;
}

}  // namespace fieldpipe

// By wide::Ahead where it can, unless `at_a_time` is 0.
EXPORT uint64_t fieldpipe_write_doubles(const double* values, uint64_t count, char* out, [[maybe_unused]] uint64_t at_a_time) {
#ifdef FIELDPIPE_WIDE
  if (fieldpipe::wide::in_use && at_a_time > 0) return fieldpipe::write_ahead(values, count, out, at_a_time);
#endif
  return fieldpipe::write_floats(values, count, out);
}

EXPORT uint64_t fieldpipe_write_floats(const float* values, uint64_t count, char* out) {
  return fieldpipe::write_floats(values, count, out);
}

// Whether vectors write digits where they can; false if this machine has none that could.
EXPORT bool fieldpipe_write_wide(bool on) {
#ifdef FIELDPIPE_WIDE
  fieldpipe::wide::in_use = on && fieldpipe::wide::found();
  return !on || fieldpipe::wide::in_use;
#else
  return !on;
#endif
}

EXPORT uint64_t fieldpipe_wrong_wide_digits() { return fieldpipe::wrong_wide_digits(); }

// Numbers of which each ends a line; returns how many were read before the first that is none.
EXPORT uint64_t fieldpipe_read_doubles(const char* text, uint64_t size, double* values) {
  uint64_t count = 0;
  for (const char* end = text + size; text < end; ++count) {
    const char* stop = static_cast<const char*>(std::memchr(text, '\n', static_cast<size_t>(end - text)));
    if (stop == nullptr || !fieldpipe::parse_double(text, stop, values[count])) break;
    text = stop + 1;
  }
  return count;
}
