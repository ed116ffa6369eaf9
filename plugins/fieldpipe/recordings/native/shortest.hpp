// Floats as the shortest decimal that reads back as the same number, of these the closest.
//
// After Raffaello Giulietti, "The Schubfach way to render doubles" (2020, revised 2022): between the middles to both
// neighbours lies at most one multiple of 10^(k+1), and at least one of 10^k, where 10^k <= ulp < 10^(k+1). `exact`
// follows the paper. `quick` takes one multiplication instead of three: it knows the number and its distance to the
// middles only to about 2^-60, and leaves what is closer to a decision than that to `exact`.
#pragma once

#include <cstdint>

#include "powers.hpp"

namespace fieldpipe {

struct Decimal {
  uint64_t digits;
  int exponent;  // digits * 10^exponent
};

namespace shortest {

// Logarithms rounded down, for all exponents that floats have.
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
  constexpr uint64_t TEN = uint64_t{10} << 60, HALF = uint64_t{1} << 63;
  int k = log10_of_power_of_two(exponent);
  int shift = exponent + log2_of_power_of_ten(-k) + 1;
  const Power& power = power_of_ten(-k);
  unsigned __int128 scaled = multiply(significand << shift, power);  // in units of 2^-64, to less than one of them
  uint64_t ones = static_cast<uint64_t>(scaled >> 64), fraction = static_cast<uint64_t>(scaled);
  uint64_t last = ones % 10, tens = ones - last;
  uint64_t above = last << 60 | fraction >> 4;  // the tens; in units of 2^-60, rounded down, as is the next
  uint64_t middle = power.high >> (5 - shift);  // from the number to the middles
  decimal = {ones + (fraction >> 63), k};
  decimal.digits = above < middle ? tens : decimal.digits;
  decimal.digits = above > TEN - middle ? tens + 10 : decimal.digits;
  auto sure = [](uint64_t difference) { return difference + 4 > 8; };  // it may be wrong by two
  return sure(above - middle) & sure(above - (TEN - middle)) & sure(fraction - HALF);
}

}  // namespace shortest
}  // namespace fieldpipe
