// Floats as the shortest decimal that reads back as the same number, of these the closest, in Python's notation.
//
// After Raffaello Giulietti, "The Schubfach way to render doubles" (2020, revised 2022): between two neighbours of
// 10^(k+1) lies at most one decimal that reads back, between those of 10^k at least one, where 10^k <= ulp < 10^(k+1).
// `exact` follows the paper. `quick` takes one multiplication instead of three: it knows the number and how far it is
// to the middle of its neighbours only to about 2^-60, and leaves what is closer to a decision than that to `exact`.
#pragma once

#include <cmath>
#include <cstdint>

#include "digits.hpp"
#include "powers.hpp"

namespace fieldpipe {

struct Decimal {
  uint64_t digits;
  int exponent;  // digits * 10^exponent
};

// How floats are laid out, and how many decimal digits they need: one, and eight in every word behind it.
template <class Float>
struct Format;

template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr int FRACTION = 52, BIAS = 1075;
  static constexpr int REST = 16;
  static constexpr uint64_t UNIT = 10'000'000'000'000'000;
};

template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr int FRACTION = 23, BIAS = 150;
  static constexpr int REST = 8;
  static constexpr uint64_t UNIT = 100'000'000;
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
inline Decimal exact(uint64_t significand, int exponent, bool closer) {
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

// How a number from 10^-4 to 10^16 is laid out: zeros, digits with a point among them.
struct Places {
  uint8_t first;   // where the first digit goes
  uint8_t behind;  // digits from there on make room for the point
  uint8_t move;    // by as many bytes
  uint8_t least;   // bytes at least
};

inline char* write_fixed(char* out, int magnitude, char lead, uint64_t high, uint64_t low, int count) {
  constexpr int SMALLEST = -4;
  constexpr auto PLACES = [] {
    struct { Places of[20]; } places{};
    for (int at = 0; at < 20; ++at) {
      auto place = [&](int value) { return static_cast<uint8_t>(value); };
      int exponent = at + SMALLEST;
      places.of[at] = exponent < 0 ? Places{place(1 - exponent), 2, 0, 0}
                                   : Places{0, place(exponent + 1), 1, place(exponent + 3)};
    }
    return places;
  }();
  const Places& places = PLACES.of[magnitude - SMALLEST];
  put_word(out, ZEROS);
  char* digits = out + places.first;
  *digits = lead;
  put_word(digits + 1, high);
  put_word(digits + 9, low);
  std::memmove(out + places.behind + places.move, out + places.behind, 16);
  out[places.move ? places.behind : 1] = '.';
  int size = places.first + count + places.move;
  return out + (size < places.least ? places.least : size);
}

inline char* write_exponent(char* out, int magnitude, char lead, uint64_t high, uint64_t low, int count) {
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
  constexpr uint32_t EIGHT = 100'000'000;
  uint64_t lead = decimal.digits / Format::UNIT, rest = decimal.digits % Format::UNIT;
  uint64_t high = eight_digits(static_cast<uint32_t>(Format::REST == 16 ? rest / EIGHT : rest));
  uint64_t low = Format::REST == 16 ? eight_digits(static_cast<uint32_t>(rest % EIGHT)) : 0;
  int zeros = low ? __builtin_clzll(low) / 8 : 8 + (high ? __builtin_clzll(high) / 8 : 8);
  int magnitude = decimal.exponent + Format::REST;
  auto write = magnitude >= -4 && magnitude < 16 ? write_fixed : write_exponent;
  return write(out, magnitude, static_cast<char>('0' + lead), high | ZEROS, low | ZEROS, 17 - zeros);
}

inline char* write_text(char* out, const char* text) {
  size_t size = std::strlen(text);
  std::memcpy(out, text, size);
  return out + size;
}

}  // namespace shortest

template <class Float>
char* write_float(char* out, Float value) {
  using namespace shortest;
  using Format = Format<Float>;
  typename Format::Bits bits;
  std::memcpy(&bits, &value, sizeof bits);
  constexpr int EXPONENT = 8 * sizeof bits - 1 - Format::FRACTION;  // bits
  constexpr typename Format::Bits HIDDEN = typename Format::Bits{1} << Format::FRACTION;
  auto fraction = bits & (HIDDEN - 1);
  int exponent = static_cast<int>(bits >> Format::FRACTION) & ((1 << EXPONENT) - 1);
  if (exponent == (1 << EXPONENT) - 1 && fraction != 0) return write_text(out, "nan");
  *out = '-';
  out += bits >> (8 * sizeof bits - 1);
  if (exponent == (1 << EXPONENT) - 1) return write_text(out, "inf");
  if (fraction == 0 && exponent == 0) return write_text(out, "0.0");
  Decimal decimal;
  if (exponent == 0) {
    decimal = exact(fraction, 1 - Format::BIAS, false);
  } else if (fraction == 0 || !quick(fraction | HIDDEN, exponent - Format::BIAS, decimal)) {
    decimal = exact(fraction | HIDDEN, exponent - Format::BIAS, fraction == 0 && exponent > 1);
  }
  while (decimal.digits < Format::UNIT) decimal = {10 * decimal.digits, decimal.exponent - 1};
  return write_decimal<Float>(out, decimal);
}

}  // namespace fieldpipe
