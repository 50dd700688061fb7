// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// AddressSanitizer does not know the stacks of stackful coroutines, and reports exceptions on them
// as errors. A context that unwinds such a coroutine in its destructor causes such exceptions too.
#if defined(__SANITIZE_ADDRESS__)
#define EXCEPTIONS_ON_COROUTINE_STACKS 0
#elif defined(__has_feature)
#define EXCEPTIONS_ON_COROUTINE_STACKS !__has_feature(address_sanitizer)
#else
#define EXCEPTIONS_ON_COROUTINE_STACKS 1
#endif
