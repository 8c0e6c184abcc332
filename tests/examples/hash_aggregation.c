/* A hash aggregation: rows are counted and summed by key in partitions of a hash table, and
 * where memory runs out a spill hook writes the largest partition to a file. At the end each
 * partition is put together from what was written and what is left.
 *
 *   hash_aggregation ROWS GROUPS
 *
 * Prints the number of groups and rows, the sum, and a digest of all groups in no order. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/taskmem.h"

enum { kPartitions = 64, kFirstSlots = 256, kReadGroups = 1024 };

typedef struct Group {
  uint64_t key; /* 0: none */
  uint64_t rows;
  uint64_t sum;
} Group;

typedef struct Partition {
  Group* slots; /* open addressing; NULL while it is empty */
  size_t size;
  size_t used;
  FILE* file; /* groups that were spilled; the same key may be there several times */
  size_t spilled;
} Partition;

typedef struct Table {
  Partition partition[kPartitions];
  Partition* growing; /* has an allocation under way: the hook leaves it alone */
  taskmem_consumer consumer;
} Table;

static void Fail(const char* what) {
  perror(what);
  exit(1);
}

static uint64_t Hash(uint64_t key) {
  key = (key ^ (key >> 31)) * 0x7fb5d329728ea185;
  key = (key ^ (key >> 27)) * 0x81dadef4bc2dd44d;
  return key ^ (key >> 33);
}

static void Report(Table* table) {
  uint64_t bytes = 0;
  for (int i = 0; i < kPartitions; ++i) bytes += table->partition[i].size * sizeof(Group);
  taskmem_consumer_report(table->consumer, bytes);
}

/* The hook: largest partitions first, as many as needed. */
static uint64_t Spill(void* context, uint64_t bytes_needed, taskmem_consumer trigger) {
  Table* table = context;
  uint64_t freed = 0;
  (void)trigger;
  while (freed < bytes_needed) {
    Partition* largest = NULL;
    for (int i = 0; i < kPartitions; ++i) {
      Partition* partition = &table->partition[i];
      if (partition == table->growing || partition->slots == NULL) continue;
      if (largest == NULL || partition->size > largest->size) largest = partition;
    }
    if (largest == NULL) break;
    if (largest->file == NULL) largest->file = tmpfile();
    if (largest->file == NULL) break;
    for (size_t i = 0; i < largest->size; ++i) {
      if (largest->slots[i].key == 0) continue;
      if (fwrite(&largest->slots[i], sizeof(Group), 1, largest->file) != 1) Fail("spilling");
      ++largest->spilled;
    }
    free(largest->slots);
    freed += largest->size * sizeof(Group);
    largest->slots = NULL;
    largest->size = largest->used = 0;
  }
  Report(table);
  return freed;
}

static Group* FindSlot(Group* slots, size_t size, uint64_t key) {
  size_t at = Hash(key) / kPartitions & (size - 1);
  while (slots[at].key != 0 && slots[at].key != key) at = (at + 1) & (size - 1);
  return &slots[at];
}

/* The hook may run in here. To the compiler calloc touches nothing of ours. */
static Group* AllocateSlots(size_t size) {
  atomic_signal_fence(memory_order_seq_cst);
  Group* slots = calloc(size, sizeof(Group));
  atomic_signal_fence(memory_order_seq_cst);
  return slots;
}

static void Grow(Table* table, Partition* partition) {
  const size_t size = partition->size == 0 ? kFirstSlots : partition->size * 2;
  table->growing = partition;
  Group* slots = AllocateSlots(size);
  table->growing = NULL;
  if (slots == NULL) Fail("a larger partition");
  for (size_t i = 0; i < partition->size; ++i) {
    const Group* group = &partition->slots[i];
    if (group->key != 0) *FindSlot(slots, size, group->key) = *group;
  }
  free(partition->slots);
  partition->slots = slots;
  partition->size = size;
  Report(table);
}

static void Add(Table* table, Partition* partition, const Group* added) {
  if (partition->used * 4 >= partition->size * 3) Grow(table, partition);
  Group* group = FindSlot(partition->slots, partition->size, added->key);
  if (group->key == 0) ++partition->used;
  group->key = added->key;
  group->rows += added->rows;
  group->sum += added->sum;
}

/* Takes back what was spilled of a partition. Others may be spilled meanwhile. */
static void ReadBack(Table* table, Partition* partition) {
  static Group groups[kReadGroups];
  FILE* file = partition->file;
  if (file == NULL) return;
  partition->file = NULL;
  rewind(file);
  for (size_t got; (got = fread(groups, sizeof(Group), kReadGroups, file)) > 0;) {
    for (size_t i = 0; i < got; ++i) Add(table, partition, &groups[i]);
  }
  fclose(file);
}

int main(int argc, char** argv) {
  const uint64_t rows = argc == 3 ? strtoull(argv[1], NULL, 10) : 1000000;
  const uint64_t groups = argc == 3 ? strtoull(argv[2], NULL, 10) : 100000;
  static Table table;
  taskmem_consumer_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.name = "hash table";
  options.spill = Spill;
  options.context = &table;
  if (taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &table.consumer) == 0) {
    taskmem_thread_consumer(table.consumer, NULL);
  }
  for (uint64_t i = 0; i < rows; ++i) {
    const uint64_t key = Hash(i % groups + 1) | 1;
    const Group row = {key, 1, i};
    Add(&table, &table.partition[Hash(key) % kPartitions], &row);
  }
  uint64_t found = 0, counted = 0, sum = 0, digest = 0;
  for (int i = 0; i < kPartitions; ++i) {
    Partition* partition = &table.partition[i];
    ReadBack(&table, partition);
    for (size_t at = 0; at < partition->size; ++at) {
      const Group* group = &partition->slots[at];
      if (group->key == 0) continue;
      ++found;
      counted += group->rows;
      sum += group->sum;
      digest += Hash(group->key ^ Hash(group->rows ^ Hash(group->sum)));
    }
    free(partition->slots);
    partition->slots = NULL;
    partition->size = partition->used = 0;
    Report(&table);
  }
  taskmem_consumer_unregister(table.consumer);
  printf("%llu groups of %llu rows, sum %llu, digest %016llx\n", (unsigned long long)found,
         (unsigned long long)counted, (unsigned long long)sum, (unsigned long long)digest);
  return 0;
}
