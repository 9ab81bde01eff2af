// A loaded model that evaluates tokens of one sequence. Made from a plan; everything that it holds
// is charged to the budget. One thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/context.h"
#include "engine/model_file.h"
#include "engine/weight_memory.h"
#include "engine/workload.h"
#include "placement/plan.h"

namespace spillway::engine {

// Bytes that passed, since loading.
struct Traffic {
  uint64_t disk_bytes = 0;     // read, padding and embedding rows included
  uint64_t host_bytes = 0;     // resident weights used in place
  double wait_seconds = 0;     // that computing waited for the ring
  double loading_seconds = 0;  // and for weights that stay and were still to come
};
Traffic operator-(const Traffic& a, const Traffic& b);

class Engine {
 public:
  // Reserves, begins to read what stays, and starts the ring. Passes wait for what has not come:
  // the first one has `progress` called, and returns when all has. kBudget, kMachine, kBadFile.
  // The model outlives the engine; its small tensors are filled.
  static Result<std::unique_ptr<Engine>> load(const Context& context, ModelFile& model,
                                              const Settings& settings, RunPlan run,
                                              const Progress& progress);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Appends ids to the sequence: at most shape().chunk of them, the last `outputs` (at most
  // shape().outputs) give logits: [outputs, vocabulary], valid until the next call. After
  // kInterrupted the sequence is what it was; after another error (kMachine, kBadFile: reading
  // failed) the engine cannot go on.
  Result<std::span<const float>> evaluate(std::span<const formats::TokenId> ids, size_t outputs);
  // Forgets all but the first `tokens` of the sequence; not more than there are.
  void rewind(size_t tokens);

  const std::vector<formats::TokenId>& tokens() const { return tokens_; }  // the sequence
  size_t position() const { return tokens_.size(); }
  // Where the keys and values of the first `positions` lie, kKvBlockTokens positions each.
  std::vector<std::span<std::byte>> kv_blocks(size_t positions);
  // The sequence is `tokens`, whose keys and values were put into kv_blocks(tokens.size()).
  void restore(std::vector<formats::TokenId> tokens);
  DType kv_dtype() const;

  // Waits for all weights that stay, instead of in the first pass: for measurements.
  Result<void> finish_loading();
  // Then: weights take the form in which passes of one token are fastest now, instead of during the
  // first of these: for measurements.
  void take_form();

  const RunShape& shape() const;
  const placement::Plan& plan() const;
  Traffic traffic() const;
  bool mapped() const;                   // the file was mapped, not read
  std::string_view read_method() const;  // "io_uring", "threads", "none" where nothing streams

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
  std::vector<formats::TokenId> tokens_;
};

}  // namespace spillway::engine
