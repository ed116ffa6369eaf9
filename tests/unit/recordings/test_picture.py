"""The camera of generated recordings: real JPEG, read back here by the standard (ITU-T T.81)."""

import struct

from fieldpipe.recordings.picture import jpeg


def test_a_picture_has_the_brightness_that_was_drawn() -> None:
    blocks = [[0, 255, 128, 127], [64, 64, 192, 1]]

    assert brightness(jpeg(blocks)) == (32, 16, [value for row in blocks for value in row])


def brightness(content: bytes) -> tuple[int, int, list[int]]:
    """Width, height and the DC level of every block of a baseline JPEG with one component."""
    assert content.startswith(b"\xff\xd8")
    assert content.endswith(b"\xff\xd9")
    position, tables, quantum, size = 2, {}, 0, (0, 0)
    while True:
        marker, length = struct.unpack_from(">HH", content, position)
        body = content[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xFFDB:
            quantum = body[1]
        elif marker == 0xFFC0:
            size = struct.unpack_from(">HH", body, 1)
        elif marker == 0xFFC4:
            tables[body[0]] = huffman(body[1:17], body[17:])
        elif marker == 0xFFDA:
            break
    bits = "".join(f"{byte:08b}" for byte in content[position:-2].replace(b"\xff\0", b"\xff"))
    level, levels = 0, []
    for _ in range(size[0] * size[1] // 64):
        category, bits = symbol(bits, tables[0x00])
        value = int(bits[:category] or "0", 2)
        level += value if bits[:1] == "1" or not category else value - (1 << category) + 1
        end_of_block, bits = symbol(bits[category:], tables[0x10])
        assert end_of_block == 0
        levels.append(level * quantum // 8 + 128)
    assert set(bits) <= {"1"}
    return size[1], size[0], levels


def huffman(lengths: bytes, values: bytes) -> dict[str, int]:
    code, found, rest = 0, {}, list(values)
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            found[f"{code:0{length}b}"] = rest.pop(0)
            code += 1
        code <<= 1
    return found


def symbol(bits: str, table: dict[str, int]) -> tuple[int, str]:
    for length in range(1, 17):
        if bits[:length] in table:
            return table[bits[:length]], bits[length:]
    raise AssertionError("no code")
