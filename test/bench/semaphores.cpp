// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "suite.hpp"

namespace bench {

namespace {

template <typename Executor>
void add_on(suite& s) {
    add_chains<plain_semaphore, Executor>(s, true);
    add_chains<permit_semaphore, Executor>(s, true);
    add_coroutines<plain_semaphore, Executor>(s);
    add_coroutines<permit_semaphore, Executor>(s);
    add_tries<plain_semaphore, Executor>(s, true);
#if BOOST_VERSION >= 108200
    add_immediate<plain_semaphore, Executor>(s);
#endif
}

} // namespace

void add_semaphores(suite& s) {
    constexpr long million = 1000000;
    add_on<asio::any_io_executor>(s);
    add_on<asio::io_context::executor_type>(s);
    add_places<plain_semaphore>(s);
    add_places<permit_semaphore>(s);
    add_cancellations<plain_semaphore, asio::any_io_executor>(s, million, million);
    add_mass_release<plain_semaphore, asio::any_io_executor>(s, million);
}

} // namespace bench
