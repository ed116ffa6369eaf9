// Floats as the shortest decimal that reads back as the same number, of these the closest, in Python's notation.
//
// After Raffaello Giulietti, "The Schubfach way to render doubles" (2020, revised 2022): between two neighbours of
// 10^(k+1) lies at most one decimal that reads back, between those of 10^k at least one, where 10^k <= ulp < 10^(k+1).
// `exact` follows the paper. `quick` takes one multiplication instead of three: it knows the number and how far it is
// to the middle of its neighbours only to about 2^-60, and leaves what is closer to a decision than that to `exact`.
#pragma once

#include <cstdint>

#include "digits.hpp"
#include "powers.hpp"

namespace fieldpipe {

struct Decimal {
  uint64_t digits;
  int exponent;  // digits * 10^exponent
};

// How floats are laid out, and as how many digits they are written: one, and REST behind it.
template <class Float>
struct Format;

template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr int FRACTION = 52, BIAS = 1075, SPECIAL = 2047;  // SPECIAL: the exponent of what is not finite
  static constexpr uint64_t HIDDEN = uint64_t{1} << FRACTION;
  static constexpr int REST = 16;
  static constexpr uint64_t UNIT = 10'000'000'000'000'000;
  static constexpr int LACKING = 1;  // digits that a normal number may have less: 2^52 > 10^15
};

template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr int FRACTION = 23, BIAS = 150, SPECIAL = 255;
  static constexpr uint64_t HIDDEN = uint64_t{1} << FRACTION;
  static constexpr int REST = 8;
  static constexpr uint64_t UNIT = 100'000'000;
  static constexpr int LACKING = 2;  // 2^23 > 10^6
};

namespace shortest {

// Logarithms rounded down, as in section 9 of the paper.
inline int log10_of_power_of_two(int exponent) { return exponent * 1262611 >> 22; }
inline int log10_of_three_quarters(int exponent) { return (exponent * 1262611 - 524031) >> 22; }  // of 3/4 * 2^exponent
inline int log2_of_power_of_ten(int exponent) { return exponent * 1741647 >> 19; }

// The upper 128 bits of the 192 of a product.
inline unsigned __int128 multiply(uint64_t factor, const Power& power) {
  using Wide = unsigned __int128;
  return static_cast<Wide>(factor) * power.high + static_cast<uint64_t>(static_cast<Wide>(factor) * power.low >> 64);
}

// The decimal for significand * 2^exponent; `closer`: the neighbour below is at half the distance.
[[gnu::noinline, gnu::cold]] inline Decimal exact(uint64_t significand, int exponent, bool closer) {
  int k = closer ? log10_of_three_quarters(exponent) : log10_of_power_of_two(exponent);
  int shift = exponent + log2_of_power_of_ten(-k) + 1;
  const Power& power = power_of_ten(-k);
  auto quadruple = [&](uint64_t number) {  // number * 10^-k; whether something is behind the point is in the last bit
    unsigned __int128 product = multiply(number << shift, power);
    return static_cast<uint64_t>(product >> 64) | (static_cast<uint64_t>(product) > 1);
  };
  uint64_t odd = significand & 1;
  uint64_t value = quadruple(4 * significand);
  uint64_t lower = quadruple(4 * significand - (closer ? 1 : 2)) + odd;
  uint64_t upper = quadruple(4 * significand + 2) - odd;
  uint64_t ones = value / 4, tens = ones / 10;
  bool tens_in = lower <= 40 * tens, next_tens_in = 40 * tens + 40 <= upper;
  if (tens_in != next_tens_in) return {tens + next_tens_in, k + 1};
  bool ones_in = lower <= 4 * ones, next_ones_in = 4 * ones + 4 <= upper;
  if (ones_in != next_ones_in) return {ones + next_ones_in, k};
  uint64_t middle = 4 * ones + 2;
  return {ones + (value > middle || (value == middle && (ones & 1))), k};
}

// The same for normal numbers whose neighbours are equally far; false when it cannot tell.
inline bool quick(uint64_t significand, int exponent, Decimal& decimal) {
  constexpr uint64_t TEN = uint64_t{10} << 60, HALF = uint64_t{1} << 63, UNSURE = 4;
  int k = log10_of_power_of_two(exponent);
  int shift = exponent + log2_of_power_of_ten(-k) + 1;
  const Power& power = power_of_ten(-k);
  unsigned __int128 scaled = multiply(significand << shift, power);
  uint64_t whole = static_cast<uint64_t>(scaled >> 64), fraction = static_cast<uint64_t>(scaled);
  uint64_t last = whole % 10;
  uint64_t above = last << 60 | fraction >> 4;  // the tens below; in units of 2^-60, as is the next
  uint64_t half = power.high >> (5 - shift);    // of the distance to a neighbour
  uint64_t rounded = whole + (fraction >> 63);
  rounded = above < half ? whole - last : rounded;
  rounded = above > TEN - half ? whole - last + 10 : rounded;
  decimal = {rounded, k};
  auto sure = [](uint64_t difference) { return difference + UNSURE > 2 * UNSURE; };
  return sure(above - half) & sure(above - (TEN - half)) & sure(fraction - HALF);
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

// Everything is written at its place, what is in the way of the digits behind the point is overwritten by them.
inline char* write_fixed(char* out, int magnitude, char first, uint64_t high, uint64_t low, int count) {
  const Places& places = PLACES.of[magnitude - FIXED_FROM];
  put_word(out, ZEROS);
  char* digits = out + places.first;
  *digits = first;
  put_word(digits + 1, high);
  put_word(digits + 9, low);
  unsigned __int128 behind = (static_cast<unsigned __int128>(low) << 64 | high) >> places.whole;
  out[places.point] = '.';
  put_word(out + places.behind, static_cast<uint64_t>(behind));
  put_word(out + places.behind + 8, static_cast<uint64_t>(behind >> 64));
  int size = places.first + count + (magnitude >= 0);
  return out + (size < places.least ? places.least : size);
}

[[gnu::noinline]] inline char* write_exponent(char* out, int magnitude, char lead, uint64_t high, uint64_t low, int count) {
  out[0] = lead;
  out[1] = '.';
  put_word(out + 2, high);
  put_word(out + 10, low);
  out += count == 1 ? 1 : count + 1;
  *out++ = 'e';
  *out++ = magnitude < 0 ? '-' : '+';
  int size = magnitude < 0 ? -magnitude : magnitude;
  if (size >= 100) *out++ = static_cast<char>('0' + size / 100);
  std::memcpy(out, PAIRS.of + 2 * (size % 100), 2);
  return out + 2;
}

template <class Float>
char* write_decimal(char* out, Decimal decimal) {
  using Format = Format<Float>;
  constexpr uint64_t EIGHT = 100'000'000;
  uint64_t upper = Format::REST == 16 ? decimal.digits / EIGHT : decimal.digits;
  uint64_t low = Format::REST == 16 ? eight_digits(decimal.digits - upper * EIGHT) : 0;
  uint64_t lead = static_cast<uint32_t>(upper) / EIGHT;
  uint64_t high = eight_digits(upper - lead * EIGHT);
  int zeros = low ? __builtin_clzll(low) / 8 : 8 + (high ? __builtin_clzll(high) / 8 : 8);
  int magnitude = decimal.exponent + Format::REST;
  char first = static_cast<char>('0' + lead);
  if (magnitude >= FIXED_FROM && magnitude < FIXED_TO) {
    return write_fixed(out, magnitude, first, high | ZEROS, low | ZEROS, 17 - zeros);
  }
  return write_exponent(out, magnitude, first, high | ZEROS, low | ZEROS, 17 - zeros);
}

// What is rare: powers of two, subnormal numbers, what is not finite, and what `quick` leaves.
template <class Float>
[[gnu::noinline, gnu::cold]] char* write_rare(char* out, uint64_t fraction, int exponent, bool negative) {
  using Format = Format<Float>;
  if (exponent == Format::SPECIAL) {
    if (fraction != 0) out -= negative;  // nan has no sign
    std::memcpy(out, fraction != 0 ? "nan" : "inf", 3);
    return out + 3;
  }
  Decimal decimal = exponent == 0
                        ? exact(fraction, 1 - Format::BIAS, false)
                        : exact(fraction | Format::HIDDEN, exponent - Format::BIAS, fraction == 0 && exponent > 1);
  while (decimal.digits < Format::UNIT) decimal = {10 * decimal.digits, decimal.exponent - 1};
  return write_decimal<Float>(out, decimal);
}

}  // namespace shortest

template <class Float>
char* write_float(char* out, Float value) {
  using Format = Format<Float>;
  typename Format::Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint64_t fraction = bits & (Format::HIDDEN - 1);
  int exponent = static_cast<int>(bits >> Format::FRACTION) & Format::SPECIAL;
  bool negative = bits >> (8 * sizeof bits - 1);
  *out = '-';
  out += negative;
  if (static_cast<typename Format::Bits>(bits << 1) == 0) {
    std::memcpy(out, "0.0", 4);  // four bytes are one move
    return out + 3;
  }
  Decimal decimal;
  bool rare = fraction == 0 || exponent == 0 || exponent == Format::SPECIAL;
  if (rare || !shortest::quick(fraction | Format::HIDDEN, exponent - Format::BIAS, decimal)) {
    return shortest::write_rare<Float>(out, fraction, exponent, negative);
  }
  for (int step = 0; step < Format::LACKING; ++step) {
    bool lacks = decimal.digits < Format::UNIT;
    decimal = {lacks ? 10 * decimal.digits : decimal.digits, decimal.exponent - lacks};
  }
  return shortest::write_decimal<Float>(out, decimal);
}

}  // namespace fieldpipe
