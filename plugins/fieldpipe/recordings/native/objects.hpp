// A JSON plan made ready: the fields of every object by their names, once per plan.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>

#include "plan.hpp"
#include "text.hpp"

namespace fieldpipe {

// What a member of an object becomes.
enum class Becomes : uint8_t { LEAF, TIME, OBJECT, ROWS, FILE };

struct JsonObject;

struct JsonField {  // a FIELD
  uint64_t word, mask;       // the bytes that its name begins with where it stands in JSON as it is
  std::string_view name;
  const JsonObject* object;  // that it is, or that elements of its list are
  uint32_t column;           // of its first cell
  uint32_t cells;
  uint32_t number;           // among all fields of the plan
  Becomes becomes;
};

struct JsonObject {  // FIELDS
  std::vector<JsonField> fields;
  uint32_t column;
  uint32_t cells;

  // Null if it has none of that name.
  const JsonField* find(std::string_view name) const {
    size_t mask = table_.size() - 1;
    for (size_t at = hash(name) & mask; table_[at] != 0; at = (at + 1) & mask) {
      const JsonField& field = fields[table_[at] - 1];
      if (field.name == name) return &field;
    }
    return nullptr;
  }

  // To be called once, when all fields are there.
  void index() {
    size_t size = 2;
    while (size < 2 * fields.size()) size *= 2;
    table_.resize(size);
    for (uint32_t number = 1; number <= fields.size(); ++number) {
      size_t at = hash(fields[number - 1].name) & (size - 1);
      while (table_[at] != 0) at = (at + 1) & (size - 1);
      table_[at] = number;
    }
  }

 private:
  static size_t hash(std::string_view name) {
    constexpr uint64_t FACTOR = 0x9E3779B97F4A7C15;
    uint64_t mixed = name.size();
    while (!name.empty()) {
      uint64_t word = 0;
      size_t size = name.size() < sizeof word ? name.size() : sizeof word;
      std::memcpy(&word, name.data(), size);
      name.remove_prefix(size);
      unsigned __int128 product = static_cast<unsigned __int128>((mixed ^ word) + FACTOR) * FACTOR;
      mixed = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    }
    return mixed;
  }

  std::vector<uint32_t> table_;  // positions of fields, counted from one, by hash
};

class Objects {
 public:
  explicit Objects(const Plan& plan) : plan_(plan) {
    if (plan.begin()->op == Op::FIELDS) root_ = add(plan.begin());
  }

  // Null: the whole message is one cell.
  const JsonObject* root() const { return root_; }
  size_t fields() const { return fields_; }

 private:
  const JsonObject* add(const Instruction* instruction) {
    JsonObject& object = *all_.emplace_back(std::make_unique<JsonObject>());
    object.column = columns_;
    object.cells = instruction->cells;
    for (const Instruction* at = instruction + 1; at != next(instruction); at = next(at)) object.fields.push_back(field(at));
    object.index();
    return &object;
  }

  JsonField field(const Instruction* instruction) {
    JsonField made{};
    made.name = {plan_.text(*instruction), instruction->size};
    begin(made);
    made.column = columns_;
    made.cells = instruction->cells;
    made.number = fields_++;
    const Instruction* body = instruction->body > 0 ? instruction + 1 : nullptr;
    made.becomes = becomes(*instruction, body);
    if (made.becomes == Becomes::ROWS) body = body->body > 0 ? body + 1 : nullptr;
    if (body != nullptr && body->op == Op::FIELDS) made.object = add(body);
    columns_ = made.column + made.cells;
    return made;
  }

  static Becomes becomes(const Instruction& field, const Instruction* body) {
    if (body == nullptr) return field.kind == Kind::TIME ? Becomes::TIME : Becomes::LEAF;
    switch (body->op) {
      case Op::FIELDS: return Becomes::OBJECT;
      case Op::ROWS: return Becomes::ROWS;
      default: return Becomes::FILE;
    }
  }

  // The first eight bytes of the name and the quote behind it. What JSON escapes is never found by them.
  static void begin(JsonField& field) {
    size_t size = field.name.size() < 8 ? field.name.size() : 8;
    bool is_escaped = classes_of(reinterpret_cast<const uint8_t*>(field.name.data()), field.name.size()) & ESCAPES;
    char bytes[9] = "";
    std::memcpy(bytes, field.name.data(), size);
    bytes[size] = '"';
    std::memcpy(&field.word, bytes, sizeof field.word);
    field.mask = size < 7 ? (uint64_t{1} << 8 * (size + 1)) - 1 : ~uint64_t{0};
    if (is_escaped) {
      field.word = 1;
      field.mask = 0;
    }
  }

  const Plan& plan_;
  const JsonObject* root_ = nullptr;
  uint32_t columns_ = 0, fields_ = 0;
  std::vector<std::unique_ptr<JsonObject>> all_;
};

}  // namespace fieldpipe
