// CDR and ROS 1 payloads: the plan's instructions run in the order of the payload. The rules are those of
// ../linker.py and ../steps.py.
#pragma once

#include "eights.hpp"
#include "numbers.hpp"
#include "plan.hpp"
#include "text.hpp"

namespace fieldpipe {

// What runs keep between messages, and find besides rows.
struct Workspace {
  Buffer scratch;             // rows of a message whose list is exploded
  std::vector<size_t> marks;  // where each of them ends
  bool has_more = false;      // the payload held members that the schema does not name
  uint64_t escaped = 0;       // texts that held bytes which are not valid

  // Where rows are written that belong to elements of a list.
  Buffer* begin_rows() {
    scratch.clear();
    marks.clear();
    return &scratch;
  }

  // A row ends here.
  void mark() {
    if (marks.size() == MAX_ROWS) throw Undecodable{};
    marks.push_back(scratch.size());
  }
};

constexpr uint64_t MAX_EMPTY = 1024;  // elements that take no bytes

// How a payload is laid out: byte order, widest alignment (1: none), sizes before collections, zero behind strings.
template <bool SWAPPED, uint64_t WIDEST, bool DELIMITERS, bool TERMINATED>
class InOrder {
 public:
  InOrder(const Plan& plan, const uint8_t* payload, size_t size, Buffer& out, Workspace& workspace)
      : plan_(plan), payload_(payload), size_(static_cast<int64_t>(size)), out_(&out), workspace_(workspace) {}

  // Appends the cells, each behind a comma, and returns how many bytes are left. Throws Undecodable.
  int64_t run() {
    cells(plan_.begin(), plan_.end());
    return size_ - at_;
  }

  // What ROWS left in the workspace becomes rows: what is in `out` from `row` on, an element, the cells behind it.
  bool exploded() const { return exploded_; }
  size_t behind_prefix() const { return behind_prefix_; }

 private:
  void cells(const Instruction* at, const Instruction* end) {
    for (; at != end; at = next(at)) {
      switch (at->op) {
        case Op::VALUES: values(*at, true); break;
        case Op::TEXT:
          for (uint64_t left = at->count; left > 0; --left) {
            out_->put(',');
            text<false>(at->kind);
          }
          break;
        case Op::LIST: {
          out_->put(',');
          size_t begin = out_->size();
          out_->put(' ');
          list(at);
          close_json_cell(*out_, begin);
          break;
        }
        case Op::BYTES: bytes(*at, Op::BYTES); break;
        case Op::BASE64: bytes(*at, Op::BASE64); break;
        case Op::ROWS: rows(at); break;
        default: skip(*at);
      }
    }
  }

  void pieces(const Instruction* at, const Instruction* end) {
    for (; at != end; at = next(at)) {
      switch (at->op) {
        case Op::LITERAL: out_->put_padded(plan_.text(*at), at->size); break;
        case Op::VALUES: values(*at, false); break;
        case Op::TEXT:
          for (uint64_t left = at->count; left > 0; --left) text<true>(at->kind);
          break;
        case Op::LIST: list(at); break;
        case Op::BASE64:
          out_->put("\"\"", 2);
          base64(*at);
          out_->put("\"\"", 2);
          break;
        default: skip(*at);
      }
    }
  }

  void skip(const Instruction& instruction) {
    if (instruction.op == Op::DUMMY) at_ += 1;
    if (instruction.op == Op::DELIMITER && DELIMITERS) at_ += (-at_ & 3) + 4;
  }

  void rows(const Instruction* instruction) {
    uint64_t count = length(*instruction);
    behind_prefix_ = out_->size();
    exploded_ = true;
    Buffer* row = out_;
    out_ = workspace_.begin_rows();
    if (count == 0) {
      for (uint32_t cell = 0; cell < instruction->cells; ++cell) out_->put(',');
      workspace_.mark();
    }
    for (; count > 0; --count) {
      cells(instruction + 1, next(instruction));
      workspace_.mark();
    }
    out_ = row;
  }

  void list(const Instruction* instruction) {
    const Instruction* body = instruction + 1;
    const Instruction* end = next(instruction);
    uint64_t count = length(*instruction);
    out_->put('[');
    if (instruction->body == 1 && body->op == Op::VALUES) {
      list_of_values(body->kind, count);
    } else {
      for (uint64_t index = 0; index < count; ++index) {
        if (index > 0) out_->put(',');
        pieces(body, end);
      }
    }
    out_->put(']');
  }

  void list_of_values(Kind kind, uint64_t count) {
    if (count == 0) return;
    need(kind, count);
    constexpr uint64_t BLOCK = 4096;  // values for which room is made at a time
    bool first = true;
    while (count > 0) {
      uint64_t block = count < BLOCK ? count : BLOCK;
      char* to = out_->room(block * (MAX_NUMBER + 1));
      out_->wrote(first ? write(to, kind, block, false, true) : write(to, kind, block, true, true));
      first = false;
      count -= block;
    }
  }

  // Values of the top level (cells, a comma before each) or inside JSON (commas between).
  void values(const Instruction& instruction, bool is_cell) {
    need(instruction.kind, instruction.count);
    char* to = out_->room(instruction.count * (MAX_NUMBER + 1));
    out_->wrote(write(to, instruction.kind, instruction.count, is_cell, !is_cell));
  }

  char* write(char* to, Kind kind, uint64_t count, bool comma, bool json) {
    const uint8_t* from = payload_ + at_;
    at_ += static_cast<int64_t>(count * width(kind));
    auto each = [&](auto one) {
      if (!comma && count > 0) {
        to = one(to, from);
        from += width(kind);
        --count;
      }
      for (; count > 0; --count, from += width(kind)) {
        *to++ = ',';
        to = one(to, from);
      }
      return to;
    };
    switch (kind) {
      case Kind::BOOL:
        return each([](char* out, const uint8_t* in) {
          std::memcpy(out, *in ? "true" : "false", 5);
          return out + (*in ? 4 : 5);
        });
      case Kind::INT8: return each([](char* out, const uint8_t* in) { return write_i64(out, static_cast<int8_t>(*in)); });
      case Kind::UINT8: return each([](char* out, const uint8_t* in) { return write_u64(out, *in); });
      case Kind::INT16: return each([](char* out, const uint8_t* in) { return write_i64(out, load<int16_t>(in)); });
      case Kind::UINT16: return each([](char* out, const uint8_t* in) { return write_u64(out, load<uint16_t>(in)); });
      case Kind::INT32: return each([](char* out, const uint8_t* in) { return write_i64(out, load<int32_t>(in)); });
      case Kind::UINT32: return each([](char* out, const uint8_t* in) { return write_u64(out, load<uint32_t>(in)); });
      case Kind::INT64: return each([](char* out, const uint8_t* in) { return write_i64(out, load<int64_t>(in)); });
      case Kind::UINT64: return each([](char* out, const uint8_t* in) { return write_u64(out, load<uint64_t>(in)); });
      case Kind::TIME: return each([](char* out, const uint8_t* in) { return time(out, load<int32_t>(in), load<uint32_t>(in + 4)); });
      case Kind::ROS1_TIME: return each([](char* out, const uint8_t* in) { return time(out, load<uint32_t>(in), load<uint32_t>(in + 4)); });
      case Kind::ROS1_DURATION: return each([](char* out, const uint8_t* in) { return time(out, load<int32_t>(in), load<int32_t>(in + 4)); });
      case Kind::FLOAT32: return numbers<float>(to, from, count, comma, json);
      case Kind::FLOAT64: return numbers<double>(to, from, count, comma, json);
      default: throw Undecodable{};  // no plan has another kind here
    }
  }

  static char* time(char* out, int64_t seconds, int64_t nanoseconds) {
    return write_i64(out, seconds * 1'000'000'000 + nanoseconds);
  }

  template <class Float>
  char* numbers(char* to, const uint8_t* from, uint64_t count, bool comma, bool json) {
#ifdef FIELDPIPE_WIDE
    if (wide::in_use) return wide_numbers<Float>(to, from, count, comma, json);
#endif
    return any_numbers<Float>(to, from, count, comma, json);
  }

#ifdef FIELDPIPE_WIDE
  // The same; what it calls becomes a part of it, as only what is compiled for the same instructions can.
  template <class Float>
  [[gnu::flatten, gnu::noinline]] FIELDPIPE_WIDE char* wide_numbers(
      char* to, const uint8_t* from, uint64_t count, bool comma, bool json) {
    if constexpr (SWAPPED || sizeof(Float) != sizeof(double)) {
      return any_numbers<Float>(to, from, count, comma, json);
    } else {
      if (count == 0) return to;
      *to = ',';
      to += comma;
      auto one = [json](char* out, const uint8_t* in) FIELDPIPE_WIDE { return write_real(out, load<double>(in), json); };
      return doubles_.write(to, from, count, payload_ + size_, one) - 1;
    }
  }
#endif

  // Covariances and ranges are full of zeros, so four of them are written at once.
  template <class Float>
  static char* any_numbers(char* to, const uint8_t* from, uint64_t count, bool comma, bool json) {
    constexpr uint64_t FOUR = 4;
    if (count == 0) return to;
    *to = ',';
    to += comma;
    while (count > 0) {
      uint64_t taken = 1;
      if (count >= FOUR && are_zeros<FOUR * sizeof(Float)>(from)) {
        std::memcpy(to, "0.0,0.0,0.0,0.0,", 16);
        to += 16;
        taken = FOUR;
      } else {
        to = write_real(to, load<Float>(from), json);
        *to++ = ',';
      }
      count -= taken;
      from += taken * sizeof(Float);
    }
    return to - 1;
  }

  // Whether all bits of so many bytes are zero.
  template <size_t SIZE>
  static bool are_zeros(const uint8_t* from) {
    uint64_t words[SIZE / 8], all = 0;
    std::memcpy(words, from, SIZE);
    for (uint64_t word : words) all |= word;
    return all == 0;
  }

  template <class Value>
  static Value load(const uint8_t* from) {
    Value value;
    if constexpr (SWAPPED) {
      uint8_t turned[sizeof value];
      for (size_t at = 0; at < sizeof value; ++at) turned[at] = from[sizeof value - 1 - at];
      std::memcpy(&value, turned, sizeof value);
    } else {
      std::memcpy(&value, from, sizeof value);
    }
    return value;
  }

  // Moves to where values of this kind are aligned; there must be `count` of them.
  void need(Kind kind, uint64_t count) {
    uint64_t size = width(kind);
    bool halves = kind == Kind::TIME || kind == Kind::ROS1_TIME || kind == Kind::ROS1_DURATION;
    uint64_t alignment = halves ? 4 : size;
    if (alignment > WIDEST) alignment = WIDEST;
    at_ += -at_ & static_cast<int64_t>(alignment - 1);
    if (at_ > size_ || count > static_cast<uint64_t>(size_ - at_) / size) throw Undecodable{};
  }

  uint32_t u32() {
    if (WIDEST > 1) at_ += -at_ & 3;
    if (at_ + 4 > size_) throw Undecodable{};
    uint32_t value = load<uint32_t>(payload_ + at_);
    at_ += 4;
    return value;
  }

  // The number of elements; refuses what the payload cannot hold.
  uint64_t length(const Instruction& instruction) {
    uint64_t count = instruction.count;
    if (count == ANY) {
      count = u32();
      if (instruction.bound != ANY && count > instruction.bound) throw Undecodable{};
    }
    int64_t left = size_ - at_;
    if (left < 0) throw Undecodable{};
    if (instruction.least > 0 ? count > static_cast<uint64_t>(left) / instruction.least : count > MAX_EMPTY) {
      throw Undecodable{};
    }
    return count;
  }

  void bytes(const Instruction& instruction, Op op) {
    out_->put(',');
    if (op == Op::BASE64) return base64(instruction);
    at_ += static_cast<int64_t>(length(instruction));
  }

  void base64(const Instruction& instruction) {
    uint64_t count = length(instruction);
    put_base64(*out_, payload_ + at_, count);
    at_ += static_cast<int64_t>(count);
  }

  template <bool JSON>
  void put(const uint8_t* text, size_t size) {
    bool bad = JSON ? put_json(*out_, text, size) : put_cell(*out_, text, size, plan_.formula_safe);
    workspace_.escaped += bad;
  }

  template <bool JSON>
  void text(Kind kind) {
    uint32_t size = u32();
    if (kind == Kind::WSTRING) return wide<JSON>(size);
    if (size > static_cast<uint64_t>(size_ - at_)) throw Undecodable{};
    const uint8_t* begin = payload_ + at_;
    at_ += size;
    if (TERMINATED && size > 0 && begin[--size] != 0) throw Undecodable{};
    put<JSON>(begin, size);
  }

  // XCDR1: `size` characters of four bytes; XCDR2: `size` bytes of UTF-16. Halves of pairs may stand in either.
  template <bool JSON>
  void wide(uint32_t size) {
    constexpr uint32_t UNIT = DELIMITERS ? 2 : 4;
    if (DELIMITERS && size % 2 != 0) throw Undecodable{};
    uint64_t count = DELIMITERS ? size / 2 : size;
    if (count > static_cast<uint64_t>(size_ - at_) / UNIT) throw Undecodable{};
    std::string text;
    bool bad = false;
    uint32_t high = 0;  // the first half of a pair whose second is still to come
    auto lone = [&](uint32_t half) {  // its two bytes, as Python escapes them
      char escaped[] = "\\x00\\x00";
      hex(escaped + 2, half & 0xFF);
      hex(escaped + 6, half >> 8);
      text += escaped;
      bad = true;
    };
    for (uint64_t index = 0; index < count; ++index, at_ += UNIT) {
      uint32_t unit = DELIMITERS ? load<uint16_t>(payload_ + at_) : load<uint32_t>(payload_ + at_);
      if (unit > 0x10FFFF) throw Undecodable{};
      if (high != 0 && (unit & 0xFFFFFC00) == 0xDC00) {
        append(text, 0x10000 + ((high & 0x3FF) << 10) + (unit & 0x3FF));
        high = 0;
        continue;
      }
      if (high != 0) lone(high);
      high = (unit & 0xFFFFFC00) == 0xD800 ? unit : 0;
      if (high != 0) continue;
      if ((unit & 0xFFFFFC00) == 0xDC00) {
        lone(unit);
      } else {
        append(text, unit);
      }
    }
    if (high != 0) lone(high);
    workspace_.escaped += bad;
    put<JSON>(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }

  static void append(std::string& text, uint32_t character) {
    put_utf8(character, [&](uint8_t byte) { text += static_cast<char>(byte); });
  }

  const Plan& plan_;
  const uint8_t* payload_;
  int64_t size_;
  int64_t at_ = 0;  // may lie behind the end: whoever reads there throws
  Buffer* out_;
  Workspace& workspace_;
  bool exploded_ = false;
  size_t behind_prefix_ = 0;
#ifdef FIELDPIPE_WIDE
  wide::Ahead doubles_;
#endif
};

}  // namespace fieldpipe
