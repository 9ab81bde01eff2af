#include "formats/grammar_matcher.h"

#include <algorithm>
#include <utility>

namespace spillway::formats {
namespace {

using Kind = Grammar::Symbol::Kind;

constexpr size_t kTrimNodes = size_t{1} << 15;
constexpr size_t kTrimStates = size_t{1} << 12;
constexpr size_t kTrimSteps = size_t{1} << 15;

uint64_t pair_of(uint32_t high, uint32_t low) {
  return uint64_t{high} << 32 | low;
}

}  // namespace

GrammarMatcher::GrammarMatcher(const Grammar& grammar) : grammar_(grammar) {
  clear();
  for (const uint32_t begin : grammar_.alternatives(grammar_.root()))
    pending_.push_back(intern(begin, kBottom));
  start_ = close();
}

void GrammarMatcher::clear() {
  nodes_ = {Node{0, kBottom, 0, 0}};
  states_ = {Set{}};
  node_ids_.clear();
  state_ids_.clear();
  state_ids_.emplace(std::pair(std::vector<NodeId>(), false), kDead);
  leads_to_.clear();
}

GrammarMatcher::NodeId GrammarMatcher::intern(uint32_t symbol, NodeId parent) {
  const auto [entry, added] =
      node_ids_.try_emplace(pair_of(symbol, parent), static_cast<NodeId>(nodes_.size()));
  if (added) nodes_.push_back({symbol, parent, nodes_[parent].depth + 1, 0});
  return entry->second;
}

// What a stack's top asks for, until it is a byte.
void GrammarMatcher::follow(NodeId id) {
  Node& node = nodes_[id];
  if (node.seen_in == closure_ || node.depth > kMostDepth) return;
  node.seen_in = closure_;
  const auto [symbol, parent, depth, seen] = node;
  const Grammar::Symbol& wanted = grammar_.symbols()[symbol];
  switch (wanted.kind) {
    case Kind::kBytes:
      closed_.nodes.push_back(id);
      return;
    case Kind::kEnd:
      if (parent == kBottom) {
        closed_.complete = true;
      } else {
        pending_.push_back(parent);
      }
      return;
    case Kind::kRule: {
      // A rule that comes last leaves nothing to come back to.
      const bool last = grammar_.symbols()[symbol + 1].kind == Kind::kEnd;
      const NodeId back = last ? parent : intern(symbol + 1, parent);
      for (const uint32_t begin : grammar_.alternatives(wanted.index))
        pending_.push_back(intern(begin, back));
      return;
    }
  }
}

// All stacks that the pending ones lead to without a byte, as a state.
GrammarMatcher::State GrammarMatcher::close() {
  ++closure_;
  closed_ = {};
  for (size_t steps = 0; !pending_.empty() && steps <= kMostSteps; ++steps) {
    const NodeId id = pending_.back();
    pending_.pop_back();
    follow(id);
  }
  const bool too_many = !pending_.empty() || closed_.nodes.size() > kMostStacks;
  pending_.clear();
  if (too_many) return kDead;
  std::sort(closed_.nodes.begin(), closed_.nodes.end());
  const auto [entry, added] = state_ids_.try_emplace(std::pair(closed_.nodes, closed_.complete),
                                                     static_cast<State>(states_.size()));
  if (added) states_.push_back(std::move(closed_));
  return entry->second;
}

GrammarMatcher::State GrammarMatcher::advance(State state, uint8_t byte) {
  if (state == kDead) return kDead;
  const uint64_t key = pair_of(state, byte);
  const auto known = leads_to_.find(key);
  if (known != leads_to_.end()) return known->second;
  // By value: interning moves the nodes.
  for (const NodeId id : std::vector<NodeId>(states_[state].nodes)) {
    const Node node = nodes_[id];
    if (!grammar_.bytes(grammar_.symbols()[node.symbol].index).has(byte)) continue;
    pending_.push_back(intern(node.symbol + 1, node.parent));
  }
  const State next = close();
  leads_to_.emplace(key, next);
  return next;
}

GrammarMatcher::State GrammarMatcher::advance(State state, std::string_view bytes) {
  for (const char byte : bytes) state = advance(state, static_cast<uint8_t>(byte));
  return state;
}

// With its parents, which are copied first: deep stacks are not followed by recursion.
GrammarMatcher::NodeId GrammarMatcher::copy(const std::vector<Node>& from, NodeId id,
                                            std::vector<NodeId>& copied) {
  std::vector<NodeId> chain;
  for (NodeId at = id; at != kBottom && copied[at] == kBottom; at = from[at].parent)
    chain.push_back(at);
  for (auto at = chain.rbegin(); at != chain.rend(); ++at)
    copied[*at] = intern(from[*at].symbol, copied[from[*at].parent]);
  return copied[id];
}

void GrammarMatcher::trim(std::vector<State>& live) {
  if (nodes_.size() <= kTrimNodes && states_.size() <= kTrimStates &&
      leads_to_.size() <= kTrimSteps)
    return;
  const std::vector<Node> old_nodes = std::move(nodes_);
  const std::vector<Set> old_states = std::move(states_);
  clear();
  std::vector<NodeId> copied(old_nodes.size(), kBottom);
  live.push_back(start_);
  for (State& state : live) {
    Set set{.nodes = {}, .complete = old_states[state].complete};
    for (const NodeId id : old_states[state].nodes)
      set.nodes.push_back(copy(old_nodes, id, copied));
    std::sort(set.nodes.begin(), set.nodes.end());
    const auto [entry, added] = state_ids_.try_emplace(std::pair(set.nodes, set.complete),
                                                       static_cast<State>(states_.size()));
    if (added) states_.push_back(std::move(set));
    state = entry->second;
  }
  start_ = live.back();
  live.pop_back();
}

}  // namespace spillway::formats
