// What becomes of which bytes of a kernel record, as data: the table of fields in src/sources/exec-fields.ts and
// exit-fields.ts, compiled by src/sources/record-program.ts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "learned.h"
#include "secrets.h"

namespace bpf2kafka {

constexpr std::size_t max_tables = 8;
constexpr std::size_t max_key_bytes = 64;

// An unsigned number in a record, little-endian.
struct Place {
  std::uint32_t offset = 0;    // bytes from the start of the record, or of the item
  std::uint8_t bytes = 1;      // 1, 2, 4 or 8
  std::uint64_t mask = ~0ULL;  // bits that count
  // Filled by RecordProgram::prepare: the number is read as part of eight bytes that lie in the struct too.
  std::uint8_t shift = 0;   // bits below it
  std::uint32_t begin = 0;  // of the eight
};

// Bytes of the program.
struct Piece {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

// Where a record says where one of its strings stands: struct span of bpf/abi.h.
struct SpanPlace {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

// What must hold of a record.
struct Condition {
  enum class Kind : std::uint8_t {
    equal,
    unequal,
    same,  // as another number
  };

  Kind kind;
  Place place;
  std::uint64_t value = 0;
  Place other;  // same
};

// Bytes of a record by which something is looked up: numbers one behind the other, or a string.
struct Key {
  std::vector<Place> numbers;
  SpanPlace span;
};

// One step of the way of a record into Avro, in a line of the cache: each record goes through all of them.
struct alignas(64) Step {
  enum class Kind : std::uint8_t {
    bytes,    // only what is the same for each record
    number,   // an int or a long
    bit,      // a boolean
    decimal,  // a number as a string
    hex,      // a number of 32 bits as eight digits of a string whose length is written
    name,     // a string in place of at most 16 bytes, ended by a NUL when it is shorter
    device,   // MAJOR:MINOR as a string
    text,     // a string of the record
    texts,    // an array of strings from texts that end with a NUL
    micros,   // nanoseconds as microseconds
    millis,   // wall time, milliseconds since 1970, of nanoseconds since boot
    given,    // a number that user space has worked out for the record
    learned,  // a value that user space has told before
    missing,  // an array of names: of those that are lacking always, and of those that are not learned
    // From here on with steps inside.
    when,     // these, or null
    items,    // an array of structs, these for each
    keep,     // these, whose Avro is kept for later records
    sized,    // these, with the number of their bytes before them
  };

  Kind kind;
  std::uint8_t index = 0;   // bit: which; given, millis: which of the given numbers; learned: which table; when: which condition
  std::uint8_t part = 0;    // learned, keep: which value
  std::uint8_t tables = 0;  // missing: a bit for each
  bool is_int = false;      // number: not a long
  Piece before;             // the same for each record, written first
  std::uint32_t end = 0;    // when, items, keep, sized: behind the last step inside, which follow this one
  std::uint32_t count = 0;  // missing: names that are lacking always; items: bytes of one
  Place place;              // number, bit, decimal, hex, name, device, micros, millis; texts: how many they must be
  SpanPlace span;           // text, texts, items
  Piece names;              // missing: those that are lacking always
};

struct Table {
  std::shared_ptr<LearnedTable> learned;
  Key key;
};

// Wall time, milliseconds since 1970, of nanoseconds since boot.
struct Timestamp {
  Place place;
  std::uint32_t given = 0;  // which of the given numbers: microseconds between the two
};

struct RecordProgram {
  // What is the same for each record is copied by so many bytes, whatever its size, when it has no more.
  static constexpr std::size_t piece_bytes = 32;

  std::vector<Step> steps;
  Timestamp timestamp;
  std::string bytes;
  std::vector<Condition> conditions;
  // Of records that can be written at all; all others are declined.
  std::vector<Condition> whole;
  // In which there must be no secrets.
  std::vector<SpanPlace> harmless;
  std::vector<Table> tables;
  SecretTriggers secrets;
  // Into which table, and under which key, goes what `keep` keeps.
  std::shared_ptr<LearnedTable> kept;
  Key kept_key;
  std::vector<std::string> kept_names;  // of its parts, as Avro: each is missing when nothing was kept of it
  std::uint32_t record_bytes = 0;
  std::uint32_t given = 0;  // numbers a record

  // Throws ERR_ADDON when it would read or write where it must not. To be called once, before it is used.
  void prepare();
};

}  // namespace bpf2kafka
