// JSON payloads: members are found by their names, the cells come in the order of the plan. The rules are those of
// ../jsonrows.py.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "cdr.hpp"
#include "jsontext.hpp"
#include "objects.hpp"

namespace fieldpipe {

// A cell in a buffer.
struct Place {
  size_t begin, end;
};

// What runs keep between messages.
struct Arrivals {
  std::vector<Place> places;     // by column
  std::vector<uint64_t> missed;  // by field: the object whose members have gone past it
  uint64_t objects = 0;          // so many were read
  Buffer ordered;
  std::string space;             // for texts
};

class ByName : private JsonText {
 public:
  ByName(const Plan& plan, const uint8_t* payload, size_t size, Buffer& out, Workspace& workspace, Arrivals& arrivals)
      : JsonText(payload + size), plan_(plan), payload_(payload), out_(&out), workspace_(workspace), arrivals_(arrivals) {}

  // Appends the cells, each behind a comma. Throws Undecodable.
  void run() {
    size_t begin = out_->size();
    At at = space(payload_);
    const JsonObject* root = plan_.objects->root();
    if (root != nullptr) {
      arrivals_.places.resize(std::max<size_t>(arrivals_.places.size(), root->cells));
      arrivals_.missed.resize(std::max(arrivals_.missed.size(), plan_.objects->fields()));
      at = object(*root, at);
    } else {
      out_->put(',');
      at = json_cell(at);
    }
    if (space(at) != end()) throw Undecodable{};
    if (is_shuffled_) put_in_order(begin, 0, root->cells);
    workspace_.escaped += is_bad();
  }

  // As in InOrder.
  bool exploded() const { return exploded_ != nullptr; }
  size_t behind_prefix() const { return behind_prefix_; }

 private:
  // Members that come as in the plan are found at once.
  At object(const JsonObject& object, At at) {
    if (peek(at) != '{') throw Undecodable{};
    const JsonField* expected = object.fields.data();
    const JsonField* end = expected + object.fields.size();
    uint64_t number = ++arrivals_.objects;
    at = inside(at, '}', [&](At name) {
      const JsonField* field = expected;
      At behind = expected != end ? behind_name(*expected, name) : nullptr;
      if (behind == nullptr) {
        JsonString string = this->string(name);
        field = object.find(resolved(string, arrivals_.space));
        behind = string.behind();
      }
      At value = colon(behind);
      if (field == nullptr) {
        workspace_.has_more = true;
        return piece<false>(value, *out_);
      }
      if (field < expected) {
        late(*field, number);
      } else {
        for (; expected != field; ++expected) miss(*expected, number);
        ++expected;
      }
      return member(*field, value);
    });
    if (expected != end) absent(expected->column, object.column + object.cells);
    return at;
  }

  // Where a member's name ends if it is the field's; null if it is not, or very near to the end of the payload.
  At behind_name(const JsonField& field, At at) const {
    size_t size = field.name.size();
    if (static_cast<size_t>(end() - at) < size + 2 + sizeof field.word || *at != '"') return nullptr;
    if ((load_word(at + 1) & field.mask) != field.word || at[size + 1] != '"') return nullptr;
    if (size > 8 && std::memcmp(at + 9, field.name.data() + 8, size - 8) != 0) return nullptr;
    return at + size + 2;
  }

  // A member that was not there when its turn came, or comes again.
  void late(const JsonField& field, uint64_t object) {
    is_shuffled_ = true;
    uint64_t& missed = arrivals_.missed[field.number];
    workspace_.has_more |= missed != object;
    missed = 0;
  }

  void miss(const JsonField& field, uint64_t object) {
    absent(field.column, field.column + field.cells);
    arrivals_.missed[field.number] = object;
  }

  // Empty cells.
  void absent(size_t column, size_t end) {
    if (exploded_ != nullptr && column <= exploded_->column && exploded_->column < end) exploded_ = nullptr;
    for (; column != end; ++column) {
      out_->put(',');
      arrivals_.places[column] = {out_->size(), out_->size()};
    }
  }

  At member(const JsonField& field, At at) {
    switch (field.becomes) {
      case Becomes::OBJECT: return nullable(*field.object, at);
      case Becomes::ROWS: return rows(field, at);
      case Becomes::TIME: return cell(field.column, [&] { return time(at); });
      case Becomes::FILE: return cell(field.column, [&] { return base64(at); });
      default: return cell(field.column, [&] { return leaf(at); });
    }
  }

  template <class Write>
  At cell(size_t column, Write write) {
    out_->put(',');
    size_t begin = out_->size();
    At at = write();
    arrivals_.places[column] = {begin, out_->size()};
    return at;
  }

  At nullable(const JsonObject& object, At at) {
    if (peek(at) == '{') return this->object(object, at);
    absent(object.column, object.column + object.cells);
    return word(at, "null");
  }

  // A list whose elements become rows.
  At rows(const JsonField& field, At at) {
    Buffer* row = out_;
    bool was_shuffled = is_shuffled_;
    exploded_ = nullptr;
    behind_prefix_ = out_->size();
    out_ = workspace_.begin_rows();
    at = peek(at) == '[' ? inside(at, ']', [&](At inner) { return element(field, inner); }) : word(at, "null");
    if (workspace_.marks.empty()) {
      absent(field.column, field.column + field.cells);
      workspace_.mark();
    }
    out_ = row;
    is_shuffled_ = was_shuffled;
    exploded_ = &field;
    return at;
  }

  At element(const JsonField& field, At at) {
    size_t begin = out_->size();
    is_shuffled_ = false;
    at = field.object != nullptr ? nullable(*field.object, at) : cell(field.column, [&] { return leaf(at); });
    if (is_shuffled_) put_in_order(begin, field.column, field.column + field.cells);
    workspace_.mark();
    return at;
  }

  // Puts the cells that were written behind `begin` into the order of the plan.
  void put_in_order(size_t begin, size_t column, size_t end) {
    Buffer& ordered = arrivals_.ordered;
    ordered.clear();
    while (column != end) {
      if (exploded_ != nullptr && column == exploded_->column) {
        behind_prefix_ = begin + ordered.size();
        column += exploded_->cells;
      } else {
        const Place& place = arrivals_.places[column++];
        ordered.put(',');
        ordered.put(out_->data() + place.begin, place.end - place.begin);
      }
    }
    out_->cut(begin);
    out_->put(ordered.data(), ordered.size());
  }

  At leaf(At at) {
    switch (peek(at)) {
      case '"': return text_cell(at);
      case '{': case '[': return json_cell(at);
      default: return scalar<true, false>(at, *out_);
    }
  }

  At json_cell(At at) {
    size_t begin = out_->size();
    out_->put(' ');
    at = piece<true>(at, *out_);
    close_json_cell(*out_, begin);
    return at;
  }

  At text_cell(At at) {
    JsonString found = string(at);
    if (found.has_escapes || found.is_bad) {
      std::string_view text = resolved(found, arrivals_.space);
      put_cell(*out_, reinterpret_cast<const uint8_t*>(text.data()), text.size(), plan_.formula_safe);
    } else {
      plain_cell(found);
    }
    return found.behind();
  }

  // A text without quotes and line breaks: JSON has them as escapes only.
  void plain_cell(const JsonString& text) {
    char* to = out_->room(text.size() + 3);
    bool quotes = text.classes & QUOTES;
    if (quotes) *to++ = '"';
    if (plan_.formula_safe && text.size() > 0 && is_formula(*text.begin)) *to++ = '\'';
    std::memcpy(to, text.begin, text.size());
    to += text.size();
    if (quotes) *to++ = '"';
    out_->wrote(to);
  }

  At time(At at) {
    int64_t time;
    At behind = peek(at) == '{' ? read_time(at, time) : nullptr;
    if (behind == nullptr) return leaf(at);
    out_->wrote(write_i64(out_->room(MAX_NUMBER), time));
    return behind;
  }

  // Reads an object of seconds and nanoseconds; null if it is another one.
  At read_time(At at, int64_t& time) {
    constexpr int64_t SECOND = 1'000'000'000, MAX_SECONDS = 9'223'372'035;
    int64_t parts[2] = {0, 0};
    int found[2] = {0, 0};
    bool is_time = true;
    at = inside(at, '}', [&](At name) {
      JsonString string = this->string(name);
      std::string_view text = resolved(string, arrivals_.space);
      bool is_rest = text == "nsec" || text == "nanosec";
      is_time &= is_rest || text == "sec";
      ++found[is_rest];
      At value = colon(string.behind());
      At behind = integer(value, parts[is_rest]);
      if (behind != nullptr) return behind;
      is_time = false;
      return piece<false>(value, *out_);
    });
    is_time &= found[0] == 1 && found[1] == 1 && std::abs(parts[0]) <= MAX_SECONDS && std::abs(parts[1]) < SECOND;
    time = is_time ? parts[0] * SECOND + parts[1] : 0;
    return is_time ? at : nullptr;
  }

  // Reads an integer of at most ten digits; null if it is something else.
  At integer(At at, int64_t& value) const {
    bool is_negative = peek(at) == '-';
    at += is_negative;
    At behind = skip_digits(at, end());
    auto digits = behind - at;
    if (digits == 0 || digits > 10 || (digits > 1 && *at == '0')) return nullptr;
    if (peek(behind) == '.' || (*behind | 32) == 'e') return nullptr;
    for (value = 0; at != behind; ++at) value = 10 * value + (*at - '0');
    if (is_negative) value = -value;
    return behind;
  }

  // Bytes as text: held against the rules here, taken by the readable executor.
  At base64(At at) {
    if (peek(at) != '"') return word(at, "null");
    JsonString found = string(at);
    if (!is_base64(resolved(found, arrivals_.space))) throw Undecodable{};
    return found.behind();
  }

  static bool is_base64(std::string_view text) {
    if (text.size() % 4 != 0) return false;
    for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) text.remove_suffix(1);
    return std::all_of(text.begin(), text.end(), [](char byte) {
      auto letter = static_cast<uint8_t>((byte | 32) - 'a');
      return letter < 26 || is_digit(static_cast<uint8_t>(byte)) || byte == '+' || byte == '/';
    });
  }

  const Plan& plan_;
  At payload_;
  Buffer* out_;
  Workspace& workspace_;
  Arrivals& arrivals_;
  bool is_shuffled_ = false;               // members came in another order than the plan's
  const JsonField* exploded_ = nullptr;    // whose list is in the workspace
  size_t behind_prefix_ = 0;
};

}  // namespace fieldpipe
