// The fields of a protobuf message, found in whatever order they come. The rules are those of ../protorows.py.
#pragma once

#include "messages.hpp"

namespace fieldpipe {

constexpr uint32_t MAX_PIECES = 1 << 20;  // that fields of a payload come in, when they come again with others between

// What was found of a field: bytes, the bits of a number, the content of a message, or the occurrences of a list one
// behind the other, tags included. Messages and lists may have further pieces.
struct Slot {
  const uint8_t* begin;  // null: it is absent
  union {
    const uint8_t* end;
    uint64_t bits;
  };
  uint32_t next;  // index of the next piece, 0 if there is none
  uint32_t last;

  size_t size() const { return begin == nullptr ? 0 : static_cast<size_t>(end - begin); }
  // Of what is absent there are no bytes, but somewhere they must be.
  const uint8_t* bytes() const { return begin == nullptr ? reinterpret_cast<const uint8_t*>("") : begin; }
};

// The slots of the message that is being read and of those around it; kept between payloads for their memory.
class Finds {
 public:
  void clear() {
    used_ = 0;
    pieces_.assign(1, Piece{});
  }

  // Finds the fields of a message, which may be in pieces; returns where its slots are. Unknown ones set `has_more`.
  size_t open(const Message& message, const Slot& content, uint32_t depth, bool& has_more) {
    size_t base = used_;
    used_ += message.slots;
    if (used_ > slots_.size()) slots_.resize(2 * used_);
    std::fill_n(slots_.begin() + static_cast<ptrdiff_t>(base), message.slots, Slot{});
    each_piece(content, [&](const uint8_t* begin, const uint8_t* end) { find(message, slots_.data() + base, begin, end, depth, has_more); });
    return base;
  }
  Slot slot(size_t at) const { return slots_[at]; }
  void close(size_t base) { used_ = base; }

  template <class Each>
  void each_piece(const Slot& slot, Each each) const {
    if (slot.begin == nullptr) return;
    each(slot.begin, slot.end);
    for (uint32_t at = slot.next; at != 0; at = pieces_[at].next) each(pieces_[at].begin, pieces_[at].end);
  }

  // Calls `each(slot)` for every element of a list.
  template <class Each>
  void each_element(const Member& member, const Slot& list, Each each) const {
    each_piece(list, [&](const uint8_t* at, const uint8_t* end) {
      while (at < end) {
        uint32_t tag = short_varint(at, end);
        Slot element{};
        element.begin = at;
        if (member.held != Held::NUMBER) {
          Extent content = content_at(tag, at, end, 0);
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

 private:
  struct Piece {
    const uint8_t* begin;
    const uint8_t* end;
    uint32_t next;
  };

  template <class Each>
  static void packed(const Member& member, Extent numbers, Each each) {
    const uint8_t* at = numbers.begin;
    const uint8_t* end = numbers.end;
    Slot element{};
    element.begin = at;
    while (at < end) {
      if (member.accepts >> VARINT & 1) {
        element.bits = varint(at, end);
      } else {
        element.bits = member.accepts >> FIXED64 & 1 ? fixed_bits<uint64_t>(at, end) : fixed_bits<uint32_t>(at, end);
      }
      each(element);
    }
  }

  [[gnu::noinline]] void find(const Message& message, Slot* slots, const uint8_t* at, const uint8_t* end, uint32_t depth, bool& has_more) {
    if (depth > MAX_NESTING) throw Undecodable{};
    const Member* before = nullptr;
    while (at < end) {
      const uint8_t* start = at;
      uint32_t tag = short_varint(at, end);
      const Member* member = message.find(tag >> 3);
      if (member == nullptr || (member->accepts >> (tag & 7) & 1) == 0) {
        skip_field(tag, at, end, depth);
        has_more = true;
        before = nullptr;
        continue;
      }
      Slot& slot = slots[member - message.members.data()];
      if (member->oneof != 0) choose(slots, slot, slots[member->oneof]);
      if (member->repeated) {
        skip_field(tag, at, end, depth);
        add(slot, {start, at}, member == before);
      } else if (member->held == Held::NUMBER) {
        slot.begin = at;
        slot.bits = number_at(tag, at, end);
      } else {
        Extent content = content_at(tag, at, end, depth);
        if (slot.begin == nullptr || !(member->held == Held::MESSAGE || member->held == Held::TIME)) {
          slot.begin = content.begin;
          slot.end = content.end;
        } else {
          add(slot, content, false);
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
  void add(Slot& slot, Extent more, bool goes_on) {
    if (slot.begin == nullptr) {
      slot.begin = more.begin;
      slot.end = more.end;
    } else if (goes_on) {
      (slot.next == 0 ? slot.end : pieces_[slot.last].end) = more.end;
    } else {
      if (pieces_.size() > MAX_PIECES) throw Undecodable{};
      uint32_t made = static_cast<uint32_t>(pieces_.size());
      pieces_.push_back({more.begin, more.end, 0});
      (slot.next == 0 ? slot.next : pieces_[slot.last].next) = made;
      slot.last = made;
    }
  }

  std::vector<Slot> slots_;  // of which `used_` are in use
  size_t used_ = 0;
  std::vector<Piece> pieces_;  // the first one stands for none
};

}  // namespace fieldpipe
