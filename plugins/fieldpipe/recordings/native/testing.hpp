// Functions that only tests call.
#pragma once

#include "decimals.hpp"
#include "numbers.hpp"

namespace fieldpipe {

// One number a line; returns how many bytes were written. `out` has room for MAX_NUMBER + 1 bytes a number.
template <class Float>
uint64_t write_lines(const Float* values, uint64_t count, char* out) {
  char* to = out;
  for (uint64_t at = 0; at < count; ++at) {
    to = write_float(to, values[at]);
    *to++ = '\n';
  }
  return static_cast<uint64_t>(to - out);
}

}  // namespace fieldpipe

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED uint64_t fieldpipe_write_doubles(const double* values, uint64_t count, char* out) {
  return fieldpipe::write_lines(values, count, out);
}

EXPORTED uint64_t fieldpipe_write_floats(const float* values, uint64_t count, char* out) {
  return fieldpipe::write_lines(values, count, out);
}

// Numbers of which each ends a line; returns how many were read before the first that is none.
EXPORTED uint64_t fieldpipe_read_doubles(const char* text, uint64_t size, double* values) {
  uint64_t count = 0;
  for (const char* end = text + size; text < end; ++count) {
    const char* stop = static_cast<const char*>(std::memchr(text, '\n', static_cast<size_t>(end - text)));
    if (stop == nullptr || !fieldpipe::parse_double(text, stop, values[count])) break;
    text = stop + 1;
  }
  return count;
}

#undef EXPORTED
