// Fuzzing of the compiled executor with libFuzzer: any bytes as payloads and as records, under the sanitizers.
//
// The plans come from the file that FIELDPIPE_FUZZ_PLANS names (written by plans.py). The first byte of an input
// chooses one; what follows is a payload, or, for the highest values, a block of records. Beside what the sanitizers
// see, every row must be valid UTF-8 and have as many cells as its plan has columns.

#include "../../plugins/fieldpipe/recordings/native/executor.cpp"

#include <cstdio>
#include <fstream>

namespace {

using namespace fieldpipe;

struct Known {
  Plan* plan;
  uint64_t columns;
};

template <class Value>
Value read(std::ifstream& file) {
  Value value{};
  file.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

std::vector<Known> plans() {
  const char* name = std::getenv("FIELDPIPE_FUZZ_PLANS");
  std::ifstream file(name == nullptr ? "" : name, std::ios::binary);
  std::vector<Known> made(read<uint64_t>(file));
  for (Known& known : made) {
    auto wire = read<uint64_t>(file), formula_safe = read<uint64_t>(file);
    known.columns = read<uint64_t>(file);
    std::vector<Instruction> program(read<uint64_t>(file));
    for (Instruction& instruction : program) instruction = read<Instruction>(file);
    std::string texts(read<uint64_t>(file), '\0');
    file.read(texts.data(), static_cast<std::streamsize>(texts.size()));
    known.plan = fieldpipe_plan(program.data(), program.size(), texts.data(), texts.size(), static_cast<uint32_t>(wire),
                                static_cast<uint32_t>(formula_safe));
  }
  if (!file || made.empty()) {
    std::fprintf(stderr, "FIELDPIPE_FUZZ_PLANS must name a file that plans.py wrote\n");
    std::exit(2);
  }
  return made;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

void check_rows(const TableView& table, uint64_t columns) {
  const auto* text = reinterpret_cast<const uint8_t*>(table.text);
  require(is_utf8(text, table.size), "rows are UTF-8");
  uint64_t rows = 0, commas = 0;
  bool quoted = false;
  for (uint64_t at = 0; at < table.size; ++at) {
    if (text[at] == '"') quoted = !quoted;
    if (quoted) continue;
    commas += text[at] == ',';
    if (text[at] != '\n') continue;
    require(commas == columns + 2, "a row has a cell for every column");
    commas = 0;
    ++rows;
  }
  require(!quoted && rows == table.rows, "every row is complete and counted");
}

void convert(const std::vector<uint8_t>& block, const std::vector<Known>& known, const std::vector<int32_t>& actions) {
  static Scan* scan = fieldpipe_scan_new();
  static Result* result = fieldpipe_result_new();
  static Whole* whole = fieldpipe_whole_new();
  std::vector<const Plan*> chosen;
  for (const Known& one : known) chosen.push_back(one.plan);
  // an allocation of just this size, so that a byte too far is seen
  std::unique_ptr<uint8_t[]> content(new uint8_t[block.size()]);
  if (!block.empty()) std::memcpy(content.get(), block.data(), block.size());
  ScanView scanned{};
  require(fieldpipe_scan(content.get(), 0, block.size(), scan, &scanned), "scan finds memory");
  require(scanned.end <= block.size(), "scan ends in the block");
  Request request{content.get(), 0, scanned.end, actions.data(), actions.size(), chosen.data(), 0, ~uint64_t{0}, 1 << 16};
  Request all = request;
  all.end = block.size();
  WholeView seen{};
  require(fieldpipe_whole(&all, whole, &seen), "a whole block finds memory");
  require(seen.scanned.end == scanned.end && seen.converted.stop <= scanned.end, "a whole block ends where it ends");
  static Scan* total = fieldpipe_scan_new();
  require(fieldpipe_scan_add(total, whole), "tallies find memory");
  while (request.start < request.end) {
    ResultView view{};
    require(fieldpipe_convert(&request, result, &view), "convert finds memory");
    for (uint64_t at = 0; at < view.table_count; ++at) {
      check_rows(view.tables[at], known[static_cast<size_t>(actions[view.tables[at].channel])].columns);
    }
    require(view.stop > request.start && view.stop <= request.end, "convert goes on");
    request.start = view.stop;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Known>& known = *new std::vector<Known>(plans());  // never freed: the plans neither
  if (size == 0) return 0;
  if (data[0] >= known.size()) {
    std::vector<int32_t> actions;
    for (size_t at = 0; at < known.size(); ++at) actions.push_back(static_cast<int32_t>(at));
    actions.push_back(ASK);
    convert({data + 1, data + size}, known, actions);
    return 0;
  }
  std::vector<uint8_t> block(HEAD + FIXED + size - 1);
  block[0] = MESSAGE;
  uint64_t length = block.size() - HEAD;
  std::memcpy(block.data() + 1, &length, sizeof length);
  std::memcpy(block.data() + HEAD + FIXED, data + 1, size - 1);
  convert(block, known, {static_cast<int32_t>(data[0])});
  return 0;
}
