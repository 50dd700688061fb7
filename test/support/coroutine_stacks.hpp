#pragma once

// AddressSanitizer does not know the stacks of stackful coroutines, and takes exceptions on them
// for errors; so does a context that unwinds such a coroutine when it goes.
#if defined(__SANITIZE_ADDRESS__)
#define EXCEPTIONS_ON_COROUTINE_STACKS 0
#elif defined(__has_feature)
#define EXCEPTIONS_ON_COROUTINE_STACKS !__has_feature(address_sanitizer)
#else
#define EXCEPTIONS_ON_COROUTINE_STACKS 1
#endif
