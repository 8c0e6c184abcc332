#include "tools/doctor/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace taskmem {

std::string BaseName(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

namespace {

bool HasLibrary(const std::vector<ObjectLook>& objects, const char* prefix) {
  return std::any_of(objects.begin(), objects.end(), [&](const ObjectLook& object) {
    return BaseName(object.path).starts_with(prefix);
  });
}

void CheckSanitizers(const std::vector<ObjectLook>& objects, Findings* findings) {
  for (const ObjectLook& object : objects) {
    if (object.sanitizer.empty()) continue;
    findings->push_back({Severity::kFailure,
                         fmt::format("{} is built with {}, which replaces malloc itself",
                                     BaseName(object.path), object.sanitizer),
                         "use a build without the sanitizer"});
    return;
  }
}

Finding AllocatorFinding(const ObjectLook& object, const FoundAllocator& allocator) {
  const std::string name = BaseName(object.path);
  const std::string what =
      fmt::format("{} brings {} ({}*)", name, allocator.name, allocator.prefix);
  // As shim/adopt has it: by names, which a stripped file does not have.
  const bool is_adoptable = (allocator.name == "jemalloc" && !allocator.prefix.empty()) ||
                            (allocator.name == "mimalloc" && name.starts_with("libarrow"));
  if (is_adoptable) return {Severity::kOk, what + ", which can be adopted (--adopt auto)", ""};
  return {Severity::kWarning,
          what +
              ": what it maps is charged when it maps it, to the process's task or by what is "
              "in memory, not by block",
          allocator.name == "jemalloc" || allocator.name == "mimalloc"
              ? "build or configure the program to use malloc"
              : ""};
}

void CheckAllocators(const std::vector<ObjectLook>& objects, Findings* findings) {
  for (const ObjectLook& object : objects) {
    const bool is_program = &object == &objects.front();
    if (BaseName(object.path).starts_with("libtaskmem")) continue;
    if (is_program && object.exports_malloc) {
      findings->push_back(
          {Severity::kWarning,
           fmt::format("{} exports a malloc of its own, which comes before any that is preloaded: "
                       "what it maps is charged, not its blocks",
                       BaseName(object.path)),
           "build it with the system's malloc"});
    }
    for (const FoundAllocator& allocator : object.allocators) {
      // One that only stands for malloc gets no calls behind a preloaded one.
      if (!is_program && object.exports_malloc) {
        findings->push_back({Severity::kOk,
                             fmt::format("{} is {}: the preloaded library comes before it",
                                         BaseName(object.path), allocator.name),
                             ""});
        continue;
      }
      findings->push_back(AllocatorFinding(object, allocator));
    }
  }
}

void CheckRuntimes(const std::string& name, const std::vector<ObjectLook>& objects,
                   Findings* findings) {
  const auto any = [&](bool ObjectLook::*what) {
    return std::any_of(objects.begin(), objects.end(),
                       [&](const ObjectLook& object) { return object.*what; });
  };
  const auto note = [&](std::string what, std::string advice) {
    findings->push_back({Severity::kNote, std::move(what), std::move(advice)});
  };
  if (name == "java" || HasLibrary(objects, "libjvm.so") || HasLibrary(objects, "libjli.so")) {
    note(
        "a JVM: its heap is charged by what is in memory of it, direct buffers and native memory "
        "by "
        "block; a request below --refuse-min and the JVM's own threads are never refused",
        "--task-by thread-name takes tasks from the names of its threads");
  }
  const char* const python_malloc = getenv("PYTHONMALLOC");
  if ((any(&ObjectLook::is_python) || name.starts_with("python")) &&
      (python_malloc == nullptr || std::string(python_malloc) != "malloc")) {
    note(
        "CPython: objects up to 512 bytes lie in arenas of its own, which are charged to the "
        "process's task, not to the thread's",
        "PYTHONMALLOC=malloc charges each to its thread's task");
  }
  if (any(&ObjectLook::is_v8) || name == "node") {
    note(
        "V8: its heap is charged by what is in memory of it; a refused mapping would end the "
        "program, so mappings are not refused",
        "--max-old-space-size bounds its heap");
  }
  if (any(&ObjectLook::is_php) || name.starts_with("php")) {
    note("PHP: its own heap maps memory that is charged when it is mapped",
         "USE_ZEND_ALLOC=0 charges it by block");
  }
  if (name == "beam.smp" || name == "erl") {
    note("Erlang: its allocators map memory that is charged when it is mapped",
         "+Mea min has them use malloc");
  }
  if (HasLibrary(objects, "libcoreclr.so") || name == "dotnet") {
    note(".NET: its heap is charged by what is in memory of it",
         "DOTNET_GCHeapHardLimit bounds it");
  }
  if (any(&ObjectLook::is_go)) {
    findings->push_back({Severity::kWarning,
                         "Go: its heap is mapped by system calls of its own, which are not seen; "
                         "what C code of it allocates is",
                         "GOMEMLIMIT bounds its heap"});
  }
  if (any(&ObjectLook::is_rust)) {
    note("Rust: an allocation that is refused ends the program",
         "--overflow or --wait make room instead");
  }
}

}  // namespace

void CheckObjects(const std::string& name, const std::vector<ObjectLook>& objects,
                  Findings* findings) {
  CheckSanitizers(objects, findings);
  CheckAllocators(objects, findings);
  CheckRuntimes(name, objects, findings);
}

}  // namespace taskmem
