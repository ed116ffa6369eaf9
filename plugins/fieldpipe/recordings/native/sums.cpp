// SHA-256 sums of several streams at once, for ../sums.py.

#include <new>

#include "export.hpp"
#include "sha256.hpp"

using namespace fieldpipe::sha256;

#ifdef FIELDPIPE_SHA

// Whether this processor can; if it cannot, none of the others may be called.
EXPORT bool fieldpipe_sha256_available() { return available(); }

EXPORT uint64_t fieldpipe_sha256_layout() { return sizeof(Digest) << 32 | sizeof(Piece); }

EXPORT void fieldpipe_sha256_begin(Digest* digest) { begin(*digest); }

// Pieces of one stream follow one another. False when memory is short; nothing is taken then.
EXPORT bool fieldpipe_sha256_update(const Piece* pieces, uint64_t count) try {
  update(pieces, count);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

// The sum so far, 32 bytes; the stream may go on.
EXPORT bool fieldpipe_sha256_finish(const Digest* digest, uint8_t* sum) try {
  finish(*digest, sum);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

#else

EXPORT bool fieldpipe_sha256_available() { return false; }
EXPORT uint64_t fieldpipe_sha256_layout() { return 0; }
EXPORT void fieldpipe_sha256_begin(Digest*) {}
EXPORT bool fieldpipe_sha256_update(const Piece*, uint64_t) { return false; }
EXPORT bool fieldpipe_sha256_finish(const Digest*, uint8_t*) { return false; }

#endif
