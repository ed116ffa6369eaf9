// Functions that only tests call.
#pragma once

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

extern "C" __attribute__((visibility("default"))) uint64_t fieldpipe_write_doubles(const double* values, uint64_t count, char* out) {
  return fieldpipe::write_lines(values, count, out);
}

extern "C" __attribute__((visibility("default"))) uint64_t fieldpipe_write_floats(const float* values, uint64_t count, char* out) {
  return fieldpipe::write_lines(values, count, out);
}
