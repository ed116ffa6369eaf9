// A plan as the compiled executor holds it: instructions one after the other, each followed by those of its body.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fieldpipe {

// The numbers of the enumerations in plan.py and typetree.py; `fieldpipe_names` lets the loader compare.
enum class Wire : uint32_t { CDR, ROS1, PROTOBUF, JSON };
enum class Op : uint32_t { VALUES, TEXT, LIST, LITERAL, DUMMY, DELIMITER, BYTES, BASE64, ROWS, FIELDS, FIELD, AGAIN, JSON };
enum class Form : uint32_t { NONE, VARINT, ZIGZAG, FIXED, LENGTH, GROUP };
enum class Kind : uint32_t {
  BOOL, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT32, FLOAT64,
  STRING, WSTRING, TIME, ROS1_TIME, ROS1_DURATION, BYTES,
  NONE,
};
inline constexpr char NAMES[] =
    "CDR ROS1 PROTOBUF JSON|"
    "VALUES TEXT LIST LITERAL DUMMY DELIMITER BYTES BASE64 ROWS FIELDS FIELD AGAIN JSON|"
    "NONE VARINT ZIGZAG FIXED LENGTH GROUP|"
    "BOOL INT8 UINT8 INT16 UINT16 INT32 UINT32 INT64 UINT64 FLOAT32 FLOAT64 "
    "STRING WSTRING TIME ROS1_TIME ROS1_DURATION BYTES";

constexpr uint64_t ANY = ~uint64_t{0};  // a count or bound that is not given

struct Instruction {  // laid out as in compiled.py
  uint64_t count;
  uint64_t bound;
  uint64_t least;
  Op op;
  Kind kind;
  uint32_t body;  // instructions that follow and belong to this one
  uint32_t text;  // where its text starts, and how long it is
  uint32_t size;
  uint32_t cells;
  uint32_t number;
  Form form;
  uint32_t optional;
  uint32_t oneof;
};

class Messages;
class Objects;

struct Plan {
  std::vector<Instruction> program;
  std::string texts;  // with PADDING
  Wire wire;
  bool formula_safe;
  std::shared_ptr<const Messages> messages;  // protobuf: the program made ready, see messages.hpp
  std::shared_ptr<const Objects> objects;    // JSON: the same, see objects.hpp

  const Instruction* begin() const { return program.data(); }
  const Instruction* end() const { return program.data() + program.size(); }
  const char* text(const Instruction& instruction) const { return texts.data() + instruction.text; }
};

// The instruction behind `at` and its body.
inline const Instruction* next(const Instruction* at) { return at + 1 + at->body; }

// Bytes of the kinds that always take the same room.
inline uint64_t width(Kind kind) {
  switch (kind) {
    case Kind::BOOL: case Kind::INT8: case Kind::UINT8: return 1;
    case Kind::INT16: case Kind::UINT16: return 2;
    case Kind::INT32: case Kind::UINT32: case Kind::FLOAT32: return 4;
    default: return 8;
  }
}

}  // namespace fieldpipe
