// A piece of a query's work.
#ifndef TASKMEM_TESTS_PROGRAMS_POOL_THREADS_UNIT_H_
#define TASKMEM_TESTS_PROGRAMS_POOL_THREADS_UNIT_H_

struct Unit {
  void (*function)(void*);
  void* argument;
};

#endif  // TASKMEM_TESTS_PROGRAMS_POOL_THREADS_UNIT_H_
