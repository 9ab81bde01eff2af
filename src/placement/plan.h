// What lives where, why, and how fast that should be: decided from measured rates before anything
// is loaded. Decoding touches every weight once a token in a fixed order, so some slices stay
// (resident) and the others pass through a staging ring, spread evenly over the pass, so that the
// disk never idles. Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/machine.h"
#include "memory/staging_ring.h"
#include "model/weights.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::placement {

// Memory that the run holds beside the matrices and their staging.
struct Charge {
  memory::Tag tag = memory::Tag::kOther;
  std::string name;
  uint64_t bytes = 0;
};

// What is to be placed, and within what.
struct Workload {
  std::vector<model::Weight> weights;  // in the order of execution
  model::Weight embedding;             // looked up by rows; the same bytes as a weight, or not
  std::vector<Charge> charges;
  uint64_t host_budget_bytes = 0;
  std::optional<uint64_t> weights_budget_bytes;  // a cap on Tag::kWeights within it
  unsigned threads = 1;
  size_t ops_per_token = 0;  // for the share of time that no byte explains
  // What a token takes beside its products, where that was measured (engine/measure_pass.h); else
  // the ops' number tells.
  std::optional<double> seconds_beside_products;
  platform::FileInfo file;
  size_t page_bytes = 4096;
};

// A block of rows of one weight: what one kernel call works on.
struct Slice {
  model::WeightId weight = 0;
  size_t first_row = 0;
  size_t rows = 0;
  uint64_t file_offset = 0;
  size_t size_bytes = 0;
  size_t unit = 0;
};

// Slices that lie together in the file and follow each other in execution: what stays or streams.
struct Unit {
  uint64_t file_offset = 0;
  size_t size_bytes = 0;
  std::optional<size_t> cycle_index;  // in the ring's cycle; none: resident
};

struct Prediction {
  double tokens_per_second = 0;        // of decoding
  double bound_tokens_per_second = 0;  // what the rates allow at best: nothing but bytes counted
  double disk_seconds = 0;             // a token
  double compute_seconds = 0;          // a token
  double disk_bytes_per_second = 0;    // at the ring's block size and depth
  uint64_t disk_bytes = 0;             // a token, padding included
  uint64_t host_bytes = 0;             // a token: all weights pass the processor
  bool guessed = false;                // a rate was not measured: careful guesses stand for it
};

// What happened to the slices of a kind, and why.
struct Group {
  std::string name;  // "ffn_down.weight, 30 layers"
  size_t slices = 0;
  uint64_t resident_bytes = 0;
  uint64_t streamed_bytes = 0;
  std::string reason;
};

struct Plan {
  std::vector<Slice> slices;  // in the order of execution
  std::vector<Unit> units;
  std::vector<memory::StreamRange> cycle;
  memory::StagingRing::Options staging;  // zero slots where nothing streams
  bool embedding_resident = false;       // every row lies in memory
  uint64_t embedding_bytes = 0;          // of a table of its own that stays, in whole pages
  uint64_t weight_bytes = 0;             // of all matrices, each once
  uint64_t resident_bytes = 0;           // in whole pages
  uint64_t least_budget_bytes = 0;       // a run with the same chunk would start with so much
  std::vector<Charge> charges;           // everything, weights and staging included
  std::vector<Group> groups;
  Prediction prediction;
};

// The same input gives the same plan. kBudget: too small, with the least that would do.
Result<Plan> make_plan(const Workload& workload, const machine::Machine& machine);

// Who would hold what, an indented line each, for people.
std::string explain(const std::vector<Charge>& charges);

nlohmann::ordered_json to_json(const Plan& plan);
// Where each slice lives, in the order of execution; `weights` are the workload's.
nlohmann::ordered_json slices_json(const Plan& plan, const std::vector<model::Weight>& weights);
// A few lines for people.
std::string explain(const Plan& plan);

}  // namespace spillway::placement
