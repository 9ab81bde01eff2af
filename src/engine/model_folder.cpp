#include "engine/model_folder.h"

namespace spillway::engine {

bool is_model_folder(platform::Platform&, const std::string&) {
  return false;
}
Result<std::string> read_config_text(platform::Platform&, const std::string& folder) {
  return fail(ErrorCode::kBadFile, "{}: folders cannot be loaded yet", folder);
}
Result<ModelParts> read_model_folder(platform::Platform&, const std::string& folder,
                                     platform::OpenOptions) {
  return fail(ErrorCode::kBadFile, "{}: folders cannot be loaded yet", folder);
}

}  // namespace spillway::engine
