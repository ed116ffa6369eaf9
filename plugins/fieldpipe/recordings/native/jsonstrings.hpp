// Strings of JSON: where they end, what they stand for, how they are written. And digits, which end likewise.
#pragma once

#include <string>
#include <string_view>

#include "digits.hpp"
#include "text.hpp"

namespace fieldpipe {

// What stands between the quotes of a string.
struct JsonString {
  const uint8_t* begin;
  const uint8_t* end;
  uint8_t classes;   // of its bytes, see CLASSES
  bool has_escapes;
  bool is_bad;       // holds bytes that are not UTF-8

  size_t size() const { return static_cast<size_t>(end - begin); }
  std::string_view text() const { return {reinterpret_cast<const char*>(begin), size()}; }
  const uint8_t* behind() const { return end + 1; }
};

// Eight bytes at a time: the highest bit is set of the first byte that is of some kind. What is set above means nothing.
constexpr uint64_t ONES = 0x0101010101010101, HIGHEST = 0x8080808080808080;

inline uint64_t load_word(const uint8_t* text) {
  uint64_t word;
  std::memcpy(&word, text, sizeof word);
  return word;
}

inline uint64_t equal_to(uint64_t text, char byte) {
  uint64_t difference = text ^ ONES * static_cast<uint8_t>(byte);
  return (difference - ONES) & ~difference & HIGHEST;
}

inline uint64_t no_digits(uint64_t text) {
  uint64_t digits = text ^ ZEROS;
  return (digits | (digits + 0x76 * ONES)) & HIGHEST;
}

// What ends the plain part of a string: quotes, backslashes, control characters.
inline uint64_t not_plain(uint64_t text) {
  uint64_t control = (text - 0x20 * ONES) & ~text & HIGHEST;
  return control | equal_to(text, '"') | equal_to(text, '\\');
}

// Goes to the first byte of a kind, eight at a time as far as that goes.
template <class Kind>
const uint8_t* seek(const uint8_t* at, const uint8_t* end, Kind kind) {
  for (; end - at >= 8; at += 8) {
    uint64_t found = kind(load_word(at));
    if (found != 0) return at + __builtin_ctzll(found) / 8;
  }
  return at;
}

// The same for what ends the plain part of a string; adds the classes of the bytes before.
inline const uint8_t* seek_not_plain(const uint8_t* at, const uint8_t* end, uint8_t& classes) {
  uint64_t high = 0, commas = 0, found = 0;
  for (; end - at >= 8 && found == 0; at += 8) {
    uint64_t text = load_word(at);
    found = not_plain(text);
    uint64_t before = (found & -found) - 1;  // all if nothing was found
    high |= text & HIGHEST & before;
    commas |= equal_to(text, ',') & before;
  }
  if (high != 0) classes |= BEYOND_ASCII;
  if (commas != 0) classes |= QUOTES;
  return found == 0 ? at : at - 8 + __builtin_ctzll(found) / 8;
}

inline bool is_digit(uint8_t byte) { return static_cast<uint8_t>(byte - '0') < 10; }

inline const uint8_t* skip_digits(const uint8_t* at, const uint8_t* end) {
  at = seek(at, end, no_digits);
  while (at != end && is_digit(*at)) ++at;
  return at;
}

inline uint32_t hex_digit(uint8_t digit) {
  if (is_digit(digit)) return digit - '0';
  uint32_t letter = (digit | 32u) - 'a';
  return letter < 6 ? letter + 10 : 16;
}

inline uint32_t utf16(const uint8_t* digits) {
  return hex_digit(digits[0]) << 12 | hex_digit(digits[1]) << 8 | hex_digit(digits[2]) << 4 | hex_digit(digits[3]);
}

// The character of an escape; 0 if there is none.
inline uint8_t unescaped(uint8_t letter) {
  switch (letter) {
    case '"': case '\\': case '/': return letter;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
  }
}

// Calls `one(byte)` for the bytes of UTF-8 that \uXXXX at `at` stands for, together with a second one that completes a
// pair, or `half(unit)` for half a pair. Returns where that ends.
template <class One, class Half>
const uint8_t* resolve_unicode(const uint8_t* at, const uint8_t* end, One one, Half half) {
  uint32_t first = utf16(at + 2);
  at += 6;
  if ((first & 0xF800) != 0xD800) {
    put_utf8(first, one);
    return at;
  }
  bool is_high = (first & 0x400) == 0;
  uint32_t second = is_high && end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? utf16(at + 2) : 0;
  if ((second & 0xFC00) != 0xDC00) {
    half(first);
    return at;
  }
  put_utf8(0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF), one);
  return at + 6;
}

// Calls `one(byte)` for every byte of UTF-8 that a string stands for, `bad(byte)` for bytes that are none, and
// `half(unit)` for halves of surrogate pairs.
template <class One, class Bad, class Half>
void resolve(const JsonString& string, One one, Bad bad, Half half) {
  const uint8_t* at = string.begin;
  while (at != string.end) {
    const void* found = std::memchr(at, '\\', static_cast<size_t>(string.end - at));
    const uint8_t* escape = found == nullptr ? string.end : static_cast<const uint8_t*>(found);
    each_byte(at, static_cast<size_t>(escape - at), one, bad);
    at = escape;
    if (at == string.end) return;
    if (at[1] == 'u') {
      at = resolve_unicode(at, string.end, one, half);
    } else {
      one(unescaped(at[1]));
      at += 2;
    }
  }
}

inline char* escape_half(char* to, uint32_t half) {
  *to++ = '\\';
  *to++ = 'u';
  return hex(hex(to, half >> 8), half & 0xFF);
}

// What a string stands for, as plain text in which the invalid is escaped; `space` may hold it.
inline std::string_view resolved(const JsonString& string, std::string& space) {
  if (!string.has_escapes && !string.is_bad) return string.text();
  space.resize(4 * string.size());
  char* to = space.data();
  resolve(
      string, [&](uint8_t byte) { *to++ = static_cast<char>(byte); },
      [&](uint8_t byte) {
        std::memcpy(to, "\\x", 2);
        to = hex(to + 2, byte);
      },
      [&](uint32_t half) { to = escape_half(to, half); });
  return {space.data(), static_cast<size_t>(to - space.data())};
}

// Appends a string of JSON as JSON whose quotes are doubled.
inline void put_string(Buffer& out, const JsonString& string) {
  bool is_plain = !string.has_escapes && !string.is_bad;
  char* to = write_quote(out.room((is_plain ? 1 : 6) * string.size() + 4));
  if (is_plain) {
    std::memcpy(to, string.begin, string.size());
    to += string.size();
  } else {
    resolve(
        string, [&](uint8_t byte) { to = json_byte(to, byte); }, [&](uint8_t byte) { to = json_bad_byte(to, byte); },
        [&](uint32_t half) { to = escape_half(to, half); });
  }
  out.wrote(write_quote(to));
}

}  // namespace fieldpipe
