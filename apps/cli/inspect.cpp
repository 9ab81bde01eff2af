// spillway inspect: what a model's file says about itself.
#include <fmt/format.h>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/printable.h"
#include "base/units.h"
#include "cli/commands.h"
#include "engine/model_folder.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

using nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  bool json = false;
};

constexpr size_t kShownElements = 8;
constexpr size_t kShownBytes = 60;

// Short values as they are, long ones by their length: a vocabulary is nothing to read.
ordered_json value_json(const formats::GgufValue& value) {
  return std::visit(
      [](const auto& held) -> ordered_json {
        using Held = std::remove_cvref_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::monostate>) {
          return "nested array";
        } else if constexpr (std::is_arithmetic_v<Held> || std::is_same_v<Held, std::string>) {
          return held;
        } else {
          if (held.size() > kShownElements) return {{"elements", held.size()}};
          ordered_json list = ordered_json::array();
          for (size_t i = 0; i < held.size(); ++i) {
            if constexpr (std::is_same_v<Held, std::vector<bool>>) {
              list.push_back(static_cast<bool>(held[i]));
            } else {
              list.push_back(held[i]);
            }
          }
          return list;
        }
      },
      value);
}

ordered_json file_json(const formats::GgufFile& file, const platform::FileInfo& info) {
  ordered_json json = {{"path", info.path},
                       {"size_bytes", info.size_bytes},
                       {"version", file.version()},
                       {"alignment", file.alignment()},
                       {"data_offset", file.data_offset()},
                       {"metadata", ordered_json::object()},
                       {"tensors", ordered_json::array()}};
  for (const auto& [key, value] : file.metadata()) json["metadata"][key] = value_json(value);
  for (const formats::GgufTensor& t : file.tensors()) {
    json["tensors"].push_back({{"name", t.name},
                               {"type", dtype_info(t.dtype).name},
                               {"dimensions", t.dimensions},
                               {"offset", t.offset},
                               {"size_bytes", t.size_bytes}});
  }
  return json;
}

// Invalid UTF-8 is replaced: a name in a file may hold any bytes.
std::string dump(const ordered_json& json, int indent, bool ascii_only) {
  return json.dump(indent, ' ', ascii_only, ordered_json::error_handler_t::replace);
}

std::string describe_file(const formats::GgufFile& file, const platform::FileInfo& info) {
  std::string text =
      fmt::format("{}: GGUF version {}, {}, {} tensors, alignment {}, data from {}\n\n", info.path,
                  file.version(), format_size(info.size_bytes), file.tensors().size(),
                  file.alignment(), file.data_offset());
  for (const auto& [key, value] : file.metadata()) {
    std::string shown = dump(value_json(value), -1, true);
    if (shown.size() > kShownBytes) shown = shown.substr(0, kShownBytes) + "…";
    text += fmt::format("{:<44} {}\n", printable(key), shown);
  }
  text += "\n";
  for (const formats::GgufTensor& t : file.tensors()) {
    text += fmt::format(
        "{:<32} {:<5} {:>20} {:>12} at {}\n", printable(t.name), dtype_info(t.dtype).name,
        fmt::format("[{}]", fmt::join(t.dimensions, ", ")), format_size(t.size_bytes), t.offset);
  }
  return text;
}

// What config.json says, and the tensors as the folder's files name them.
ordered_json folder_json(const formats::SafetensorsFolder& weights, const std::string& path,
                         const ordered_json& config) {
  ordered_json json = {{"path", path},
                       {"files", ordered_json::array()},
                       {"config", config},
                       {"tensors", ordered_json::array()}};
  for (const auto& file : weights.files()) {
    json["files"].push_back({{"path", file->info().path}, {"size_bytes", file->info().size_bytes}});
  }
  for (const auto& [t, file] : weights.tensors()) {
    json["tensors"].push_back({{"name", t.name},
                               {"type", dtype_info(t.dtype).name},
                               {"dimensions", t.dimensions},
                               {"file", weights.files()[file]->info().path},
                               {"offset", t.offset},
                               {"size_bytes", t.size_bytes}});
  }
  return json;
}

std::string describe_folder(const ordered_json& folder) {
  uint64_t bytes = 0;
  for (const auto& file : folder["files"]) bytes += file["size_bytes"].get<uint64_t>();
  std::string text = fmt::format("{}: Hugging Face folder, {} in {} files, {} tensors\n\n",
                                 folder["path"].get<std::string>(), format_size(bytes),
                                 folder["files"].size(), folder["tensors"].size());
  for (const auto& [key, value] : folder["config"].items()) {
    std::string shown = dump(value, -1, true);
    if (shown.size() > kShownBytes) shown = shown.substr(0, kShownBytes) + "…";
    text += fmt::format("{:<44} {}\n", printable(key), shown);
  }
  text += "\n";
  for (const auto& t : folder["tensors"]) {
    text += fmt::format("{:<56} {:<5} {:>20} {:>12}\n", printable(t["name"].get<std::string>()),
                        t["type"].get<std::string>(), dump(t["dimensions"], -1, true),
                        format_size(t["size_bytes"].get<uint64_t>()));
  }
  return text;
}

Result<void> inspect_folder(platform::Platform& platform, const InspectOptions& options) {
  SPILLWAY_ASSIGN(const std::string text, engine::read_config_text(platform, options.model));
  const ordered_json config = ordered_json::parse(text, nullptr, false);
  if (!config.is_object()) {
    return fail(ErrorCode::kBadFile, "{}/config.json: it is no JSON object", options.model);
  }
  SPILLWAY_ASSIGN(const auto weights, formats::SafetensorsFolder::open(platform, options.model));
  const ordered_json json = folder_json(weights, options.model, config);
  const std::string shown = options.json ? dump(json, 2, false) + "\n" : describe_folder(json);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  return {};
}

Result<void> inspect(const InspectOptions& options) {
  const auto platform = platform::make_linux_platform();
  if (engine::is_model_folder(options.model)) return inspect_folder(*platform, options);
  SPILLWAY_ASSIGN(const auto file, platform->open(options.model, {}));
  auto header = formats::GgufFile::parse(*file);
  if (!header) return fail_within(options.model, header.error());
  const std::string text = options.json ? dump(file_json(*header, file->info()), 2, false) + "\n"
                                        : describe_file(*header, file->info());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

}  // namespace

void add_inspect(Command& program) {
  auto options = std::make_shared<InspectOptions>();
  Command command = program.add_command("inspect", "says what a model's file holds");
  command.add_option("MODEL", options->model, "a GGUF file or a Hugging Face folder").required();
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return inspect(*options); });
}

}  // namespace spillway::cli
