// What a simulation found, as a table, as JSON and as a picture.
#ifndef TASKMEM_TOOLS_SIMULATION_SIMULATION_REPORT_H_
#define TASKMEM_TOOLS_SIMULATION_SIMULATION_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/recording/recording.h"
#include "tools/simulation/simulation.h"

namespace taskmem {

struct SimulatedCase {
  std::string name;  // "as recorded", "quota 64.0 MiB"
  SimulatedLimits limits;
  SimulationResult result;
};

std::string FormatSimulation(const Recording& recording, const std::vector<SimulatedCase>& cases,
                             size_t columns);

// {"program", "cases": [...]} as a document of the kind "simulation".
nlohmann::ordered_json SimulationJson(const Recording& recording,
                                      const std::vector<SimulatedCase>& cases);

// What all tasks hold over time in each case, and where the first finds no room.
std::string SimulationSvg(const Recording& recording, const std::vector<SimulatedCase>& cases);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SIMULATION_SIMULATION_REPORT_H_
