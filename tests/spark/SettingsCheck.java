package io.taskmem.spark;

import java.util.HashMap;
import java.util.Map;

/** Prints what the plugin makes of settings, KEY=VALUE each: figures, or the complaint. */
public final class SettingsCheck {
  private SettingsCheck() {}

  public static void main(String[] arguments) {
    for (String argument : arguments) {
      Map<String, String> all = new HashMap<>();
      for (String setting : argument.split(" ")) {
        if (setting.isEmpty()) continue;
        String[] parts = setting.split("=", 2);
        all.put(parts[0], parts[1]);
      }
      try {
        Settings settings = Settings.ofApplication(all);
        System.out.println(settings.quotaBytes + " " + settings.hasAccumulators + " "
            + settings.retainedMinBytes + " " + settings.reportIntervalMs
            + (settings.arbitrates ? " " + settings.allowanceBytes + " "
                + settings.arbiterIntervalMs : ""));
      } catch (IllegalArgumentException e) {
        System.out.println(e.getMessage());
      }
    }
  }
}
