// Decimals that are already the text of their float64, so that it is copied: reading and writing it takes longer.
#pragma once

#include "decimals.hpp"

namespace fieldpipe {
namespace canonical {

// Is digits * 10^exponent, a number from 10^-4 to 10^16, the shortest decimal of the float64 nearest to it, and of these
// the closest? For 16 or 17 digits of which the last is not 0; false also where that is not sure. All is measured in units
// of 2^-56 ulp: where the decimal lies from the float, how far one more in its last digit is, and where the next decimals
// with a digit less are. (Powers of two, of which one neighbour is nearer, have few digits in this range.)
inline bool is_shortest(uint64_t digits, int exponent) {
  constexpr int64_t HALF = int64_t{1} << 55, UNSURE = 64;
  int zeros = __builtin_clzll(digits);
  const Power& power = power_of_ten(exponent);
  unsigned __int128 product = shortest::multiply(digits << zeros, power);
  uint64_t high = static_cast<uint64_t>(product >> 64), low = static_cast<uint64_t>(product);
  int cut = 10 + static_cast<int>(high >> 63);  // bits behind the 53 of the significand
  int64_t offset = static_cast<int64_t>(high << (64 - cut) | low >> cut) >> 8;
  int64_t step = static_cast<int64_t>(power.high >> (8 + cut - zeros));
  int64_t last = static_cast<int64_t>(digits % 10);
  int64_t distance = offset < 0 ? -offset : offset;
  return distance < HALF - UNSURE && 2 * distance < step - UNSURE && last * step - offset > HALF + UNSURE &&
         (10 - last) * step + offset > HALF + UNSURE;
}

}  // namespace canonical

// Is this how `write_float` writes the number? `whole` is where its digits begin, `point` the point among them.
inline bool is_canonical(const char* whole, const char* point, const char* end) {
  constexpr ptrdiff_t ALWAYS = 15, MOST = 17;  // digits: of so many every decimal survives, of more none is needed
  ptrdiff_t decimals = end - point - 1, digits = point - whole + decimals;
  if (end[-1] == '0') return decimals == 1 && digits <= ALWAYS + 1;
  if (*whole == '0') {
    const char* first = point + 1;
    while (*first == '0') ++first;
    digits = end - first;
    if (first - point > 4) return false;
  }
  if (digits <= ALWAYS) return true;
  if (digits > MOST) return false;
  uint64_t number = 0;
  nearest::read_digits(whole, point, number);
  nearest::read_digits(point + 1, end, number);
  return canonical::is_shortest(number, -static_cast<int>(decimals));
}

}  // namespace fieldpipe
