// Decimals as floats: the text of a JSON number as the float64 nearest to it, of two equally near ones the even.
//
// After Daniel Lemire, "Number Parsing at a Gigabyte per Second" (Software: Practice and Experience 51 (8), 2021): the
// first 19 digits times a power of ten to 128 bits. What this leaves open (a number that close to the middle of two
// floats), and what is below the normal numbers, goes to the standard library, which takes all digits.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#ifndef __cpp_lib_to_chars
#include <clocale>
#include <cstdlib>
#include <string>
#endif

#include "digits.hpp"
#include "shortest.hpp"

namespace fieldpipe {
namespace nearest {

constexpr int MOST_DIGITS = 19;  // that fit 64 bits

struct Number {
  uint64_t digits = 0;
  int64_t exponent = 0;  // digits * 10^exponent
  bool more = false;     // and less than a unit of the last digit beyond
};

inline bool is_digit(char character) { return static_cast<unsigned char>(character - '0') < 10; }

inline void add_digit(uint64_t& number, char digit) { number = 10 * number + static_cast<uint64_t>(digit - '0'); }

// Eight digits at once: pairs, then fours, then all. False if there is something else among them.
inline bool read_eight(const char* at, uint64_t& number) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  constexpr uint64_t UPPER = 0xF0F0F0F0F0F0F0F0, SIX = 0x0606060606060606;
  if (((word & UPPER) | ((word + SIX) & UPPER) >> 4) != 0x3333333333333333) return false;
  word -= ZEROS;
  word = (word * 10 + (word >> 8)) & 0x00FF00FF00FF00FF;
  word = (word * 100 + (word >> 16)) & 0x0000FFFF0000FFFF;
  word = (word * 10000 + (word >> 32)) & 0xFFFFFFFF;
  number = number * 100'000'000 + word;
  return true;
}

// Goes on with `number` as long as there are digits.
inline const char* read_digits(const char* at, const char* end, uint64_t& number) {
  while (end - at >= 8 && read_eight(at, number)) at += 8;
  for (; at < end && is_digit(*at); ++at) add_digit(number, *at);
  return at;
}

// What is to be known of digits, with a point or without, that are more than 64 bits may hold.
inline Number read_many(const char* at, const char* end) {
  Number number;
  int count = 0;
  bool behind = false;
  for (; at < end; ++at) {
    if (*at == '.') {
      behind = true;
    } else if (count < MOST_DIGITS) {
      add_digit(number.digits, *at);
      number.exponent -= behind;
      count += number.digits > 0;
    } else {
      number.exponent += !behind;
      number.more |= *at != '0';
    }
  }
  return number;
}

// Adds "e-12" to the exponent. False if it is something else.
inline bool read_exponent(const char* at, const char* end, int64_t& exponent) {
  constexpr int64_t ENOUGH = int64_t{1} << 40;  // more than digits may make up for
  if ((*at | 0x20) != 'e' || ++at == end) return false;
  bool negative = *at == '-';
  at += negative || *at == '+';
  if (at == end) return false;
  int64_t value = 0;
  for (; at < end && is_digit(*at); ++at) value = value < ENOUGH ? 10 * value + (*at - '0') : value;
  exponent += negative ? -value : value;
  return at == end;
}

inline bool read_number(const char* begin, const char* end, Number& number) {
  const char* point = begin;
  for (; point < end && is_digit(*point); ++point) add_digit(number.digits, *point);
  const char* at = point;
  if (at < end && *at == '.') at = read_digits(at + 1, end, number.digits);
  if (point == begin || (at > point && at == point + 1)) return false;
  number.exponent = at > point ? point + 1 - at : 0;
  const char* first = begin;
  if (at - begin > MOST_DIGITS) {
    while (first < at && (*first == '0' || *first == '.')) ++first;
    if (at - first - (first < point && point < at) > MOST_DIGITS) number = read_many(begin, at);
  }
  return at == end || read_exponent(at, end, number.exponent);
}

// The float64 nearest to digits * 10^exponent; false when it cannot tell. The product is right to one unit of its last
// bit: powers are rounded up by less than one, the product is rounded down.
inline bool approach(uint64_t digits, int exponent, double& value) {
  constexpr int SIGNIFICAND = 53, LEAST = -1022, MOST = 1023;
  int zeros = __builtin_clzll(digits);
  unsigned __int128 product = shortest::multiply(digits << zeros, power_of_ten(exponent));
  uint64_t high = static_cast<uint64_t>(product >> 64), low = static_cast<uint64_t>(product);
  int full = static_cast<int>(high >> 63);  // whether the first bit is set; the second is if it is not
  int magnitude = full + shortest::log2_of_power_of_ten(exponent) + 63 - zeros;
  int cut = 63 + full - SIGNIFICAND;
  uint64_t half = uint64_t{1} << (cut - 1), rest = high & (2 * half - 1);
  bool open = (rest == half && low <= 1) || (rest == half - 1 && low == ~uint64_t{0});
  if (magnitude < LEAST || open) return false;
  uint64_t bits = (high >> cut) + (rest >= half);  // rounded up, it may become a power of two
  bits += static_cast<uint64_t>(magnitude - LEAST) << (SIGNIFICAND - 1);
  std::memcpy(&value, &bits, sizeof value);
  if (magnitude > MOST) value = HUGE_VAL;
  return true;
}

#ifdef __cpp_lib_to_chars
inline double by_library(const char* begin, const char* end, double beyond) {
  double value = beyond;
  std::from_chars_result read = std::from_chars(begin, end, value);
  return read.ec == std::errc::result_out_of_range ? beyond : value;
}
#else
// libc++ before 20 has no from_chars for floats; strtod must not look at the locale of the process.
inline double by_library(const char* begin, const char* end, double) {
  static const locale_t plain = newlocale(LC_ALL_MASK, "C", nullptr);
  return strtod_l(std::string(begin, end).c_str(), nullptr, plain);
}
#endif

inline double magnitude_of(const Number& number, const char* begin, const char* end) {
  constexpr double EXACT[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  constexpr int MOST_EXACT = 22;
  constexpr uint64_t ALL_EXACT = uint64_t{1} << 53;
  constexpr int MOST = 308;  // 10^309 is no float
  if (number.digits == 0 || number.exponent < SMALLEST_POWER) return 0;
  if (number.exponent > MOST) return HUGE_VAL;
  int exponent = static_cast<int>(number.exponent);
  if (!number.more && exponent == 0) return static_cast<double>(number.digits);
  if (!number.more && number.digits <= ALL_EXACT && -MOST_EXACT <= exponent && exponent <= MOST_EXACT) {
    double digits = static_cast<double>(number.digits);  // one operation on exact numbers rounds once
    return exponent < 0 ? digits / EXACT[-exponent] : digits * EXACT[exponent];
  }
  double value, above;
  bool found = approach(number.digits, exponent, value);
  if (found && number.more) found = approach(number.digits + 1, exponent, above) && value == above;
  return found ? value : by_library(begin, end, exponent > 0 ? HUGE_VAL : 0.0);
}

}  // namespace nearest

// The text from `begin` to `end` is a JSON number (RFC 8259, section 6). Too large ones are infinite. False: it is no
// number, which is found out of everything but a zero in front of other digits.
inline bool parse_double(const char* begin, const char* end, double& value) {
  bool negative = begin < end && *begin == '-';
  begin += negative;
  nearest::Number number;
  if (!nearest::read_number(begin, end, number)) return false;
  value = std::copysign(nearest::magnitude_of(number, begin, end), negative ? -1.0 : 1.0);
  return true;
}

}  // namespace fieldpipe
