#include "tools/sites/named_sites.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

// A library without symbols: an address has no name but where it lies.
SymbolTable NoSymbols(const std::vector<Module>& modules, const std::vector<uint64_t>& addresses) {
  return ModulesOfReturnAddresses(modules, addresses);
}

TEST(NamedSites, PlacesWithoutSymbolsAreNotMerged) {
  Audit audit;
  audit.modules.push_back({0x1000, 0x9000, "/opt/stripped.so"});
  for (const uint64_t address : {0x21d9, 0x3000, 0x21d9}) {
    SiteEstimate site;
    site.frames = {address};
    site.bytes = 100;
    site.samples = 1;
    audit.sites.sites.push_back(site);
  }
  const std::vector<NamedSite> sites = NameSites(audit, SIZE_MAX, NoSymbols);
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[0].bytes, 200u);
  EXPECT_EQ(sites[0].frames[0].symbol.Text(), "stripped.so+0x11d9");
  EXPECT_EQ(sites[1].frames[0].symbol.Text(), "stripped.so+0x2000");
  // By module they are one.
  const std::vector<NamedSite> modules = SitesByModule(sites);
  ASSERT_EQ(modules.size(), 1u);
  EXPECT_EQ(modules[0].bytes, 300u);
  EXPECT_EQ(modules[0].frames[0].symbol.Text(), "[stripped.so]");
}

}  // namespace
}  // namespace taskmem
