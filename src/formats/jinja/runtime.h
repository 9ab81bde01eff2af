// What one render may use up and what it owns: counters of steps, depth and bytes, and the
// namespaces that its values point to. Whatever makes or walks values takes one. One render, one
// thread.
#pragma once

#include <ctime>
#include <deque>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/jinja.h"
#include "formats/jinja/value.h"

namespace spillway::formats::jinja {

class Runtime {
 public:
  Runtime(const JinjaLimits& limits, const std::tm& now) : limits_(limits), now_(now) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const std::tm& now() const { return now_; }
  const JinjaLimits& limits() const { return limits_; }

  // Counts work: one step for a node or a list's element, one for some bytes of a text.
  Result<void> step(uint64_t steps = 1);
  Result<void> scan(size_t bytes) { return step(bytes / kBytesPerStep); }
  // Counts what is about to be made; one string may have limits().output_bytes, all together
  // kMadePerOutput times that.
  Result<void> make(size_t bytes);

  Result<Value> text(std::string bytes);
  Result<Value> sequence(std::vector<Value> items, SequenceKind kind = SequenceKind::kList);
  Result<Value> dict(Dict dict);
  Result<Namespace*> new_namespace();
  // Keeps a loop that remembers values until the end, and makes it forget them then: they may lead
  // back to it.
  void keep(LoopPtr loop) { loops_.push_back(std::move(loop)); }

  // Goes one level deeper for as long as it lives; check() says whether that was too deep.
  class Descent {
   public:
    explicit Descent(Runtime& runtime) : runtime_(runtime) { ++runtime_.depth_; }
    ~Descent() { --runtime_.depth_; }
    Descent(const Descent&) = delete;
    Descent& operator=(const Descent&) = delete;
    Result<void> check() const;

   private:
    Runtime& runtime_;
  };

 private:
  static constexpr size_t kBytesPerStep = 64;
  static constexpr uint64_t kMadePerOutput = 4;

  const JinjaLimits limits_;
  const std::tm now_;
  uint64_t steps_ = 0;
  uint64_t made_bytes_ = 0;
  size_t depth_ = 0;
  std::deque<Namespace> namespaces_;
  std::vector<LoopPtr> loops_;
};

// Counts one reading of the value if it is a text, as filters and methods do it. (Those of lists
// and dictionaries count what they do: many need only a size or one element.)
Result<void> charge(Runtime& runtime, const Value& value);

// The elements that a loop over `value` sees: of a sequence, the keys of a dictionary, the
// characters of a text, none of an undefined value.
Result<SequencePtr> iterate(Runtime& runtime, const Value& value);

// The error of using an undefined value for more than printing and iterating it.
Result<void> require_defined(const Value& value);

}  // namespace spillway::formats::jinja
