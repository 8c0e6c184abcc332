/* An external sort: keys are gathered in chunks, and where memory runs out a spill hook sorts
 * the chunks and writes them to a file as runs. At the end runs and chunks are merged.
 *
 *   external_sort KEYS
 *
 * Prints how many keys there are, the median, and a digest of the sorted sequence. Built once,
 * it runs with and without taskmem; without, or without a quota, nothing is ever spilled. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/taskmem.h"

enum { kChunkBytes = 256 * 1024, kChunkKeys = kChunkBytes / 8, kMergeKeys = 1024 };

typedef struct Chunk {
  struct Chunk* next;
  size_t keys;
  uint64_t key[kChunkKeys];
} Chunk;

/* A sorted run: the rest of a chunk in memory, or a part of the file. */
typedef struct Run {
  uint64_t* at; /* the next key */
  uint64_t* end;
  uint64_t* buffer; /* of a run in the file */
  off_t offset;     /* of what is not yet in the buffer */
  size_t left;      /* keys there */
} Run;

typedef struct Sorter {
  Chunk* full; /* filled, not sorted */
  size_t chunks;
  FILE* file; /* runs of kChunkKeys keys, one after the other */
  size_t runs;
  taskmem_consumer consumer;
} Sorter;

static void Fail(const char* what) {
  perror(what);
  exit(1);
}

/* In place: qsort allocates, and would call the hook in the middle of it. */
static void SortKeys(uint64_t* key, size_t keys) {
  for (size_t unsifted = keys / 2, left = keys; left > 1;) {
    uint64_t moved;
    size_t at;
    if (unsifted > 0) {
      at = --unsifted;
      moved = key[at];
    } else {
      moved = key[--left];
      key[left] = key[0];
      at = 0;
    }
    for (size_t child; (child = 2 * at + 1) < left; at = child) {
      if (child + 1 < left && key[child + 1] > key[child]) ++child;
      if (key[child] <= moved) break;
      key[at] = key[child];
    }
    key[at] = moved;
  }
}

static void Report(Sorter* sorter) {
  taskmem_consumer_report(sorter->consumer, sorter->chunks * sizeof(Chunk));
}

/* The hook: called while the sorter allocates its next chunk, all others being full. */
static uint64_t Spill(void* context, uint64_t bytes_needed, taskmem_consumer trigger) {
  Sorter* sorter = context;
  uint64_t freed = 0;
  (void)trigger;
  while (freed < bytes_needed && sorter->full != NULL) {
    Chunk* chunk = sorter->full;
    SortKeys(chunk->key, chunk->keys);
    if (fwrite(chunk->key, sizeof(uint64_t), chunk->keys, sorter->file) != chunk->keys) break;
    sorter->full = chunk->next;
    --sorter->chunks;
    ++sorter->runs;
    free(chunk);
    freed += sizeof(Chunk);
  }
  Report(sorter);
  return freed;
}

/* The hook may run in here. To the compiler malloc touches nothing of ours. */
static Chunk* AllocateChunk(void) {
  atomic_signal_fence(memory_order_seq_cst);
  Chunk* chunk = malloc(sizeof(Chunk));
  atomic_signal_fence(memory_order_seq_cst);
  if (chunk == NULL) Fail("the next chunk");
  chunk->keys = 0;
  return chunk;
}

static void FillBuffer(Run* run, FILE* file) {
  const size_t keys = run->left < kMergeKeys ? run->left : kMergeKeys;
  if (keys == 0 || run->buffer == NULL) return;
  if (pread(fileno(file), run->buffer, keys * 8, run->offset) != (ssize_t)(keys * 8)) {
    Fail("reading a run");
  }
  run->at = run->buffer;
  run->end = run->buffer + keys;
  run->offset += (off_t)(keys * 8);
  run->left -= keys;
}

/* Restores the heap, smallest next key first, below `at`. */
static void SiftDown(Run** heap, size_t count, size_t at) {
  for (;;) {
    size_t least = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; ++child) {
      if (*heap[child]->at < *heap[least]->at) least = child;
    }
    if (least == at) return;
    Run* moved = heap[at];
    heap[at] = heap[least];
    heap[least] = moved;
    at = least;
  }
}

static void Merge(Sorter* sorter, size_t keys) {
  const size_t count = sorter->runs + sorter->chunks;
  Run* runs = calloc(count + 1, sizeof(Run));
  Run** heap = calloc(count + 1, sizeof(Run*));
  if (runs == NULL || heap == NULL) Fail("merging");
  for (size_t i = 0; i < sorter->runs; ++i) {
    runs[i].offset = (off_t)i * kChunkBytes;
    runs[i].left = kChunkKeys;
    runs[i].buffer = malloc(kMergeKeys * sizeof(uint64_t));
    if (runs[i].buffer == NULL) Fail("merging");
    FillBuffer(&runs[i], sorter->file);
  }
  size_t filled = sorter->runs;
  for (Chunk* chunk = sorter->full; chunk != NULL; chunk = chunk->next) {
    SortKeys(chunk->key, chunk->keys);
    runs[filled].at = chunk->key;
    runs[filled++].end = chunk->key + chunk->keys;
  }
  for (size_t i = 0; i < count; ++i) heap[i] = &runs[i];
  for (size_t i = count; i-- > 0;) SiftDown(heap, count, i);
  uint64_t digest = 0xcbf29ce484222325;
  uint64_t median = 0;
  size_t live = count;
  for (size_t i = 0; live > 0; ++i) {
    Run* run = heap[0];
    const uint64_t key = *run->at++;
    if (i == keys / 2) median = key;
    digest = (digest ^ key) * 0x100000001b3;
    if (run->at == run->end) FillBuffer(run, sorter->file);
    if (run->at == run->end) heap[0] = heap[--live];
    SiftDown(heap, live, 0);
  }
  printf("%zu keys, median %016llx, digest %016llx\n", keys, (unsigned long long)median,
         (unsigned long long)digest);
  for (size_t i = 0; i < sorter->runs; ++i) free(runs[i].buffer);
  free(runs);
  free(heap);
}

int main(int argc, char** argv) {
  const size_t keys = argc == 2 ? strtoul(argv[1], NULL, 10) : 1000000;
  Sorter sorter = {0};
  sorter.file = tmpfile();
  if (sorter.file == NULL) Fail("a temporary file");
  taskmem_consumer_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.name = "sorter";
  options.spill = Spill;
  options.context = &sorter;
  if (taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &sorter.consumer) == 0) {
    taskmem_thread_consumer(sorter.consumer, NULL);
  }
  uint64_t random = 88172645463325252;
  Chunk* filling = NULL;
  for (size_t i = 0; i < keys; ++i) {
    if (filling == NULL || filling->keys == kChunkKeys) {
      if (filling != NULL) {
        filling->next = sorter.full;
        sorter.full = filling;
        ++sorter.chunks;
        Report(&sorter);
      }
      filling = AllocateChunk();
    }
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    filling->key[filling->keys++] = random;
  }
  /* Merging needs memory that nobody can give back: make room, if it was short at all. */
  taskmem_consumer_unregister(sorter.consumer);
  if (sorter.runs > 0) Spill(&sorter, UINT64_MAX, 0);
  fflush(sorter.file);
  if (filling != NULL) {
    filling->next = sorter.full;
    sorter.full = filling;
    ++sorter.chunks;
  }
  Merge(&sorter, keys);
  while (sorter.full != NULL) {
    Chunk* chunk = sorter.full;
    sorter.full = chunk->next;
    free(chunk);
  }
  fclose(sorter.file);
  return 0;
}
