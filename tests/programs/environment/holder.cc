// Holds 70 MiB. holder [FILE]: says "ready" into FILE and waits to be killed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  void* volatile block = malloc(70 << 20);
  if (block == nullptr) return 1;
  memset(block, 1, 70 << 20);
  if (argc < 2) return 0;
  FILE* file = fopen(argv[1], "w");
  if (file == nullptr || fputs("ready\n", file) < 0 || fclose(file) != 0) return 2;
  for (;;) pause();
}
