// Operations of UnmanagedMemoryRegistry.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/conformance/steps.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

TraceUnmanaged& Unmanaged(World& world, const Json& in) {
  return world.Unmanaged(in.at("handle").get<std::string>());
}

Outcome Register(World& world, StepRun&, const Json& in) {
  const std::string handle = in.at("handle").get<std::string>();
  world.AddUnmanaged(handle, std::make_unique<TraceUnmanaged>(
                                 in.at("type").get<std::string>(), in.at("key").get<std::string>(),
                                 ModeOf(in.at("mode")), in.value("value", int64_t{0})));
  world.registry.Register(world.Unmanaged(handle));
  return {};
}

Outcome Unregister(World& world, StepRun&, const Json& in) {
  world.registry.Unregister(Unmanaged(world, in));
  return {};
}

Outcome Set(World& world, StepRun&, const Json& in) {
  TraceUnmanaged& unmanaged = Unmanaged(world, in);
  unmanaged.value = in.value("value", int64_t{0});
  unmanaged.is_failing = false;
  return {};
}

Outcome Fail(World& world, StepRun&, const Json& in) {
  Unmanaged(world, in).is_failing = true;
  return {};
}

// The order in which consumers are asked is none: the lines are sorted.
Outcome Poll(World& world, StepRun& run, const Json&) {
  world.registry.Poll();
  std::vector<std::string> lines;
  for (const Json& event : run.TakeEvents()) lines.push_back(event.dump());
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) run.Add(Json::parse(line));
  return {};
}

Outcome Clear(World& world, StepRun&, const Json&) {
  world.registry.Clear();
  return {};
}

Outcome ByType(World& world, StepRun&, const Json& in) {
  return Answer(world.registry.GetMemoryByComponentType(in.at("type").get<std::string>()));
}

Outcome Total(World& world, StepRun&, const Json&) {
  return Answer(world.registry.GetUnmanagedMemoryUsed());
}

}  // namespace

const Operations& UnmanagedOperations() {
  static const Operations kOperations = {
      {"unmanaged_by_type", ByType}, {"unmanaged_clear", Clear},           {"unmanaged_fail", Fail},
      {"unmanaged_poll", Poll},      {"unmanaged_register", Register},     {"unmanaged_set", Set},
      {"unmanaged_total", Total},    {"unmanaged_unregister", Unregister},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
