// A protobuf plan made ready: the fields of every message by their numbers, once per plan.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "plan.hpp"
#include "protowire.hpp"

namespace fieldpipe {

// What a field holds.
enum class Held : uint8_t { NUMBER, TEXT, BYTES, BASE64, FILE, TIME, MESSAGE };

struct Message;

struct Member {  // a FIELD
  const Message* message = nullptr;  // that it holds
  Kind kind;
  Held held;
  uint8_t accepts;   // wire types, a bit each
  bool zigzag;
  bool repeated;
  bool rows;         // an element is a row
  bool flat;         // on the top level its message makes cells, not one cell of JSON
  bool optional;
  uint32_t oneof;    // slot that tells the last member of its oneof, 0 if it is in none
  uint32_t cells;
  uint32_t number;
  uint32_t name;     // where the piece of JSON before it starts in `names`, and how long it is
  uint32_t name_size;
};

struct Message {  // FIELDS
  std::vector<Member> members;
  uint32_t slots;  // one for each member, then one for each oneof
  std::string names;  // with PADDING

  const Member* find(uint32_t number) const {
    if (number < near_.size()) return near_[number];
    auto at = std::lower_bound(far_.begin(), far_.end(), number, [](const Member* member, uint32_t wanted) { return member->number < wanted; });
    return at != far_.end() && (*at)->number == number ? *at : nullptr;
  }

  // To be called once, when all members are there.
  void index() {
    constexpr uint32_t NEAR = 128;
    for (const Member& member : members) {
      if (member.number >= NEAR) {
        far_.push_back(&member);
        continue;
      }
      if (member.number >= near_.size()) near_.resize(member.number + 1);
      near_[member.number] = &member;
    }
    std::sort(far_.begin(), far_.end(), [](const Member* one, const Member* other) { return one->number < other->number; });
  }

 private:
  std::vector<const Member*> near_;  // by number
  std::vector<const Member*> far_;   // sorted by number
};

class Messages {
 public:
  explicit Messages(const Plan& plan) : plan_(plan) { root_ = add(plan.begin()); }
  const Message& root() const { return *root_; }

 private:
  const Message* add(const Instruction* fields) {
    Message& message = *all_.emplace_back(std::make_unique<Message>());
    around_.push_back(&message);
    uint32_t oneofs = 0;
    for (const Instruction* field = fields + 1; field != next(fields); field = next(field)) {
      message.members.push_back(member(*field, message.names));
      oneofs = std::max(oneofs, field->oneof);
    }
    around_.pop_back();
    uint32_t count = static_cast<uint32_t>(message.members.size());
    message.slots = count + oneofs;
    for (Member& member : message.members) member.oneof += member.oneof > 0 ? count - 1 : 0;
    message.names.append(PADDING, ' ');
    message.index();
    return &message;
  }

  Member member(const Instruction& field, std::string& names) {
    Member made;
    made.kind = field.kind;
    made.zigzag = field.form == Form::ZIGZAG;
    made.repeated = field.count == ANY;
    made.optional = field.optional;
    made.oneof = field.oneof;
    made.cells = field.cells;
    made.number = field.number;
    made.accepts = accepts(field);
    made.name = static_cast<uint32_t>(names.size());
    names.append(names.empty() ? "\"\"" : ",\"\"").append(plan_.text(field), field.size).append("\"\":");  // quotes as in a cell
    made.name_size = static_cast<uint32_t>(names.size()) - made.name;
    const Instruction* body = field.body > 0 ? &field + 1 : nullptr;
    made.rows = body != nullptr && body->op == Op::ROWS;
    if (made.rows) body = body->body > 0 ? body + 1 : nullptr;
    made.flat = body != nullptr && body->op == Op::FIELDS;
    made.held = body != nullptr ? held(*body, made.message) : held(field.kind);
    return made;
  }

  Held held(const Instruction& body, const Message*& message) {
    switch (body.op) {
      case Op::BASE64: return Held::BASE64;
      case Op::BYTES: return Held::FILE;
      case Op::AGAIN: message = around_[around_.size() - 1 - body.count]; break;
      case Op::JSON: message = add(&body + 1); break;
      default: message = add(&body);
    }
    return Held::MESSAGE;
  }

  static Held held(Kind kind) {
    switch (kind) {
      case Kind::STRING: return Held::TEXT;
      case Kind::BYTES: return Held::BYTES;
      case Kind::TIME: return Held::TIME;
      default: return Held::NUMBER;
    }
  }

  // Lists of numbers come packed or not, whatever the schema says.
  static uint8_t accepts(const Instruction& field) {
    switch (field.form) {
      case Form::LENGTH: return 1 << LENGTH;
      case Form::GROUP: return 1 << GROUP;
      case Form::FIXED: return static_cast<uint8_t>(1 << (width(field.kind) == 8 ? FIXED64 : FIXED32) | packed(field));
      default: return static_cast<uint8_t>(1 << VARINT | packed(field));
    }
  }

  static int packed(const Instruction& field) { return field.count == ANY ? 1 << LENGTH : 0; }

  const Plan& plan_;
  const Message* root_;
  std::vector<std::unique_ptr<Message>> all_;
  std::vector<const Message*> around_;
};

}  // namespace fieldpipe
