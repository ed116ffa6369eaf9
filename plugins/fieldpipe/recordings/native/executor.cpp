// The compiled executor of plans: MCAP records in, CSV text per channel out. What it does is said in ../executor.py; the
// readable executor does the same, byte for byte. A plain C interface, called by ../compiled.py from several threads
// at once: a Result belongs to one call at a time, a Plan is only read.
//
// Format of the records: mcap.dev/spec. Nothing is believed: every length is held against what is left.

#include <algorithm>
#include <memory>

#include "cdr.hpp"
#include "export.hpp"
#include "json.hpp"
#include "protobuf.hpp"
#include "testing.hpp"
#include "text.hpp"

namespace fieldpipe {
namespace {

constexpr uint8_t SCHEMA = 3, CHANNEL = 4, MESSAGE = 5;  // opcodes
constexpr uint64_t HEAD = 9;                             // bytes of an opcode and a length
constexpr uint64_t FIXED = 22;                           // bytes of a message before its payload
constexpr uint64_t MAX_MESSAGE = 128 << 20;              // bytes
constexpr size_t CHANNELS = 65536;
constexpr size_t INTERVALS = 256;
constexpr int32_t SKIP = -1, ASK = -2;  // actions; others are indices of plans

enum Why : uint32_t { ASKED, UNDECODABLE, MORE };

template <class Value>
Value load(const uint8_t* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Calls `each(opcode, body, length)` for every whole record from `start` on until it returns false; returns where that was.
template <class Each>
uint64_t walk(const uint8_t* content, uint64_t start, uint64_t end, Each each) {
  uint64_t at = start;
  while (at + HEAD <= end) {
    uint64_t length = load<uint64_t>(content + at + 1);
    if (length > end - at - HEAD) break;
    uint64_t body = at + HEAD;
    at = body + length;
    if (!each(content[body - HEAD], body, length)) break;
  }
  return at;
}

bool is_message(uint64_t length) { return length >= FIXED && length <= MAX_MESSAGE; }

// What ../executor.py calls bucket().
size_t bucket(uint64_t interval) {
  if (interval < 4) return interval;
  int exponent = 63 - __builtin_clzll(interval);
  return 4 * static_cast<size_t>(exponent - 1) + (interval >> (exponent - 2) & 3);
}

}  // namespace

struct Tally {
  uint64_t channel, messages, size, first, last, least, most, backwards;
  uint64_t shortest, longest;      // buckets: all others are 0
  uint64_t intervals[INTERVALS];
};

struct Defined {
  uint64_t opcode, start, end;
};

struct ScanView {
  uint64_t end;
  const Tally* tallies;
  uint64_t tally_count;
  const Defined* definitions;
  uint64_t definition_count;
  const Defined* refused;
  uint64_t refused_count;
};

struct Scan {
  uint64_t end = 0;
  std::vector<Tally> tallies;
  std::vector<Defined> definitions;
  std::vector<Defined> refused;
  std::unique_ptr<int32_t[]> index{new int32_t[CHANNELS]};

  Scan() { std::memset(index.get(), 0xFF, CHANNELS * sizeof(int32_t)); }

  void look(const uint8_t* content, uint64_t start, uint64_t stop) {
    clear();
    end = walk(content, start, stop, [&](uint8_t opcode, uint64_t body, uint64_t length) {
      if (opcode == MESSAGE && is_message(length)) {
        message(content + body, length);
      } else if (opcode == MESSAGE) {
        refused.push_back({opcode, body, body + length});
      } else if (opcode == SCHEMA || opcode == CHANNEL) {
        definitions.push_back({opcode, body, body + length});
      }
      return true;
    });
  }

  void show(ScanView& view) const {
    view = {end, tallies.data(), tallies.size(), definitions.data(), definitions.size(), refused.data(), refused.size()};
  }

  void clear() {
    for (const Tally& tally : tallies) index[tally.channel] = -1;
    tallies.clear();
    definitions.clear();
    refused.clear();
  }

  // What was seen in a block that comes behind all that was seen here.
  void add(const Tally& later) {
    Tally& total = tally(static_cast<uint16_t>(later.channel));
    arrive(total, later.first);
    total.messages += later.messages;
    total.size += later.size;
    total.last = later.last;
    total.least = std::min(total.least, later.least);
    total.most = std::max(total.most, later.most);
    total.backwards += later.backwards;
    if (later.shortest >= INTERVALS) return;
    for (size_t at = later.shortest; at <= later.longest; ++at) total.intervals[at] += later.intervals[at];
    total.shortest = std::min(total.shortest, later.shortest);
    total.longest = std::max(total.longest, later.longest);
  }

  Tally& tally(uint16_t channel) {
    if (index[channel] < 0) {
      index[channel] = static_cast<int32_t>(tallies.size());
      tallies.push_back(Tally{});
      tallies.back().channel = channel;
      tallies.back().least = ~uint64_t{0};
      tallies.back().shortest = INTERVALS;
    }
    return tallies[static_cast<size_t>(index[channel])];
  }

  void message(const uint8_t* body, uint64_t length) {
    Tally& seen = tally(load<uint16_t>(body));
    uint64_t time = load<uint64_t>(body + 6);
    arrive(seen, time);
    ++seen.messages;
    seen.size += length - FIXED;
    seen.last = time;
    if (time < seen.least) seen.least = time;
    if (time > seen.most) seen.most = time;
  }

 private:
  static void arrive(Tally& seen, uint64_t time) {
    if (seen.messages == 0) {
      seen.first = time;
      return;
    }
    if (time < seen.last) {
      ++seen.backwards;
      return;
    }
    size_t found = bucket(time - seen.last);
    ++seen.intervals[found];
    if (found < seen.shortest) seen.shortest = found;
    if (found > seen.longest) seen.longest = found;
  }
};

struct Table {
  int32_t action;
  uint64_t channel, rows, escaped;
  Buffer text;
};

struct TableView {
  const char* text;
  uint64_t size, channel, rows, escaped;
};

struct Left {
  uint64_t why, channel, start, end;
};

struct Request {
  const uint8_t* content;
  uint64_t start, end;
  const int32_t* actions;  // by channel
  uint64_t channels;
  const Plan* const* plans;
  uint64_t first_time, last_time;  // log times, both included
  uint64_t limit;                  // bytes of text after which to stop
};

struct ResultView {
  uint64_t stop;
  const TableView* tables;
  uint64_t table_count;
  const Left* left;
  uint64_t left_count;
};

class Result {
 public:
  Result() { std::memset(index_.get(), 0xFF, CHANNELS * sizeof(int32_t)); }

  void convert(const Request& request, ResultView& view) {
    clear();
    uint64_t text = 0;
    auto each = [&](uint8_t opcode, uint64_t body, uint64_t length) {
      if (opcode == MESSAGE && is_message(length)) text += message(request, body, length);
      return text < request.limit;
    };
    view.stop = walk(request.content, request.start, request.end, each);
    for (size_t at = 0; at < used_; ++at) {
      Table& table = *tables_[at];
      views_.push_back({table.text.data(), table.text.size(), table.channel, table.rows, table.escaped});
    }
    view.tables = views_.data();
    view.table_count = views_.size();
    view.left = left_.data();
    view.left_count = left_.size();
  }

 private:
  void clear() {
    for (size_t at = 0; at < used_; ++at) index_[tables_[at]->action] = -1;
    used_ = 0;
    views_.clear();
    left_.clear();
  }

  // Returns how many bytes of text the message made.
  uint64_t message(const Request& request, uint64_t start, uint64_t length) {
    const uint8_t* body = request.content + start;
    uint16_t channel = load<uint16_t>(body);
    int32_t action = channel < request.channels ? request.actions[channel] : SKIP;
    uint64_t time = load<uint64_t>(body + 6);
    if (action == SKIP || time < request.first_time || time > request.last_time) return 0;
    if (action == ASK) {
      left_.push_back({ASKED, channel, start, start + length});
      return 0;
    }
    Table& table = this->table(action, channel);
    size_t before = table.text.size();
    try {
      workspace_.escaped = 0;
      workspace_.has_more = false;
      table.rows += rows(*request.plans[action], table.text, body, length);
      table.escaped += workspace_.escaped;
      if (workspace_.has_more) left_.push_back({MORE, channel, start, start + length});
    } catch (const Undecodable&) {
      table.text.cut(before);
      left_.push_back({UNDECODABLE, channel, start, start + length});
    }
    return table.text.size() - before;
  }

  // Channels with the same plan share a table, so that its rows stand in the order of the block.
  Table& table(int32_t action, uint16_t channel) {
    if (index_[action] < 0) {
      if (used_ == tables_.size()) tables_.push_back(std::make_unique<Table>());
      Table& made = *tables_[used_];
      made.action = action;
      made.channel = channel;
      made.rows = made.escaped = 0;
      made.text.clear();
      index_[action] = static_cast<int32_t>(used_++);
    }
    return *tables_[static_cast<size_t>(index_[action])];
  }

  uint64_t rows(const Plan& plan, Buffer& out, const uint8_t* body, uint64_t length) {
    out.begin_row();
    char* to = out.room(3 * MAX_NUMBER);
    to = write_u64(to, load<uint64_t>(body + 6));
    *to++ = ',';
    to = write_u64(to, load<uint64_t>(body + 14));
    *to++ = ',';
    out.wrote(write_u64(to, load<uint32_t>(body + 2)));
    size_t times = out.size();
    const uint8_t* payload = body + FIXED;
    size_t size = length - FIXED;
    switch (plan.wire) {
      case Wire::CDR: return cdr(plan, out, times, payload, size);
      case Wire::ROS1: return in_order<false, 1, false, false>(plan, out, times, payload, size, 0);
      case Wire::PROTOBUF: return by_member<ByNumber>(plan, out, times, payload, size, finds_);
      case Wire::JSON: return by_member<ByName>(plan, out, times, payload, size, arrivals_);
      default: throw Undecodable{};
    }
  }

  // The header of CDR payloads; see ENCODINGS in ../cdr.py.
  uint64_t cdr(const Plan& plan, Buffer& out, size_t times, const uint8_t* payload, size_t size) {
    constexpr int64_t BEHIND = 7;  // bytes that a writer may add
    if (size < 4 || payload[0] != 0) throw Undecodable{};
    uint8_t kind = payload[1];
    payload += 4;
    size -= 4;
    switch (kind) {
      case 0x00: return in_order<true, 8, false, true>(plan, out, times, payload, size, BEHIND);
      case 0x01: return in_order<false, 8, false, true>(plan, out, times, payload, size, BEHIND);
      case 0x06: case 0x10: return in_order<true, 4, true, true>(plan, out, times, payload, size, BEHIND);
      case 0x07: case 0x11: return in_order<false, 4, true, true>(plan, out, times, payload, size, BEHIND);
      default: throw Undecodable{};
    }
  }

  template <bool SWAPPED, uint64_t WIDEST, bool DELIMITERS, bool TERMINATED>
  uint64_t in_order(const Plan& plan, Buffer& out, size_t times, const uint8_t* payload, size_t size, int64_t padding) {
    InOrder<SWAPPED, WIDEST, DELIMITERS, TERMINATED> run(plan, payload, size, out, workspace_);
    int64_t left = run.run();
    if (left < 0 || left > padding) throw Undecodable{};
    if (run.exploded()) return explode(out, times, run.behind_prefix());
    return end_row(out, times);
  }

  template <class Run, class Kept>
  uint64_t by_member(const Plan& plan, Buffer& out, size_t times, const uint8_t* payload, size_t size, Kept& kept) {
    Run run(plan, payload, size, out, workspace_, kept);
    run.run();
    if (run.exploded()) return explode(out, times, run.behind_prefix());
    return end_row(out, times);
  }

  uint64_t end_row(Buffer& out, size_t times) {
    if (out.size() - times > MAX_ROW) throw Undecodable{};
    out.put('\n');
    return 1;
  }

  // One row for every element: what stands before the list, the element, what stands behind it.
  uint64_t explode(Buffer& out, size_t times, size_t behind_prefix) {
    size_t row = out.row();
    const std::vector<size_t>& marks = workspace_.marks;
    uint64_t beside = out.size() - times;
    if (beside * marks.size() + workspace_.scratch.size() > MAX_ROW) throw Undecodable{};
    prefix_.assign(out.data() + row, behind_prefix - row);
    suffix_.assign(out.data() + behind_prefix, out.size() - behind_prefix);
    out.cut(row);
    size_t from = 0;
    for (size_t mark : marks) {
      out.put(prefix_.data(), prefix_.size());
      out.put(workspace_.scratch.data() + from, mark - from);
      out.put(suffix_.data(), suffix_.size());
      out.put('\n');
      from = mark;
    }
    return marks.size();
  }

  std::vector<std::unique_ptr<Table>> tables_;
  size_t used_ = 0;
  std::vector<TableView> views_;
  std::vector<Left> left_;
  std::unique_ptr<int32_t[]> index_{new int32_t[CHANNELS]};
  Workspace workspace_;
  Finds finds_;
  Arrivals arrivals_;
  std::string prefix_, suffix_;
};

struct WholeView {
  ScanView scanned;
  ResultView converted;
  uint64_t is_plain;
};

// A block that is scanned and converted in one go.
struct Whole {
  Scan scan;
  Result result;

  void run(const Request& request, WholeView& view) {
    scan.look(request.content, request.start, request.end);
    scan.show(view.scanned);
    Request records = request;
    records.end = scan.end;
    result.convert(records, view.converted);
    bool is_read = scan.end == request.end && scan.refused.empty();
    bool is_made = view.converted.stop == scan.end && view.converted.left_count == 0;
    view.is_plain = is_read && is_made && std::all_of(scan.tallies.begin(), scan.tallies.end(), [&](const Tally& tally) {
      return tally.channel < request.channels && request.actions[tally.channel] >= 0;
    });
  }
};

}  // namespace fieldpipe

// The functions below return null, or false, when memory is short.

EXPORT const char* fieldpipe_names() { return fieldpipe::NAMES; }

EXPORT uint64_t fieldpipe_layout() {
  using namespace fieldpipe;
  return sizeof(ScanView) << 48 | sizeof(Instruction) << 32 | sizeof(Tally) << 16 | sizeof(Request);
}

EXPORT fieldpipe::Plan* fieldpipe_plan(const fieldpipe::Instruction* program, uint64_t count, const char* texts, uint64_t size,
                                       uint32_t wire, uint32_t formula_safe) try {
  using namespace fieldpipe;
  std::string padded = std::string(texts, size).append(PADDING, ' ');
  auto plan = std::make_unique<Plan>(Plan{{program, program + count}, padded, static_cast<Wire>(wire), formula_safe != 0, nullptr, nullptr});
  if (plan->wire == Wire::PROTOBUF) plan->messages = std::make_shared<const Messages>(*plan);
  if (plan->wire == Wire::JSON) plan->objects = std::make_shared<const Objects>(*plan);
  return plan.release();
} catch (const std::bad_alloc&) {
  return nullptr;
}

EXPORT void fieldpipe_plan_free(fieldpipe::Plan* plan) { delete plan; }

EXPORT fieldpipe::Scan* fieldpipe_scan_new() try {
  return new fieldpipe::Scan;
} catch (const std::bad_alloc&) {
  return nullptr;
}

EXPORT void fieldpipe_scan_free(fieldpipe::Scan* scan) { delete scan; }

EXPORT bool fieldpipe_scan(const uint8_t* content, uint64_t start, uint64_t end, fieldpipe::Scan* scan, fieldpipe::ScanView* view) try {
  scan->look(content, start, end);
  scan->show(*view);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

// What was seen in `later` is added to `total`.
EXPORT bool fieldpipe_scan_add(fieldpipe::Scan* total, const fieldpipe::Whole* later) try {
  for (const fieldpipe::Tally& tally : later->scan.tallies) total->add(tally);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

EXPORT void fieldpipe_scan_show(const fieldpipe::Scan* scan, fieldpipe::ScanView* view) { scan->show(*view); }

EXPORT fieldpipe::Whole* fieldpipe_whole_new() try {
  return new fieldpipe::Whole;
} catch (const std::bad_alloc&) {
  return nullptr;
}

EXPORT void fieldpipe_whole_free(fieldpipe::Whole* whole) { delete whole; }

EXPORT bool fieldpipe_whole(const fieldpipe::Request* request, fieldpipe::Whole* whole, fieldpipe::WholeView* view) try {
  whole->run(*request, *view);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

EXPORT fieldpipe::Result* fieldpipe_result_new() try {
  return new fieldpipe::Result;
} catch (const std::bad_alloc&) {
  return nullptr;
}

EXPORT void fieldpipe_result_free(fieldpipe::Result* result) { delete result; }

EXPORT bool fieldpipe_convert(const fieldpipe::Request* request, fieldpipe::Result* result, fieldpipe::ResultView* view) try {
  result->convert(*request, *view);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}
