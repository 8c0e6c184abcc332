// What a library with the older kind of hash table exports.
#ifndef TASKMEM_SHIM_BASE_OLD_HASH_TESTING_H_
#define TASKMEM_SHIM_BASE_OLD_HASH_TESTING_H_

extern "C" {
int OldHashOne();
int OldHashTwo();
extern int old_hash_data;
}

#endif  // TASKMEM_SHIM_BASE_OLD_HASH_TESTING_H_
