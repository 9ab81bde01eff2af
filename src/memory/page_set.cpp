#include "memory/page_set.h"

#include <algorithm>
#include <iterator>

namespace spillway::memory {

void PageSet::insert(PageRun run) {
  if (run.pages() == 0) return;
  auto next = runs_.upper_bound(run.first);
  if (next != runs_.begin() && std::prev(next)->second >= run.first) --next;
  // `next` is the first run that touches the new one, or lies behind it.
  while (next != runs_.end() && next->first <= run.end) {
    run.first = std::min(run.first, next->first);
    run.end = std::max(run.end, next->second);
    pages_ -= next->second - next->first;
    next = runs_.erase(next);
  }
  runs_.emplace(run.first, run.end);
  pages_ += run.pages();
}

void PageSet::erase(PageRun run) {
  for (const PageRun& part : inside(run)) {
    const auto whole = std::prev(runs_.upper_bound(part.first));
    const PageRun before = {whole->first, part.first};
    const PageRun after = {part.end, whole->second};
    runs_.erase(whole);
    if (before.pages() != 0) runs_.emplace(before.first, before.end);
    if (after.pages() != 0) runs_.emplace(after.first, after.end);
    pages_ -= part.pages();
  }
}

bool PageSet::contains(PageRun run) const {
  if (run.pages() == 0) return true;
  const auto next = runs_.upper_bound(run.first);
  return next != runs_.begin() && std::prev(next)->second >= run.end;
}

std::vector<PageRun> PageSet::inside(PageRun run) const {
  std::vector<PageRun> parts;
  auto next = runs_.upper_bound(run.first);
  if (next != runs_.begin()) --next;
  for (; next != runs_.end() && next->first < run.end; ++next) {
    const PageRun part = {std::max(run.first, next->first), std::min(run.end, next->second)};
    if (part.first < part.end) parts.push_back(part);
  }
  return parts;
}

std::vector<PageRun> PageSet::gaps(PageRun run) const {
  std::vector<PageRun> gaps;
  size_t first = run.first;
  for (const PageRun& part : inside(run)) {
    if (first < part.first) gaps.push_back({first, part.first});
    first = part.end;
  }
  if (first < run.end) gaps.push_back({first, run.end});
  return gaps;
}

bool PageSet::valid() const {
  size_t sum = 0;
  size_t free_from = 0;  // where the next run may begin
  for (const auto& [first, end] : runs_) {
    if (first < free_from || first >= end) return false;
    free_from = end + 1;
    sum += end - first;
  }
  return sum == pages_;
}

}  // namespace spillway::memory
