// The wire format of protobuf (protobuf.dev, "Encoding"). What is no message throws Undecodable; see ../protowire.py.
#pragma once

#include "text.hpp"

namespace fieldpipe {

enum WireType : uint32_t { VARINT, FIXED64, LENGTH, GROUP, END, FIXED32 };

constexpr uint32_t MAX_NESTING = 100;  // messages around a message

// A part of the payload.
struct Extent {
  const uint8_t* begin;
  const uint8_t* end;
};

// Stands apart from its callers, which stay small and fast for numbers of one byte.
[[gnu::noinline]] inline uint64_t long_varint(const uint8_t*& at, const uint8_t* end, int most) {
  uint64_t value = 0;
  for (int index = 0; index < most && at < end; ++index) {
    uint64_t byte = *at++;
    value |= (byte & 0x7F) << 7 * index;
    if (byte < 0x80) return value;
  }
  throw Undecodable{};
}

// Seven bits a byte, the lowest first, at most ten bytes; what is beyond 64 bits does not count.
inline uint64_t varint(const uint8_t*& at, const uint8_t* end) {
  if (at < end && *at < 0x80) return *at++;
  return long_varint(at, end, 10);
}

// A tag or length: at most 32 bits in five bytes.
inline uint32_t short_varint(const uint8_t*& at, const uint8_t* end) {
  if (at < end && *at < 0x80) return *at++;
  uint64_t value = long_varint(at, end, 5);
  if (value > UINT32_MAX) throw Undecodable{};
  return static_cast<uint32_t>(value);
}

template <class Bits>
Bits fixed_bits(const uint8_t*& at, const uint8_t* end) {
  Bits bits;
  if (sizeof bits > static_cast<size_t>(end - at)) throw Undecodable{};
  std::memcpy(&bits, at, sizeof bits);
  at += sizeof bits;
  return bits;
}

// The bits of a number that stands behind this tag.
inline uint64_t number_at(uint32_t tag, const uint8_t*& at, const uint8_t* end) {
  switch (tag & 7) {
    case VARINT: return varint(at, end);
    case FIXED64: return fixed_bits<uint64_t>(at, end);
    case FIXED32: return fixed_bits<uint32_t>(at, end);
    default: throw Undecodable{};
  }
}

inline void skip_field(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth);

// Moves behind a group, whose tag was read; `depth` counts the messages and groups around its content. Returns where its content ends.
inline const uint8_t* skip_group(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
  if (depth > MAX_NESTING) throw Undecodable{};
  while (true) {
    const uint8_t* stop = at;
    uint32_t inner = short_varint(at, end);
    if (inner == (tag ^ GROUP ^ END)) return stop;
    skip_field(inner, at, end, depth);
  }
}

// What stands behind the tag of anything else.
inline Extent content_at(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
  if ((tag & 7) == GROUP) {
    const uint8_t* begin = at;
    return {begin, skip_group(tag, at, end, depth + 1)};
  }
  uint32_t size = short_varint(at, end);
  if (size > static_cast<size_t>(end - at)) throw Undecodable{};
  at += size;
  return {at - size, at};
}

// Moves behind what stands behind this tag.
inline void skip_field(uint32_t tag, const uint8_t*& at, const uint8_t* end, uint32_t depth) {
  if (tag >> 3 == 0) throw Undecodable{};
  if ((tag & 7) == LENGTH || (tag & 7) == GROUP) {
    content_at(tag, at, end, depth);
  } else {
    number_at(tag, at, end);
  }
}

}  // namespace fieldpipe
