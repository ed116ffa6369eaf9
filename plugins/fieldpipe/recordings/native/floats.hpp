// Floats as text: the shortest decimal that reads back as the same number, in the notation of Python's repr.
#pragma once

#include <cstdint>
#include <cstring>

#include "digits.hpp"
#include "shortest.hpp"
#include "wide.hpp"

namespace fieldpipe {

namespace printing {

using namespace shortest;

// How floats are laid out, and how they are written: as one digit and REST behind it, in words of eight. Whole numbers
// whose last TAIL bits are zero are below 10^8.
template <class Float>
struct Format;

template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr int FRACTION = 52, BIAS = 1075, SPECIAL = 2047;  // SPECIAL: the exponent of what is not finite
  static constexpr int TAIL = 27, REST = 16;
  static constexpr uint64_t UNIT = 10'000'000'000'000'000;
};

template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr int FRACTION = 23, BIAS = 150, SPECIAL = 255;
  static constexpr int TAIL = 8, REST = 8;
  static constexpr uint64_t UNIT = 100'000'000;
};

// Seventeen digits, the first never a zero; how many there are up to the zeros at the end.
struct Digits {
  char first;
  uint64_t high, low;
  int count;
};

// The seventeen digits in parts: one, eight, eight.
struct Split {
  uint64_t first, high, low;
};

template <class Float>
Split split(uint64_t number) {
  constexpr uint64_t EIGHT = 100'000'000;
  uint64_t upper = number, low = 0;
  if (Format<Float>::REST == 16) {
    upper = number / EIGHT;
    low = number - upper * EIGHT;
  }
  uint64_t first = static_cast<uint32_t>(upper) / EIGHT;
  return {first, upper - first * EIGHT, low};
}

template <class Float>
Digits digits_of(Split parts) {
  auto [first, high, low] = parts;
  if (Format<Float>::REST == 16) {
    sixteen_digits(high, low);
  } else {
    high = eight_digits(high);
  }
  int zeros = low ? __builtin_clzll(low) / 8 : 8 + (high ? __builtin_clzll(high) / 8 : 8);
  return {static_cast<char>('0' + first), high | ZEROS, low | ZEROS, 17 - zeros};
}

// Where what belongs to a number of a certain magnitude goes.
struct Places {
  uint8_t first;   // the first digit
  uint8_t point;
  uint8_t behind;  // the digits behind the point
  uint8_t whole;   // bits of the digits behind the first that stand before the point
  uint8_t least;   // bytes at least
};

constexpr int FIXED_FROM = -4, FIXED_TO = 16;  // magnitudes that are written without an exponent

struct AllPlaces {
  Places of[FIXED_TO - FIXED_FROM];
  constexpr AllPlaces() : of() {
    auto byte = [](int value) { return static_cast<uint8_t>(value); };
    for (int at = FIXED_FROM; at < FIXED_TO; ++at) {
      of[at - FIXED_FROM] = at < 0 ? Places{byte(1 - at), 1, byte(2 - at), 0, 0}
                                   : Places{0, byte(at + 1), byte(at + 2), byte(8 * at), byte(at + 3)};
    }
  }
};
inline constexpr AllPlaces PLACES;
#ifdef FIELDPIPE_WIDE
inline constexpr wide::Layouts<FIXED_FROM, FIXED_TO> LAYOUTS;
#endif

// Zeros, all digits, the point, and once more the digits behind it: what comes later overwrites what came before, which
// is faster than to ask how many there are.
inline char* write_fixed(char* out, int magnitude, const Digits& digits) {
  using Wide = unsigned __int128;
  const Places& places = PLACES.of[magnitude - FIXED_FROM];
  put_word(out, ZEROS);
  out[places.first] = digits.first;
  put_word(out + places.first + 1, digits.high);
  put_word(out + places.first + 9, digits.low);
  Wide behind = (static_cast<Wide>(digits.low) << 64 | digits.high) >> places.whole;
  out[places.point] = '.';
  put_word(out + places.behind, static_cast<uint64_t>(behind));
  put_word(out + places.behind + 8, static_cast<uint64_t>(behind >> 64));
  int size = places.first + digits.count + (magnitude >= 0);
  return out + (size < places.least ? places.least : size);
}

[[gnu::noinline]] inline char* write_exponent(char* out, int magnitude, const Digits& digits) {
  out[0] = digits.first;
  out[1] = '.';
  put_word(out + 2, digits.high);
  put_word(out + 10, digits.low);
  out += digits.count == 1 ? 1 : digits.count + 1;
  *out++ = 'e';
  *out++ = magnitude < 0 ? '-' : '+';
  int size = magnitude < 0 ? -magnitude : magnitude;
  if (size >= 100) *out++ = static_cast<char>('0' + size / 100);
  std::memcpy(out, PAIRS.of + 2 * (size % 100), 2);
  return out + 2;
}

template <class Float>
char* write_decimal(char* out, Decimal decimal) {
  while (decimal.digits < Format<Float>::UNIT) decimal = {10 * decimal.digits, decimal.exponent - 1};
  Split parts = split<Float>(decimal.digits);
  int magnitude = decimal.exponent + Format<Float>::REST;
  bool is_fixed = FIXED_FROM <= magnitude && magnitude < FIXED_TO;
#ifdef FIELDPIPE_WIDE
  if (wide::in_use && is_fixed) return wide::write_fixed(out, LAYOUTS.of[magnitude - FIXED_FROM], wide::around(parts.first), parts.high, parts.low);
#endif
  Digits digits = digits_of<Float>(parts);
  return is_fixed ? write_fixed(out, magnitude, digits) : write_exponent(out, magnitude, digits);
}

// A float without its sign, in parts.
struct Parts {
  uint64_t fraction;
  int exponent;
};

// What `quick` does not do. `out` stands behind the sign, if there is one.
template <class Float>
[[gnu::noinline, gnu::cold]] char* write_rare(char* out, Parts parts, bool negative) {
  using Format = Format<Float>;
  auto [fraction, exponent] = parts;
  if (exponent == Format::SPECIAL) {
    if (fraction != 0) out -= negative;  // nan has no sign
    std::memcpy(out, fraction != 0 ? "nan" : "inf", 3);
    return out + 3;
  }
  uint64_t hidden = static_cast<uint64_t>(exponent > 0) << Format::FRACTION;
  bool closer = fraction == 0 && exponent > 1;
  return write_decimal<Float>(out, exact(fraction | hidden, exponent - Format::BIAS + (exponent == 0), closer));
}

// Zero and other small whole numbers; null if it is none.
template <class Float>
char* write_whole(char* out, Parts parts) {
  using Format = Format<Float>;
  if (parts.fraction == 0 && parts.exponent == 0) {
    std::memcpy(out, "0.0", 4);  // four bytes are one move
    return out + 3;
  }
  uint64_t significand = parts.fraction | uint64_t{1} << Format::FRACTION;
  int behind = Format::BIAS - parts.exponent;  // bits behind the point
  if (behind < Format::TAIL || behind > Format::FRACTION) return nullptr;
  if ((significand & ((uint64_t{1} << behind) - 1)) != 0) return nullptr;
  out = write_short(out, significand >> behind);
  std::memcpy(out, ".0", 2);
  return out + 2;
}

}  // namespace printing

template <class Float>
char* write_float(char* out, Float value) {
  using namespace printing;
  using Format = Format<Float>;
  typename Format::Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  constexpr uint64_t HIDDEN = uint64_t{1} << Format::FRACTION, TAIL = (uint64_t{1} << Format::TAIL) - 1;
  Parts parts{bits & (HIDDEN - 1), static_cast<int>(bits >> Format::FRACTION) & Format::SPECIAL};
  bool negative = bits >> (8 * sizeof bits - 1);
  *out = '-';
  out += negative;
  if ((bits & TAIL) == 0) {
    if (char* end = write_whole<Float>(out, parts)) return end;
    if (parts.fraction == 0) return write_rare<Float>(out, parts, negative);
  }
  bool normal = static_cast<unsigned>(parts.exponent - 1) < static_cast<unsigned>(Format::SPECIAL - 1);
  Decimal decimal;
  if (!normal || !quick(parts.fraction | HIDDEN, parts.exponent - Format::BIAS, decimal)) {
    return write_rare<Float>(out, parts, negative);
  }
  if (Format::REST == 16) {  // a digit may lack; a branch would be guessed wrong too often
    uint64_t lacks = decimal.digits < Format::UNIT;
    decimal.digits += -lacks & 9 * decimal.digits;
    decimal.exponent -= static_cast<int>(lacks);
  }
  return write_decimal<Float>(out, decimal);
}

}  // namespace fieldpipe
