#include "engine/draft_plan.h"

#include <algorithm>

#include "base/units.h"

namespace spillway::engine {
namespace {

// More than any model has: nothing is to stream.
constexpr uint64_t kEverything = kGiB * 1024 * 1024;
// A draft's prompts are the few tokens that it has not seen yet, but for the first.
constexpr size_t kDraftChunk = 128;

Result<void> check_same_vocabulary(const ModelFile& draft, const ModelFile& target) {
  const formats::Tokenizer& a = draft.tokenizer;
  const formats::Tokenizer& b = target.tokenizer;
  if (a.size() != b.size()) {
    return fail(ErrorCode::kUsage, "the draft model's vocabulary has {} tokens, the model's {}",
                a.size(), b.size());
  }
  for (size_t i = 0; i < a.size(); ++i) {
    const auto id = static_cast<formats::TokenId>(i);
    if (a.token_text(id) == b.token_text(id)) continue;
    return fail(ErrorCode::kUsage,
                "the draft model's vocabulary differs from the model's: token {} is '{}', not '{}'",
                id, a.token_text(id), b.token_text(id));
  }
  return {};
}

}  // namespace

std::vector<placement::Charge> DraftPlan::charges() const {
  std::vector<placement::Charge> charges = run.plan.charges;
  for (placement::Charge& charge : charges) charge.name = "draft model: " + charge.name;
  return charges;
}

Result<DraftPlan> plan_draft(const Context& context, const std::string& path,
                             const ModelFile& target, const Settings& settings,
                             const RunLength& length) {
  DraftPlan draft;
  SPILLWAY_ASSIGN(ModelFile model, ModelFile::open(context.platform, path));
  draft.model = std::make_unique<ModelFile>(std::move(model));
  SPILLWAY_TRY(check_same_vocabulary(*draft.model, target));
  draft.settings = settings;
  draft.settings.within_process = true;
  draft.settings.beside.clear();
  draft.settings.weights_budget_bytes.reset();
  draft.settings.prompt_chunk = std::min(settings.prompt_chunk, kDraftChunk);
  const RunShape shape = run_shape(*draft.model, context.ops, draft.settings,
                                   {length.prompt_tokens, length.answer_tokens});
  draft.settings.host_budget_bytes = kEverything;
  SPILLWAY_ASSIGN(draft.run, plan_run(*draft.model, context.ops, draft.settings, shape, {}));
  return draft;
}

Result<std::unique_ptr<DraftModel>> load_draft(const Context& context, DraftPlan& plan,
                                               double least_probability) {
  SPILLWAY_ASSIGN(auto engine,
                  Engine::load(context, *plan.model, plan.settings, std::move(plan.run), {}));
  return std::make_unique<DraftModel>(std::move(engine), plan.model->tokenizer.size(),
                                      least_probability);
}

}  // namespace spillway::engine
