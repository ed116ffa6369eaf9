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

// The powers of ten that numbers of 10^-4 to 10^11 take, without the zeros behind them: none has more than 47 bits.
struct NearPowers {
  static constexpr int FROM = 5, COUNT = 16;
  alignas(64) uint64_t of[COUNT];
  constexpr NearPowers() : of() {
    for (int at = 0; at < COUNT; ++at) of[at] = POWERS[FROM + at - SMALLEST_POWER].high;
  }
};
inline constexpr NearPowers NEAR_POWERS;

// Eight doubles made ready for `write_fixed`. Of a number that is not ready, which its bit tells, nothing else holds:
// what needs another power, ties, zeros and powers of two, and what is not finite.
struct Eight {
  static constexpr uint64_t COUNT = 8;
  alignas(64) uint64_t around[COUNT];
  uint64_t high[COUNT], low[COUNT], layout[COUNT];
  uint32_t ready, negative;
};

// `quick` of shortest.hpp with a power of 52 bits, which is what IFMA multiplies. These few powers are exact, and so is
// everything here.
FIELDPIPE_WIDE inline void make_ready(__m512i bits, Eight& eight) {
  using Format = printing::Format<double>;
  constexpr unsigned LIMB = 52;
  constexpr uint64_t TENS = 100'000'000, TEN = uint64_t{10} << 60;
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
  __m512i near = _mm512_sub_epi64(power, all(NearPowers::FROM));
  ready = _mm512_mask_cmplt_epu64_mask(ready, near, all(NearPowers::COUNT));
  const uint64_t* powers = NEAR_POWERS.of;
  __m512i scale = _mm512_permutex2var_epi64(_mm512_load_si512(powers), near, _mm512_load_si512(powers + 8));

  __m512i limb_of_scale = _mm512_srli_epi64(scale, 64 - LIMB);
  __m512i before = _mm512_madd52hi_epu64(limb_of_scale, fraction, limb_of_scale);  // the hidden bit times it, and the rest
  __m512i behind = _mm512_slli_epi64(_mm512_madd52lo_epu64(none, fraction, limb_of_scale), 64 - LIMB);
  __m512i ones = _mm512_shldv_epi64(before, behind, shift);
  __m512i rest = _mm512_sllv_epi64(behind, shift);  // in units of 2^-64

  // 10^8 is 2^8 * 5^8; `ones` is less than 2^57.
  __m512i upper = _mm512_madd52hi_epu64(none, _mm512_srli_epi64(ones, 8), all(reciprocal(390'625, LIMB + 18)));
  upper = _mm512_srli_epi64(upper, 18);
  __m512i lower = _mm512_sub_epi64(ones, _mm512_mul_epu32(upper, eight_digits));
  __m512i tens = _mm512_mul_epu32(_mm512_madd52hi_epu64(none, lower, all(reciprocal(10, LIMB))), ten);
  __m512i above = _mm512_shldi_epi64(_mm512_sub_epi64(lower, tens), rest, 60);  // the tens; in units of 2^-60
  __m512i middle = _mm512_srlv_epi64(scale, _mm512_sub_epi64(all(5), shift));
  __m512i next_middle = _mm512_sub_epi64(all(TEN), middle);
  lower = _mm512_add_epi64(lower, _mm512_srli_epi64(rest, 63));
  lower = _mm512_mask_mov_epi64(lower, _mm512_cmplt_epu64_mask(above, middle), tens);
  lower = _mm512_mask_add_epi64(lower, _mm512_cmpgt_epu64_mask(above, next_middle), tens, ten);
  ready = _mm512_mask_cmpneq_epu64_mask(ready, above, middle);
  ready = _mm512_mask_cmpneq_epu64_mask(ready, above, next_middle);
  ready = _mm512_mask_cmpneq_epu64_mask(ready, rest, all(uint64_t{1} << 63));

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
  // So many of them, with a comma behind each; `one(out, from)` writes what is not made ready. Up to `end` there is
  // something to read. Uses MAX_NUMBER + 1 bytes for each.
  template <class One>
  FIELDPIPE_WIDE char* write(char* out, const uint8_t* from, uint64_t count, const uint8_t* end, One one) {
    while (count > 0) {
      if (!is_near(from)) {
        if (is_alone(from, count)) return write_alone(out, from, count, one);
        look(from, count, static_cast<uint64_t>(end - from) / sizeof(double));
      }
      uint64_t at = distance(from) / sizeof(double), stop = at + count < size_ ? at + count : size_;
      uint64_t among = static_cast<uint64_t>(__builtin_popcountll(_bzhi_u64(nonzero_, static_cast<uint32_t>(at))));
      count -= stop - at;
      written_ += stop - at;
      from += (stop - at) * sizeof(double);
      while (at < stop) {
        if (nonzero_ >> at & 1) {
          const Eight& eight = eights_[among / Eight::COUNT];
          bool is_ready = eight.ready >> among % Eight::COUNT & 1;
          out = __builtin_expect(is_ready, 1) ? write_ready(out, eight, among % Eight::COUNT) : one(out, from_ + at * sizeof(double));
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
    last_ = from;
    return out;
  }

 private:
  static constexpr uint64_t MOST = 56;      // doubles: fewer than a word has bits
  static constexpr uint64_t TOGETHER = 32;  // of those that are not zero
  static constexpr uint64_t FEW = 4;

  uint64_t distance(const uint8_t* from) const { return reinterpret_cast<uintptr_t>(from) - reinterpret_cast<uintptr_t>(from_); }

  // Whether it was looked at.
  bool is_near(const uint8_t* from) const {
    return distance(from) % sizeof(double) == 0 && distance(from) / sizeof(double) < size_;
  }

  // Whether few are asked for, few were the last time, and these do not follow those: looking ahead finds nothing else.
  bool is_alone(const uint8_t* from, uint64_t count) const { return count < FEW && written_ < FEW && from != last_; }

  template <class One>
  FIELDPIPE_WIDE char* write_alone(char* out, const uint8_t* from, uint64_t count, One one) {
    written_ = count;
    for (; count > 0; --count, from += sizeof(double)) {
      out = one(out, from);
      *out++ = ',';
    }
    last_ = from;
    return out;
  }

  // At `wanted` of `count` doubles and more.
  FIELDPIPE_WIDE void look(const uint8_t* from, uint64_t wanted, uint64_t count) {
    if (count > MOST) count = MOST;
    alignas(64) uint64_t found[TOGETHER + Eight::COUNT] = {};
    uint64_t seen = 0, taken = 0;
    from_ = from;
    written_ = 0;
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
  uint64_t size_ = 0;              // doubles that were looked at and can be written
  uint64_t nonzero_ = 0;           // a bit for each of them
  uint64_t written_ = FEW;         // since then
  const uint8_t* last_ = nullptr;  // behind the last one that was written
};

}  // namespace wide
}  // namespace fieldpipe

#endif
