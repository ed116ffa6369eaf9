// Doubles as text, the arithmetic of eight at a time, where the processor has what wide.hpp asks for: the same text as
// floats.hpp writes one by one.
#pragma once

#include "floats.hpp"

#ifdef FIELDPIPE_WIDE

namespace fieldpipe {
namespace wide {

FIELDPIPE_WIDE inline __m512i all(uint64_t value) { return _mm512_set1_epi64(static_cast<int64_t>(value)); }

// 2^shift / divisor, rounded up: multiplied with it and shifted, what is small enough is divided.
constexpr uint64_t reciprocal(uint64_t divisor, int shift) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(1) << shift) / divisor) + 1;
}

// The powers that numbers from 10^-5 to 10^10 take.
struct NearPowers {
  static constexpr int FROM = 6, COUNT = 16;
  alignas(64) uint64_t high[COUNT], low[COUNT];
  constexpr NearPowers() : high(), low() {
    for (int at = 0; at < COUNT; ++at) {
      high[at] = POWERS[FROM + at - SMALLEST_POWER].high;
      low[at] = POWERS[FROM + at - SMALLEST_POWER].low;
    }
  }
};
inline constexpr NearPowers NEAR_POWERS;

// Eight doubles made ready for `write_fixed`. Of a number that is not ready, which its bit tells, nothing else holds:
// what `quick` of shortest.hpp cannot tell, zeros and powers of two, and what has an exponent.
struct Eight {
  static constexpr uint64_t COUNT = 8;
  alignas(64) uint64_t around[COUNT];
  uint64_t high[COUNT], low[COUNT], layout[COUNT];
  uint32_t ready, negative;
};

// `quick` of shortest.hpp with limbs of 52 bits, which is what IFMA multiplies. The power is cut to two of them and the
// product to its upper two: the fraction lacks less than three units of 2^-52, and is then shifted by at most 4 bits.
FIELDPIPE_WIDE inline void make_ready(__m512i bits, Eight& eight) {
  using Format = printing::Format<double>;
  constexpr unsigned LIMB = 52;
  constexpr uint64_t TENS = 100'000'000, TEN = uint64_t{10} << 60, LACKS = uint64_t{3} << 16;
  const __m512i none = _mm512_setzero_si512(), one = all(1), ten = all(10), eight_digits = all(TENS);
  const __m512i limb = all((uint64_t{1} << LIMB) - 1);

  __m512i fraction = _mm512_and_si512(bits, limb);
  __m512i biased = _mm512_and_si512(_mm512_srli_epi64(bits, LIMB), all(Format::SPECIAL));
  __mmask8 is_normal = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(biased, one), all(Format::SPECIAL - 1));
  __mmask8 ready = _mm512_mask_test_epi64_mask(is_normal, fraction, fraction);

  __m512i exponent = _mm512_sub_epi64(biased, all(Format::BIAS));
  __m512i k = _mm512_srai_epi64(_mm512_mul_epi32(exponent, all(1262611)), 22);
  __m512i power = _mm512_sub_epi64(none, k);
  __m512i log2 = _mm512_srai_epi64(_mm512_mul_epi32(power, all(1741647)), 19);
  __m512i shift = _mm512_add_epi64(_mm512_add_epi64(exponent, one), log2);
  __m512i high, low, near = _mm512_sub_epi64(power, all(NearPowers::FROM));
  if (__builtin_expect(_mm512_mask_cmpge_epu64_mask(ready, near, all(NearPowers::COUNT)) == 0, 1)) {
    const uint64_t *highs = NEAR_POWERS.high, *lows = NEAR_POWERS.low;
    high = _mm512_permutex2var_epi64(_mm512_load_si512(highs), near, _mm512_load_si512(highs + 8));
    low = _mm512_permutex2var_epi64(_mm512_load_si512(lows), near, _mm512_load_si512(lows + 8));
  } else {
    __m512i place = _mm512_slli_epi64(power, 1);
    high = _mm512_i64gather_epi64(place, &power_of_ten(0).high, 8);
    low = _mm512_i64gather_epi64(place, &power_of_ten(0).low, 8);
  }

  __m512i upper_limb = _mm512_srli_epi64(high, 64 - LIMB);
  __m512i lower_limb = _mm512_and_si512(_mm512_shldi_epi64(high, low, 2 * LIMB - 64), limb);
  __m512i behind = _mm512_madd52hi_epu64(lower_limb, fraction, lower_limb);  // the hidden bit times the limb, and the rest
  behind = _mm512_madd52lo_epu64(behind, fraction, upper_limb);
  __m512i before = _mm512_add_epi64(_mm512_madd52hi_epu64(upper_limb, fraction, upper_limb), _mm512_srli_epi64(behind, LIMB));
  behind = _mm512_slli_epi64(behind, 64 - LIMB);
  __m512i ones = _mm512_shldv_epi64(before, behind, shift);
  __m512i rest = _mm512_sllv_epi64(behind, shift);  // in units of 2^-64

  // 10^8 is 2^8 * 5^8; `ones` is less than 2^57, and without its last eight bits less than 2^49.
  __m512i eighth = _mm512_andnot_si512(all(7), _mm512_srli_epi64(ones, 5));
  __m512i upper = _mm512_srli_epi64(_mm512_madd52hi_epu64(none, eighth, all(reciprocal(8 * 390'625, LIMB + 20))), 20);
  __m512i lower = _mm512_sub_epi64(ones, _mm512_mul_epu32(upper, eight_digits));
  __m512i tens = _mm512_mul_epu32(_mm512_madd52hi_epu64(none, lower, all(reciprocal(10, LIMB))), ten);
  __m512i above = _mm512_shldi_epi64(_mm512_sub_epi64(lower, tens), rest, 60);  // the tens; in units of 2^-60
  __m512i middle = _mm512_srlv_epi64(high, _mm512_sub_epi64(all(5), shift));
  __m512i next_middle = _mm512_sub_epi64(all(TEN), middle);
  lower = _mm512_add_epi64(lower, _mm512_srli_epi64(rest, 63));
  lower = _mm512_mask_mov_epi64(lower, _mm512_cmplt_epu64_mask(above, middle), tens);
  lower = _mm512_mask_add_epi64(lower, _mm512_cmpgt_epu64_mask(above, next_middle), tens, ten);
  const auto sure = [&](__mmask8 which, __m512i difference) FIELDPIPE_WIDE {
    return _mm512_mask_cmpgt_epu64_mask(which, _mm512_add_epi64(difference, all(LACKS)), all(2 * LACKS));
  };
  ready = sure(ready, _mm512_sub_epi64(above, middle));
  ready = sure(ready, _mm512_sub_epi64(above, next_middle));
  ready = sure(ready, _mm512_sub_epi64(rest, all(uint64_t{1} << 63)));

  __mmask8 is_full = _mm512_cmpeq_epu64_mask(lower, eight_digits);
  lower = _mm512_mask_mov_epi64(lower, is_full, none);
  upper = _mm512_mask_add_epi64(upper, is_full, upper, one);
  __mmask8 lacks = _mm512_cmplt_epu64_mask(upper, eight_digits);  // a digit, so that ten times the number is written
  __m512i moved = _mm512_madd52hi_epu64(none, lower, all(reciprocal(10'000'000, LIMB)));
  lower = _mm512_mask_mul_epu32(lower, lacks, _mm512_sub_epi64(lower, _mm512_mul_epu32(moved, all(10'000'000))), ten);
  upper = _mm512_mask_add_epi64(upper, lacks, _mm512_mul_epu32(upper, ten), moved);
  __m512i first = _mm512_srli_epi64(_mm512_mul_epu32(upper, all(reciprocal(TENS, 57))), 57);
  __m512i layout = _mm512_add_epi64(k, all(Format::REST - printing::FIXED_FROM));
  layout = _mm512_mask_sub_epi64(layout, lacks, layout, one);

  _mm512_store_si512(eight.around, _mm512_add_epi64(_mm512_slli_epi64(first, FIRST_SHIFT), all(around(0))));
  _mm512_store_si512(eight.high, _mm512_sub_epi64(upper, _mm512_mul_epu32(first, eight_digits)));
  _mm512_store_si512(eight.low, lower);
  _mm512_store_si512(eight.layout, layout);
  eight.ready = _mm512_mask_cmplt_epu64_mask(ready, layout, all(printing::FIXED_TO - printing::FIXED_FROM));
  eight.negative = _mm512_movepi64_mask(bits);
}

// One that is ready.
FIELDPIPE_WIDE inline char* write_ready(char* out, const Eight& eight, uint64_t at) {
  *out = '-';
  out += eight.negative >> at & 1;
  return write_fixed(out, printing::LAYOUTS.of[eight.layout[at]], eight.around[at], eight.high[at], eight.low[at]);
}

// Writes doubles that lie one behind the other, however few are asked for at a time. All of these that are not zero are
// made ready together, TOGETHER of them at most and eight at least: what lies behind are mostly doubles too, which are
// asked for next. If they are something else, they are not.
class Ahead {
 public:
  // So many of them, with a comma behind each; `rare(out, from)` writes what is not made ready. Up to `end` there is
  // something to read. Uses MAX_NUMBER + 1 bytes for each.
  template <class Rare>
  FIELDPIPE_WIDE char* write(char* out, const uint8_t* from, uint64_t count, const uint8_t* end, Rare rare) {
    while (count > 0) {
      uint64_t at = place(from, count, end), stop = at + count < size_ ? at + count : size_;
      uint64_t among = static_cast<uint64_t>(__builtin_popcountll(_bzhi_u64(nonzero_, static_cast<uint32_t>(at))));
      count -= stop - at;
      from += (stop - at) * sizeof(double);
      while (at < stop) {
        if (nonzero_ >> at & 1) {
          const Eight& eight = eights_[among / Eight::COUNT];
          bool is_ready = eight.ready >> among % Eight::COUNT & 1;
          out = __builtin_expect(is_ready, 1) ? write_ready(out, eight, among % Eight::COUNT) : rare(out, from_ + at * sizeof(double));
          *out++ = ',';
          ++among;
          ++at;
        } else {  // covariances are full of zeros, so up to four of them are written at once
          uint64_t zeros = _tzcnt_u64(nonzero_ >> at | uint64_t{1} << (stop - at) | 1 << 4);
          std::memcpy(out, "0.0,0.0,0.0,0.0,", 16);
          out += 4 * zeros;
          at += zeros;
        }
      }
    }
    return out;
  }

 private:
  static constexpr uint64_t MOST = 56;      // doubles
  static constexpr uint64_t TOGETHER = 32;  // of those that are not zero

  FIELDPIPE_WIDE uint64_t place(const uint8_t* from, uint64_t count, const uint8_t* end) {
    uint64_t distance = reinterpret_cast<uintptr_t>(from) - reinterpret_cast<uintptr_t>(from_);
    if (distance % sizeof(double) == 0 && distance / sizeof(double) < size_) return distance / sizeof(double);
    look(from, count, static_cast<uint64_t>(end - from) / sizeof(double));
    return 0;
  }

  // At `wanted` of `count` doubles and more.
  FIELDPIPE_WIDE void look(const uint8_t* from, uint64_t wanted, uint64_t count) {
    if (count > MOST) count = MOST;
    alignas(64) uint64_t found[TOGETHER + Eight::COUNT];
    uint64_t seen = 0, taken = 0;
    from_ = from;
    nonzero_ = 0;
    do {
      __mmask8 given = static_cast<__mmask8>(_bzhi_u32(0xFF, static_cast<uint32_t>(count - seen)));
      __m512i some = _mm512_maskz_loadu_epi64(given, from + seen * sizeof(double));
      __mmask8 others = _mm512_test_epi64_mask(some, some);
      _mm512_storeu_si512(found + taken, _mm512_maskz_compress_epi64(others, some));
      nonzero_ |= static_cast<uint64_t>(others) << seen;
      taken += static_cast<uint64_t>(__builtin_popcount(others));
      seen += 8;
    } while (seen < count && taken < TOGETHER && (seen < wanted || taken < Eight::COUNT));
    uint64_t behind = _tzcnt_u64(_pdep_u64(uint64_t{1} << TOGETHER, nonzero_));
    size_ = seen < count ? seen : count;
    if (behind < size_) size_ = behind;
    for (uint64_t at = 0; at < taken && at < TOGETHER; at += Eight::COUNT) {
      make_ready(_mm512_load_si512(found + at), eights_[at / Eight::COUNT]);
    }
  }

  Eight eights_[TOGETHER / Eight::COUNT];
  const uint8_t* from_ = nullptr;
  uint64_t size_ = 0;     // doubles that were looked at and can be written
  uint64_t nonzero_ = 0;  // a bit for each of them
};

}  // namespace wide
}  // namespace fieldpipe

#endif
