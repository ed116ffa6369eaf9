// JSON texts (RFC 8259): read as strictly as Python's json does, and written in compact form. The rules are those of
// ../jsonrows.py.
#pragma once

#include <string>

#include "canonical.hpp"
#include "decimals.hpp"
#include "jsonstrings.hpp"
#include "numbers.hpp"
#include "text.hpp"

namespace fieldpipe {

// Reads JSON from one position to the next, so that the position stays in a register. Throws Undecodable.
class JsonText {
 public:
  static constexpr int MAX_NESTING = 128;      // of arrays and objects
  static constexpr size_t MAX_DIGITS = 4300;  // of an integer

 protected:
  using At = const uint8_t*;

  explicit JsonText(At end) : end_(end) {}

  At end() const { return end_; }
  bool is_bad() const { return is_bad_; }  // bytes were found that are not UTF-8

  uint8_t peek(At at) const {
    if (__builtin_expect(at == end_, 0)) throw Undecodable{};
    return *at;
  }

  At space(At at) const {
    while (at != end_ && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
    return at;
  }

  At word(At at, std::string_view text) const {
    if (static_cast<size_t>(end_ - at) < text.size() || std::memcmp(at, text.data(), text.size()) != 0) throw Undecodable{};
    return at + text.size();
  }

  At colon(At at) const {
    at = space(at);
    if (peek(at) != ':') throw Undecodable{};
    return space(at + 1);
  }

  // Reads an array or object: `each(at)` reads an element or member.
  template <class Each>
  At inside(At at, char close, Each each) {
    if (++depth_ > MAX_NESTING) throw Undecodable{};
    at = space(at + 1);
    if (peek(at) != close) {
      while (true) {
        at = space(each(at));
        uint8_t byte = peek(at);
        if (byte != ',') break;
        at = space(at + 1);
      }
      if (*at != close) throw Undecodable{};
    }
    --depth_;
    return at + 1;
  }

  JsonString string(At at) {
    if (peek(at) != '"') throw Undecodable{};
    JsonString found{at + 1, at + 1, 0, false, false};
    found.end = seek_not_plain(found.begin, end_, found.classes);
    while (peek(found.end) != '"') {
      uint8_t classes = CLASSES.of[*found.end];
      if (*found.end == '\\') {
        found.has_escapes = true;
        found.end = seek_not_plain(escape(found.end + 1), end_, found.classes);
      } else if (classes & ESCAPES) {
        throw Undecodable{};
      } else {
        found.classes |= classes;
        ++found.end;
      }
    }
    found.is_bad = (found.classes & BEYOND_ASCII) && !is_utf8(found.begin, found.size());
    is_bad_ |= found.is_bad;
    return found;
  }

  // Writes a value as JSON that is to stand in a cell, its quotes doubled, or only reads it.
  template <bool KEEP>
  At piece(At at, Buffer& out) {
    switch (peek(at)) {
      case '"': return string_piece<KEEP>(at, out);
      case '{': return object<KEEP>(at, out);
      case '[': return array<KEEP>(at, out);
      default: return scalar<KEEP, true>(at, out);
    }
  }

  // Writes a number, true, false or null. Of what is not finite JSON makes strings.
  template <bool KEEP, bool JSON>
  At scalar(At at, Buffer& out) {
    switch (peek(at)) {
      case 't': return constant<KEEP>(at, out, "true", "true");
      case 'f': return constant<KEEP>(at, out, "false", "false");
      case 'n': return constant<KEEP>(at, out, "null", JSON ? "null" : "");
      case 'N': return constant<KEEP>(at, out, "NaN", JSON ? "\"\"nan\"\"" : "nan");
      case 'I': return constant<KEEP>(at, out, "Infinity", JSON ? "\"\"inf\"\"" : "inf");
      default: return number<KEEP, JSON>(at, out);
    }
  }

 private:
  // Returns where an escape ends whose letter is here.
  At escape(At at) const {
    if (peek(at) != 'u') {
      if (unescaped(*at) == 0) throw Undecodable{};
      return at + 1;
    }
    for (int digit = 0; digit < 4; ++digit) {
      if (hex_digit(peek(++at)) > 15) throw Undecodable{};
    }
    return at + 1;
  }

  template <bool KEEP>
  At string_piece(At at, Buffer& out) {
    JsonString found = string(at);
    if (KEEP) put_string(out, found);
    return found.behind();
  }

  template <bool KEEP>
  At array(At at, Buffer& out) {
    char before = '[';
    at = inside(at, ']', [&](At element) {
      if (KEEP) out.put(before);
      before = ',';
      return piece<KEEP>(element, out);
    });
    if (KEEP) before == '[' ? out.put("[]", 2) : out.put(']');
    return at;
  }

  template <bool KEEP>
  At object(At at, Buffer& out) {
    char before = '{';
    at = inside(at, '}', [&](At member) {
      if (KEEP) out.put(before);
      before = ',';
      member = colon(string_piece<KEEP>(member, out));
      if (KEEP) out.put(':');
      return piece<KEEP>(member, out);
    });
    if (KEEP) before == '{' ? out.put("{}", 2) : out.put('}');
    return at;
  }

  template <bool KEEP>
  At constant(At at, Buffer& out, std::string_view text, std::string_view written) {
    if (KEEP) out.put(written.data(), written.size());
    return word(at, text);
  }

  template <bool KEEP, bool JSON>
  At number(At at, Buffer& out) {
    At whole = at + (*at == '-');
    At point = skip_digits(whole, end_);
    size_t digits = static_cast<size_t>(point - whole);
    if (digits == 0 && peek(whole) == 'I') return constant<KEEP>(whole, out, "Infinity", JSON ? "\"\"-inf\"\"" : "-inf");
    if (digits == 0 || (digits > 1 && *whole == '0')) throw Undecodable{};
    bool is_real = point != end_ && (*point == '.' || (*point | 32) == 'e');
    if (is_real) return real<KEEP, JSON>(at, whole, point, out);
    if (digits > MAX_DIGITS) throw Undecodable{};
    if (KEEP) put_number(out, *whole == '0' ? whole : at, point);  // of integers there is no -0
    return point;
  }

  template <bool KEEP, bool JSON>
  At real(At begin, At whole, At point, Buffer& out) {
    At at = *point == '.' ? digits(point + 1) : point;
    bool has_exponent = at != end_ && (*at | 32) == 'e';
    if (has_exponent) at = digits(at + (peek(at + 1) == '+' || at[1] == '-' ? 2 : 1));
    if (!KEEP) return at;
    if (!has_exponent && is_canonical(text(whole), text(point), text(at))) {
      put_number(out, begin, at);
    } else {
      put_double<JSON>(out, begin, at);
    }
    return at;
  }

  static const char* text(At at) { return reinterpret_cast<const char*>(at); }

  At digits(At at) const {
    At end = skip_digits(at, end_);
    if (end == at) throw Undecodable{};
    return end;
  }

  // Numbers are short: a copy of fixed size is quicker than one of just their size.
  void put_number(Buffer& out, At begin, At end) const {
    constexpr ptrdiff_t MOST = 32;
    if (end - begin > MOST || end_ - begin < MOST) {
      out.put(text(begin), static_cast<size_t>(end - begin));
    } else {
      char* to = out.room(MOST);
      std::memcpy(to, begin, MOST);
      out.wrote(to + (end - begin));
    }
  }

  template <bool JSON>
  static void put_double(Buffer& out, At begin, At end) {
    double value = 0;
    parse_double(text(begin), text(end), value);
    out.wrote(write_real(out.room(MAX_NUMBER + 4), value, JSON));
  }

  At end_;
  bool is_bad_ = false;
  int depth_ = 0;
};

}  // namespace fieldpipe
