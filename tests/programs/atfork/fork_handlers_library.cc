// Its constructor runs before the preload library's, where it is preloaded after that.
#include <pthread.h>

extern "C" {
__attribute__((visibility("default"))) pthread_mutex_t fork_handlers_mutex =
    PTHREAD_MUTEX_INITIALIZER;
}

namespace {

void Prepare() { pthread_mutex_lock(&fork_handlers_mutex); }
void GoOn() { pthread_mutex_unlock(&fork_handlers_mutex); }

__attribute__((constructor)) void Register() { pthread_atfork(Prepare, GoOn, GoOn); }

}  // namespace
