// Protobuf payloads: the fields of a message are found in whatever order they come, then its cells are written in the
// plan's order. The rules are those of ../protorows.py and ../protowire.py.
#pragma once

#include "cdr.hpp"
#include "finds.hpp"
#include "numbers.hpp"
#include "text.hpp"

namespace fieldpipe {

class ByNumber {
 public:
  ByNumber(const Plan& plan, const uint8_t* payload, size_t size, Buffer& out, Workspace& workspace, Finds& finds)
      : plan_(plan), payload_{payload, {payload + size}, 0, 0}, out_(&out), workspace_(workspace), finds_(finds) {}

  // Appends the cells, each behind a comma. Throws Undecodable.
  void run() {
    finds_.clear();
    fields(plan_.messages->root(), payload_, 0, [&](const Member& member, const Slot& slot) { cell(member, slot, 0); });
  }

  // As in InOrder.
  bool exploded() const { return exploded_; }
  size_t behind_prefix() const { return behind_prefix_; }

 private:
  // Finds the fields of a message and calls `each(member, slot)` in the plan's order.
  template <class Each>
  void fields(const Message& message, const Slot& content, uint32_t depth, Each each) {
    size_t at = finds_.open(message, content, depth, workspace_.has_more), base = at;
    for (const Member& member : message.members) each(member, finds_.slot(at++));
    finds_.close(base);
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
      return fields(*member.message, slot, depth + 1, [&](const Member& inner, const Slot& found) { cell(inner, found, depth + 1); });
    }
    switch (member.held) {
      case Held::MESSAGE: return json_cell([&] { object(*member.message, slot, depth + 1); });
      case Held::BYTES: return json_cell([&] { bytes(slot); });
      default: out_->put(',');
    }
    switch (member.held) {
      case Held::NUMBER: return number<false>(member, slot.bits);
      case Held::TIME: return time(slot, depth + 1);
      case Held::TEXT: workspace_.escaped += put_cell(*out_, slot.bytes(), slot.size(), plan_.formula_safe); break;
      case Held::BASE64: put_base64(*out_, slot.bytes(), slot.size()); break;
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
    out_ = workspace_.begin_rows();
    finds_.each_element(member, slot, [&](const Slot& element) {
      value(member, element, depth);
      workspace_.mark();
    });
    if (workspace_.marks.empty()) {
      commas(member.cells);
      workspace_.mark();
    }
    out_ = row;
  }

  // inside JSON

  void list(const Member& member, const Slot& slot, uint32_t depth) {
    out_->put('[');
    bool first = true;
    finds_.each_element(member, slot, [&](const Slot& element) {
      if (!first) out_->put(',');
      first = false;
      json(member, element, depth);
    });
    out_->put(']');
  }

  void object(const Message& message, const Slot& content, uint32_t depth) {
    out_->put('{');
    fields(message, content, depth, [&](const Member& member, const Slot& slot) {
      out_->put_padded(message.names.data() + member.name, member.name_size);
      if (member.repeated) return list(member, slot, depth);
      if (member.optional && slot.begin == nullptr) return out_->put("null", 4);
      json(member, slot, depth);
    });
    out_->put('}');
  }

  void json(const Member& member, const Slot& slot, uint32_t depth) {
    switch (member.held) {
      case Held::NUMBER: return number<true>(member, slot.bits);
      case Held::TIME: return time(slot, depth + 1);
      case Held::TEXT: workspace_.escaped += put_json(*out_, slot.bytes(), slot.size()); break;
      case Held::MESSAGE: return object(*member.message, slot, depth + 1);
      case Held::BASE64:
        out_->put("\"\"", 2);
        put_base64(*out_, slot.bytes(), slot.size());
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
      case Kind::FLOAT32: return write_real(to, cast<float>(half), JSON);
      default: return write_real(to, cast<double>(bits), JSON);
    }
  }

  template <class Float, class Bits>
  static Float cast(Bits bits) {
    static_assert(sizeof(Float) == sizeof bits);
    Float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  // A JSON list of their numbers.
  void bytes(const Slot& slot) {
    constexpr size_t BLOCK = 4096;  // bytes for which room is made at a time
    out_->put('[');
    for (const uint8_t* at = slot.begin; at != slot.begin + slot.size();) {
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
  void time(const Slot& content, uint32_t depth) {
    uint64_t parts[3] = {};
    finds_.each_piece(content, [&](const uint8_t* at, const uint8_t* end) {
      if (depth > MAX_NESTING) throw Undecodable{};
      while (at < end) {
        uint32_t tag = short_varint(at, end);
        if (tag == (1 << 3 | VARINT) || tag == (2 << 3 | VARINT)) {
          parts[tag >> 3] = varint(at, end);
        } else {
          skip_field(tag, at, end, depth);
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

  const Plan& plan_;
  Slot payload_;
  Buffer* out_;
  Workspace& workspace_;
  Finds& finds_;
  bool exploded_ = false;
  size_t behind_prefix_ = 0;
};

}  // namespace fieldpipe
