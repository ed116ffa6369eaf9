// Protobuf payloads: the fields of a message are found in whatever order they come, then its cells are written in the
// plan's order. The rules are those of ../protorows.py and ../protowire.py.
#pragma once

#include "cdr.hpp"
#include "messages.hpp"
#include "numbers.hpp"
#include "text.hpp"

namespace fieldpipe {

constexpr uint32_t MAX_NESTING = 100;   // messages around a message
constexpr uint32_t MAX_PIECES = 1 << 20;  // that fields of a payload come in, when they come again with others between

// A part of the payload: the content of a message, or occurrences of a list one behind the other, numbers included.
struct Piece {
  const uint8_t* begin;
  const uint8_t* end;
  uint32_t next;  // 0: the last one
};

// What was found of a field.
struct Slot {
  const uint8_t* begin;  // null: it is absent
  union {
    const uint8_t* end;
    uint64_t bits;  // of a number
  };
  uint32_t next;  // further pieces of a message or list
  uint32_t last;
};

// What runs keep between messages.
struct Finds {
  std::vector<Slot> slots;  // those in use: of the message that is being written, and of the ones around it
  size_t used = 0;
  std::vector<Piece> pieces;

  size_t open(size_t count) {
    if (used + count > slots.size()) slots.resize(2 * (used + count));
    std::fill_n(slots.begin() + static_cast<ptrdiff_t>(used), count, Slot{});
    return (used += count) - count;
  }
};

class ByNumber {
 public:
  ByNumber(const Plan& plan, const uint8_t* payload, size_t size, Buffer& out, Workspace& workspace, Finds& finds)
      : plan_(plan), payload_{payload, payload + size, 0}, out_(&out), workspace_(workspace), finds_(finds) {}

  // Appends the cells, each behind a comma. Throws Undecodable.
  void run() {
    finds_.used = 0;
    finds_.pieces.assign(1, Piece{});
    fields(plan_.messages->root(), payload_, 0, [&](const Member& member, const Slot& slot) { cell(member, slot, 0); });
  }

  // As in InOrder.
  bool exploded() const { return exploded_; }
  size_t behind_prefix() const { return behind_prefix_; }

 private:
  // Finds the fields of a message and calls `each(member, slot)` in the plan's order.
  template <class Each>
  void fields(const Message& message, Piece piece, uint32_t depth, Each each) {
    size_t base = finds_.open(message.slots);
    each_piece(piece, [&](const uint8_t* begin, const uint8_t* end) { find(message, finds_.slots.data() + base, begin, end, depth); });
    for (size_t at = 0; at < message.members.size(); ++at) {
      Slot slot = finds_.slots[base + at];  // a copy: what is called makes the vector grow
      each(message.members[at], slot);
    }
    finds_.used = base;
  }

  // cells of the top level

  void cell(const Member& member, const Slot& slot, uint32_t depth) {
    if (member.rows) return rows(member, slot, depth);
    if (member.repeated) return json_cell([&] { list(member, slot, depth); });
    if (member.optional && slot.begin == nullptr) return commas(member.cells);
    value(member, slot, depth);
  }

  void value(const Member& member, const Slot& slot, uint32_t depth) {
    if (member.held == Held::MESSAGE && member.flat) {
      return fields(*member.message, piece(slot), depth + 1, [&](const Member& inner, const Slot& found) { cell(inner, found, depth + 1); });
    }
    switch (member.held) {
      case Held::MESSAGE: return json_cell([&] { object(*member.message, piece(slot), depth + 1); });
      case Held::BYTES: return json_cell([&] { bytes(slot); });
      default: out_->put(',');
    }
    switch (member.held) {
      case Held::NUMBER: return number<false>(member, slot.bits);
      case Held::TIME: return time(piece(slot), depth + 1);
      case Held::TEXT: workspace_.escaped += put_cell(*out_, begin(slot), size(slot), plan_.formula_safe); break;
      case Held::BASE64: put_base64(*out_, begin(slot), size(slot)); break;
      default: break;  // FILE: the readable decoder gives the bytes
    }
  }

  template <class Write>
  void json_cell(Write write) {
    out_->put(',');
    size_t begin = out_->size();
    out_->put(' ');
    write();
    close_json_cell(*out_, begin);
  }

  void commas(uint32_t count) {
    char* to = out_->room(count);
    std::memset(to, ',', count);
    out_->wrote(to + count);
  }

  void rows(const Member& member, const Slot& slot, uint32_t depth) {
    behind_prefix_ = out_->size();
    exploded_ = true;
    Buffer* row = out_;
    out_ = &workspace_.scratch;
    out_->clear();
    workspace_.marks.clear();
    each_element(member, slot, [&](const Slot& element) {
      value(member, element, depth);
      workspace_.marks.push_back(out_->size());
    });
    if (workspace_.marks.empty()) {
      commas(member.cells);
      workspace_.marks.push_back(out_->size());
    }
    out_ = row;
  }

  // inside JSON

  void list(const Member& member, const Slot& slot, uint32_t depth) {
    out_->put('[');
    bool first = true;
    each_element(member, slot, [&](const Slot& element) {
      if (!first) out_->put(',');
      first = false;
      json(member, element, depth);
    });
    out_->put(']');
  }

  void object(const Message& message, Piece piece, uint32_t depth) {
    out_->put('{');
    fields(message, piece, depth, [&](const Member& member, const Slot& slot) {
      name(message.names.data() + member.name, member.name_size);
      if (member.repeated) return list(member, slot, depth);
      if (member.optional && slot.begin == nullptr) return out_->put("null", 4);
      json(member, slot, depth);
    });
    out_->put('}');
  }

  void name(const char* from, size_t size) {
    char* to = out_->room(size + SHORT_NAME);
    std::memcpy(to, from, SHORT_NAME);  // of a size that the compiler knows: no call
    if (size > SHORT_NAME) std::memcpy(to + SHORT_NAME, from + SHORT_NAME, size - SHORT_NAME);
    out_->wrote(to + size);
  }

  void json(const Member& member, const Slot& slot, uint32_t depth) {
    switch (member.held) {
      case Held::NUMBER: return number<true>(member, slot.bits);
      case Held::TIME: return time(piece(slot), depth + 1);
      case Held::TEXT: workspace_.escaped += put_json(*out_, begin(slot), size(slot)); break;
      case Held::MESSAGE: return object(*member.message, piece(slot), depth + 1);
      case Held::BASE64:
        out_->put("\"\"", 2);
        put_base64(*out_, begin(slot), size(slot));
        return out_->put("\"\"", 2);
      default: return bytes(slot);
    }
  }

  // values

  template <bool JSON>
  void number(const Member& member, uint64_t bits) {
    char* to = out_->room(MAX_NUMBER);
    out_->wrote(write<JSON>(to, member, bits));
  }

  // Numbers of 32 bits may come with more: those do not count.
  template <bool JSON>
  static char* write(char* to, const Member& member, uint64_t bits) {
    uint32_t half = static_cast<uint32_t>(bits);
    switch (member.kind) {
      case Kind::BOOL:
        std::memcpy(to, bits != 0 ? "true" : "false", 5);
        return to + (bits != 0 ? 4 : 5);
      case Kind::INT32: return write_i64(to, static_cast<int32_t>(member.zigzag ? half >> 1 ^ (~(half & 1) + 1) : half));
      case Kind::INT64: return write_i64(to, static_cast<int64_t>(member.zigzag ? bits >> 1 ^ (~(bits & 1) + 1) : bits));
      case Kind::UINT32: return write_u64(to, half);
      case Kind::UINT64: return write_u64(to, bits);
      case Kind::FLOAT32: return write_real<JSON>(to, cast<float>(half));
      default: return write_real<JSON>(to, cast<double>(bits));
    }
  }

  template <class Float, class Bits>
  static Float cast(Bits bits) {
    static_assert(sizeof(Float) == sizeof bits);
    Float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  template <bool JSON, class Float>
  static char* write_real(char* to, Float value) {
    bool quotes = JSON && !std::isfinite(value);
    if (quotes) to = write_quote(to);
    to = write_float(to, value);
    return quotes ? write_quote(to) : to;
  }

  // A JSON list of their numbers.
  void bytes(const Slot& slot) {
    constexpr size_t BLOCK = 4096;  // bytes for which room is made at a time
    out_->put('[');
    for (const uint8_t* at = slot.begin; at != slot.begin + size(slot);) {
      size_t block = std::min<size_t>(BLOCK, static_cast<size_t>(slot.end - at));
      char* to = out_->room(4 * block + MAX_NUMBER);
      for (const uint8_t* stop = at + block; at < stop; ++at) {
        if (at != slot.begin) *to++ = ',';
        to = write_u64(to, *at);
      }
      out_->wrote(to);
    }
    out_->put(']');
  }

  // google.protobuf.Timestamp and Duration: int64 seconds = 1, int32 nanos = 2.
  void time(Piece piece, uint32_t depth) {
    uint64_t parts[3] = {};
    each_piece(piece, [&](const uint8_t* at, const uint8_t* end) {
      if (depth > MAX_NESTING) throw Undecodable{};
      while (at < end) {
        uint32_t tag = short_varint(at, end);
        if (tag == (1 << 3 | VARINT) || tag == (2 << 3 | VARINT)) {
          parts[tag >> 3] = varint(at, end);
        } else {
          skip(tag, at, end, depth);
          workspace_.has_more = true;
        }
      }
    });
    char* to = out_->room(MAX_NUMBER);
    out_->wrote(write_time(to, static_cast<int64_t>(parts[1]), static_cast<int32_t>(parts[2])));
  }

  static char* write_time(char* to, int64_t seconds, int32_t nanoseconds) {
    constexpr int64_t SECOND = 1'000'000'000;
    int64_t time;
    if (!__builtin_mul_overflow(seconds, SECOND, &time) && !__builtin_add_overflow(time, nanoseconds, &time)) {
      return write_i64(to, time);
    }
    using Wide = __int128;  // beyond the year 2262
    Wide wide = Wide{seconds} * SECOND + nanoseconds;
    if (wide < 0) *to++ = '-';
    if (wide < 0) wide = -wide;
    constexpr Wide HIGH = Wide{SECOND} * SECOND;
    to = write_u64(to, static_cast<uint64_t>(wide / HIGH));
    uint64_t low = static_cast<uint64_t>(wide % HIGH);
    for (int digit = 17; digit >= 0; --digit, low /= 10) to[digit] = static_cast<char>('0' + low % 10);
    return to + 18;
  }

  // what was found

  static Piece piece(const Slot& slot) { return {slot.begin, slot.end, slot.next}; }
  // Of what is absent there are no bytes, but somewhere they must be.
  static const uint8_t* begin(const Slot& slot) { return slot.begin != nullptr ? slot.begin : reinterpret_cast<const uint8_t*>(""); }
  static size_t size(const Slot& slot) { return slot.begin == nullptr ? 0 : static_cast<size_t>(slot.end - slot.begin); }

  template <class Each>
  void each_piece(Piece piece, Each each) {
    if (piece.begin == nullptr) return;
    each(piece.begin, piece.end);
    while (piece.next != 0) {
      piece = finds_.pieces[piece.next];
      each(piece.begin, piece.end);
    }
  }

  // Calls `each(slot)` for every element of a list.
  template <class Each>
  void each_element(const Member& member, const Slot& slot, Each each) {
    each_piece(piece(slot), [&](const uint8_t* at, const uint8_t* end) {
      while (at < end) {
        uint32_t tag = short_varint(at, end);
        Slot element{};
        element.begin = at;
        if (member.held != Held::NUMBER) {
          Piece content = content_at(tag, at, end, 0);
          element.begin = content.begin;
          element.end = content.end;
        } else if ((tag & 7) != LENGTH) {
          element.bits = number_at(tag, at, end);
        } else {
          packed(member, content_at(tag, at, end, 0), each);
          continue;
        }
        each(element);
      }
    });
  }

  template <class Each>
  static void packed(const Member& member, Piece numbers, Each each) {
    const uint8_t* at = numbers.begin;
    const uint8_t* end = numbers.end;
    Slot element{};
    element.begin = at;
    while (at < end) {
      if (member.accepts >> VARINT & 1) {
        element.bits = varint(at, end);
      } else {
        element.bits = member.accepts >> FIXED64 & 1 ? fixed<uint64_t>(at, end) : fixed<uint32_t>(at, end);
      }
      each(element);
    }
  }

  // finding

  void find(const Message& message, Slot* slots, const uint8_t* at, const uint8_t* end, uint32_t depth) {
    if (depth > MAX_NESTING) throw Undecodable{};
    const Member* before = nullptr;
    while (at < end) {
      const uint8_t* start = at;
      uint32_t tag = short_varint(at, end);
      const Member* member = message.find(tag >> 3);
      if (member == nullptr || (member->accepts >> (tag & 7) & 1) == 0) {
        skip(tag, at, end, depth);
        workspace_.has_more = true;
        before = nullptr;
        continue;
      }
      Slot& slot = slots[member - message.members.data()];
      if (member->oneof != 0) choose(slots, slot, slots[member->oneof]);
      if (member->repeated) {
        skip(tag, at, end, depth);
        add(slot, start, at, member == before);
      } else if (member->held == Held::NUMBER) {
        slot.begin = at;
        slot.bits = number_at(tag, at, end);
      } else {
        Piece content = content_at(tag, at, end, depth);
        if (slot.begin == nullptr || !(member->held == Held::MESSAGE || member->held == Held::TIME)) {
          slot.begin = content.begin;
          slot.end = content.end;
        } else {
          add(slot, content.begin, content.end, false);
        }
      }
      before = member;
    }
  }

  // Of a oneof the last member in the payload is the only one.
  static void choose(Slot* slots, Slot& slot, Slot& last) {
    uint64_t chosen = static_cast<uint64_t>(&slot - slots) + 1;
    if (last.bits != 0 && last.bits != chosen) slots[last.bits - 1] = Slot{};
    last.bits = chosen;
  }

  // Another piece of a message or list, or one that goes on.
  void add(Slot& slot, const uint8_t* begin, const uint8_t* end, bool goes_on) {
    if (slot.begin == nullptr) {
      slot.begin = begin;
      slot.end = end;
    } else if (goes_on) {
      (slot.next == 0 ? slot.end : finds_.pieces[slot.last].end) = end;
    } else {
      if (finds_.pieces.size() > MAX_PIECES) throw Undecodable{};
      uint32_t made = static_cast<uint32_t>(finds_.pieces.size());
      finds_.pieces.push_back({begin, end, 0});
      (slot.next == 0 ? slot.next : finds_.pieces[slot.last].next) = made;
      slot.last = made;
    }
  }

  // the wire format

  // The bits of a number that stands behind this tag.
  static uint64_t number_at(uint32_t tag, const uint8_t*& at, const uint8_t* end) {
    switch (tag & 7) {
      case VARINT: return varint(at, end);
      case FIXED64: return fixed<uint64_t>(at, end);
      case FIXED32: return fixed<uint32_t>(at, end);
      default: throw Undecodable{};
    }
  }

  // What stands behind the tag of anything else.
  static Piece content_at(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
    if ((tag & 7) == GROUP) {
      const uint8_t* begin = at;
      return {begin, group(tag, at, end, depth + 1), 0};
    }
    uint32_t size = short_varint(at, end);
    if (size > static_cast<size_t>(end - at)) throw Undecodable{};
    at += size;
    return {at - size, at, 0};
  }

  static void skip(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
    if (tag >> 3 == 0) throw Undecodable{};
    if ((tag & 7) == LENGTH || (tag & 7) == GROUP) {
      content_at(tag, at, end, depth);
    } else {
      number_at(tag, at, end);
    }
  }

  // Moves behind a group; returns where its content ends.
  static const uint8_t* group(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
    if (depth > MAX_NESTING) throw Undecodable{};
    while (true) {
      const uint8_t* stop = at;
      uint32_t inner = short_varint(at, end);
      if (inner == (tag ^ GROUP ^ END)) return stop;
      skip(inner, at, end, depth);
    }
  }

  // Seven bits a byte, the lowest first, at most ten bytes; what is beyond 64 bits does not count.
  static uint64_t varint(const uint8_t*& at, const uint8_t* end) {
    if (at < end && *at < 0x80) return *at++;
    return long_varint(at, end, 10);
  }

  // A tag or length: at most 32 bits in five bytes.
  static uint32_t short_varint(const uint8_t*& at, const uint8_t* end) {
    if (at < end && *at < 0x80) return *at++;
    uint64_t value = long_varint(at, end, 5);
    if (value > UINT32_MAX) throw Undecodable{};
    return static_cast<uint32_t>(value);
  }

  static uint64_t long_varint(const uint8_t*& at, const uint8_t* end, int most) {
    uint64_t value = 0;
    for (int index = 0; index < most && at < end; ++index) {
      uint64_t byte = *at++;
      value |= (byte & 0x7F) << 7 * index;
      if (byte < 0x80) return value;
    }
    throw Undecodable{};
  }

  template <class Bits>
  static Bits fixed(const uint8_t*& at, const uint8_t* end) {
    Bits bits;
    if (sizeof bits > static_cast<size_t>(end - at)) throw Undecodable{};
    std::memcpy(&bits, at, sizeof bits);
    at += sizeof bits;
    return bits;
  }

  const Plan& plan_;
  Piece payload_;
  Buffer* out_;
  Workspace& workspace_;
  Finds& finds_;
  bool exploded_ = false;
  size_t behind_prefix_ = 0;
};

}  // namespace fieldpipe
