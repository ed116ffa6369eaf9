// Texts: a growing buffer, and what CSV (RFC 4180) and JSON (RFC 8259) ask of strings.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fieldpipe {

constexpr size_t MAX_ROW = 64 << 20;    // bytes of text that one message may make
constexpr size_t MAX_ROWS = 1'000'000;  // that one message may make

constexpr size_t PADDING = 32;  // bytes behind a text that may be read, whatever they are

// A payload is not what its schema says, or makes more than MAX_ROW bytes of text or MAX_ROWS rows.
struct Undecodable {};

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  // Room for `size` more bytes; what is written there counts once `wrote` is told its end.
  char* room(size_t size) {
    if (__builtin_expect(size > capacity_ - size_, 0)) grow(size);
    return data_ + size_;
  }
  void wrote(const char* end) { size_ = static_cast<size_t>(end - data_); }
  void put(char byte) {
    *room(1) = byte;
    ++size_;
  }
  void put(const char* text, size_t size) {
    std::memcpy(room(size), text, size);
    size_ += size;
  }
  // The same of a text behind which there is PADDING: most are copied in a size that the compiler knows, without a call.
  void put_padded(const char* text, size_t size) {
    char* to = room(size + PADDING);
    std::memcpy(to, text, PADDING);
    if (size > PADDING) std::memcpy(to + PADDING, text + PADDING, size - PADDING);
    size_ += size;
  }
  void begin_row() { row_ = size_; }
  void cut(size_t size) { size_ = size; }
  void clear() { size_ = row_ = 0; }
  char* data() { return data_; }
  size_t size() const { return size_; }
  size_t row() const { return row_; }

 private:
  void grow(size_t size) {
    // Early and roughly, so that no message takes all memory: whoever asks for room asks for the worst case, and the
    // times in front of the cells do not count. What is just too much is found at the row's end.
    if (size_ - row_ > MAX_ROW + 128) throw Undecodable{};
    size_t wanted = capacity_ + capacity_ / 2 > size_ + size ? capacity_ + capacity_ / 2 : size_ + size + 4096;
    void* made = std::realloc(data_, wanted);
    if (made == nullptr) throw std::bad_alloc{};
    data_ = static_cast<char*>(made);
    capacity_ = wanted;
  }

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t row_ = 0;  // where the message begins that is being written
};

// What the bytes of a text need.
enum : uint8_t {
  QUOTES = 1,      // , " CR LF: the cell stands in quotes
  ESCAPES = 2,     // " \ and control characters: escaped in JSON
  BEYOND_ASCII = 4,
};

struct ByteClasses {
  uint8_t of[256];
  constexpr ByteClasses() : of() {
    for (int byte = 0; byte < 256; ++byte) {
      bool quotes = byte == ',' || byte == '"' || byte == '\n' || byte == '\r';
      bool escapes = byte == '"' || byte == '\\' || byte < 0x20;
      of[byte] = static_cast<uint8_t>((quotes ? QUOTES : 0) | (escapes ? ESCAPES : 0) | (byte > 0x7F ? BEYOND_ASCII : 0));
    }
  }
};
inline constexpr ByteClasses CLASSES;

// Whether one of eight bytes is in a class.
inline bool has_special(const uint8_t* text) {
  constexpr uint64_t EACH = 0x0101010101010101, TOP = 0x80 * EACH;
  uint64_t word;
  std::memcpy(&word, text, sizeof word);
  auto has_zero = [](uint64_t bytes) { return (bytes - EACH) & ~bytes; };  // in the top bit of that byte
  uint64_t controls = (word - 0x20 * EACH) & ~word;
  return (word | controls | has_zero(word ^ ',' * EACH) | has_zero(word ^ '"' * EACH) | has_zero(word ^ '\\' * EACH)) & TOP;
}

inline uint8_t classes_of(const uint8_t* text, size_t size) {
  uint8_t found = 0;
  if (size >= 8) {
    bool special = has_special(text + size - 8);
    for (size_t at = 0; at + 8 < size; at += 8) special |= has_special(text + at);
    if (!special) return 0;
  }
  for (size_t at = 0; at < size; ++at) found |= CLASSES.of[text[at]];
  return found;
}

// The length of the UTF-8 character at `text` (RFC 3629: no surrogates, shortest form), 0 if there is none.
inline size_t character(const uint8_t* text, size_t left) {
  auto follows = [&](size_t at) { return (text[at] & 0xC0) == 0x80; };
  uint8_t lead = text[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return left > 1 && follows(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !follows(1) || !follows(2)) return 0;
    if (lead == 0xE0 && text[1] < 0xA0) return 0;
    return lead == 0xED && text[1] > 0x9F ? 0 : 3;
  }
  if (lead > 0xF4 || left < 4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (lead == 0xF0 && text[1] < 0x90) return 0;
  return lead == 0xF4 && text[1] > 0x8F ? 0 : 4;
}

inline bool is_utf8(const uint8_t* text, size_t size) {
  for (size_t at = 0; at < size;) {
    size_t length = character(text + at, size - at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

inline char* hex(char* out, unsigned byte) {
  constexpr char DIGITS[] = "0123456789abcdef";
  *out++ = DIGITS[byte >> 4];
  *out++ = DIGITS[byte & 15];
  return out;
}

// Calls `one(byte)` for every byte of valid text, and `bad(byte)` for the others.
template <class One, class Bad>
void each_byte(const uint8_t* text, size_t size, One one, Bad bad) {
  for (size_t at = 0; at < size;) {
    size_t length = character(text + at, size - at);
    if (length == 0) bad(text[at++]);
    for (; length > 0; --length) one(text[at++]);
  }
}

// Calls `one(byte)` for the bytes of a character in UTF-8.
template <class One>
void put_utf8(uint32_t character, One one) {
  auto add = [&](uint32_t byte) { one(static_cast<uint8_t>(byte)); };
  if (character < 0x80) return add(character);
  if (character < 0x800) {
    add(0xC0 | character >> 6);
  } else if (character < 0x10000) {
    add(0xE0 | character >> 12);
    add(0x80 | (character >> 6 & 63));
  } else {
    add(0xF0 | character >> 18);
    add(0x80 | (character >> 12 & 63));
    add(0x80 | (character >> 6 & 63));
  }
  add(0x80 | (character & 63));
}

// A spreadsheet takes such a cell for a formula.
inline bool is_formula(uint8_t first) {
  return first == '=' || first == '+' || first == '-' || first == '@' || first == '\t' || first == '\r';
}

// Appends a text as a CSV cell; bytes that are not UTF-8 become \xNN. Returns whether there were any.
inline bool put_cell(Buffer& out, const uint8_t* text, size_t size, bool formula_safe) {
  uint8_t found = classes_of(text, size);
  bool defused = formula_safe && size > 0 && is_formula(text[0]);
  if ((found & (QUOTES | BEYOND_ASCII)) == 0) {
    char* to = out.room(size + 1);
    if (defused) *to++ = '\'';
    std::memcpy(to, text, size);
    out.wrote(to + size);
    return false;
  }
  bool bad_bytes = (found & BEYOND_ASCII) && !is_utf8(text, size);
  char* to = out.room((bad_bytes ? 4 : 2) * size + 3);
  bool quotes = found & QUOTES;
  if (quotes) *to++ = '"';
  if (defused) *to++ = '\'';
  auto one = [&](uint8_t byte) {
    if (byte == '"') *to++ = '"';
    *to++ = static_cast<char>(byte);
  };
  auto bad = [&](uint8_t byte) {
    *to++ = '\\';
    *to++ = 'x';
    to = hex(to, byte);
  };
  if (bad_bytes) {
    each_byte(text, size, one, bad);
  } else {
    for (size_t at = 0; at < size; ++at) one(text[at]);
  }
  if (quotes) *to++ = '"';
  out.wrote(to);
  return bad_bytes;
}

// A byte of a JSON string; its quotes are doubled too.
inline char* json_byte(char* to, uint8_t byte) {
  if ((CLASSES.of[byte] & ESCAPES) == 0) {
    *to++ = static_cast<char>(byte);
    return to;
  }
  *to++ = '\\';
  switch (byte) {
    case '\n': *to++ = 'n'; return to;
    case '\r': *to++ = 'r'; return to;
    case '\t': *to++ = 't'; return to;
    case '\f': *to++ = 'f'; return to;
    case '\b': *to++ = 'b'; return to;
    case '\\': *to++ = '\\'; return to;
    case '"': *to++ = '"'; *to++ = '"'; return to;
    default: *to++ = 'u'; *to++ = '0'; *to++ = '0'; return hex(to, byte);
  }
}

// A byte that is not UTF-8, in a JSON string.
inline char* json_bad_byte(char* to, uint8_t byte) {
  std::memcpy(to, "\\\\x", 3);
  return hex(to + 3, byte);
}

// A quote of JSON. There are two: a cell that holds one stands in quotes itself.
inline char* write_quote(char* to) {
  *to++ = '"';
  *to++ = '"';
  return to;
}

// Appends a text as a JSON string, its quotes doubled; bytes that are not UTF-8 become \\xNN. Returns whether there were any.
inline bool put_json(Buffer& out, const uint8_t* text, size_t size) {
  uint8_t found = classes_of(text, size);
  bool bad_bytes = (found & BEYOND_ASCII) && !is_utf8(text, size);
  char* to = out.room(((found & ESCAPES) || bad_bytes ? 6 : 1) * size + 4);
  to = write_quote(to);
  if ((found & ESCAPES) == 0 && !bad_bytes) {
    std::memcpy(to, text, size);
    to += size;
  } else {
    each_byte(
        text, size, [&](uint8_t byte) { to = json_byte(to, byte); }, [&](uint8_t byte) { to = json_bad_byte(to, byte); });
  }
  out.wrote(write_quote(to));
  return bad_bytes;
}

// Makes a CSV cell of the JSON behind `begin`, where one byte was left free for a quote.
inline void close_json_cell(Buffer& out, size_t begin) {
  char* text = out.data() + begin + 1;
  size_t size = out.size() - begin - 1;
  if (std::memchr(text, ',', size) == nullptr && std::memchr(text, '"', size) == nullptr) {
    std::memmove(text - 1, text, size);
    out.cut(begin + size);
    return;
  }
  text[-1] = '"';
  out.put('"');
}

// Appends bytes in base64 (RFC 4648, section 4), without quotes.
inline void put_base64(Buffer& out, const uint8_t* bytes, size_t size) {
  constexpr char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char* to = out.room((size + 2) / 3 * 4);
  for (; size >= 3; size -= 3, bytes += 3) {
    uint32_t three = static_cast<uint32_t>(bytes[0]) << 16 | static_cast<uint32_t>(bytes[1]) << 8 | bytes[2];
    for (int shift = 18; shift >= 0; shift -= 6) *to++ = DIGITS[three >> shift & 63];
  }
  if (size > 0) {
    uint32_t rest = static_cast<uint32_t>(bytes[0]) << 16 | (size > 1 ? static_cast<uint32_t>(bytes[1]) << 8 : 0);
    *to++ = DIGITS[rest >> 18 & 63];
    *to++ = DIGITS[rest >> 12 & 63];
    *to++ = size > 1 ? DIGITS[rest >> 6 & 63] : '=';
    *to++ = '=';
  }
  out.wrote(to);
}

}  // namespace fieldpipe
