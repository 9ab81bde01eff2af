// Follows a text byte by byte through a grammar: a set of pushdown stacks, each a way in which the
// text so far may be read. Sets are numbered, and where they lead is remembered, so that tokens
// with equal beginnings cost one look-up a byte. One thread; the grammar outlives it.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "formats/grammar.h"

namespace spillway::formats {

class GrammarMatcher {
 public:
  // Valid until the next trim().
  using State = uint32_t;
  static constexpr State kDead = 0;  // no text of the grammar begins like this
  // More ways to read a text at once, deeper nesting, or more rules between two bytes than this
  // count as none.
  static constexpr size_t kMostStacks = 2048;
  static constexpr uint32_t kMostDepth = 4096;
  static constexpr size_t kMostSteps = size_t{1} << 15;

  explicit GrammarMatcher(const Grammar& grammar);

  State start() const { return start_; }  // of the empty text
  State advance(State state, uint8_t byte);
  State advance(State state, std::string_view bytes);
  bool complete(State state) const { return states_[state].complete; }  // a text of the grammar
  // The text is complete and nothing may follow.
  bool finished(State state) const { return complete(state) && states_[state].nodes.empty(); }

  // Forgets what only other states need, once that is much (memory then stays within some MiB).
  // `live` get their new numbers.
  void trim(std::vector<State>& live);

 private:
  using NodeId = uint32_t;
  static constexpr NodeId kBottom = 0;  // of every stack: the end of the text

  // The top of a stack: go on at a symbol, then with the parent.
  struct Node {
    uint32_t symbol;
    NodeId parent;
    uint32_t depth;
    uint64_t seen_in;  // the last closure that met it
  };
  struct Set {
    std::vector<NodeId> nodes;  // sorted; each at a byte set
    bool complete = false;
  };

  NodeId intern(uint32_t symbol, NodeId parent);
  void follow(NodeId id);
  State close();
  void clear();
  NodeId copy(const std::vector<Node>& from, NodeId id, std::vector<NodeId>& copied);

  const Grammar& grammar_;
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, NodeId> node_ids_;  // by symbol and parent
  std::vector<Set> states_;
  std::map<std::pair<std::vector<NodeId>, bool>, State> state_ids_;
  std::unordered_map<uint64_t, State> leads_to_;  // by state and byte
  State start_ = kDead;
  // Of the closure under way.
  uint64_t closure_ = 0;
  std::vector<NodeId> pending_;
  Set closed_;
};

}  // namespace spillway::formats
