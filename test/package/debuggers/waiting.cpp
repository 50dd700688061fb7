// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The objects that the debuggers print: a semaphore with three waiting operations, others without,
// permits, a limiter with two waiting requests, and admissions. They stop at stop_here().

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <utility>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

// A handler whose name the output must show.
struct patient_client {
    int number;
    void operator()(error_code, permit) const {}
};

asio::awaitable<void> waiting_session(async_semaphore& semaphore) {
    const permit held = co_await semaphore.async_acquire_permit(1, asio::use_awaitable);
}

struct patient_request {
    void operator()(error_code, asio_semaphore::admission) const {}
};

[[gnu::noinline]] void
stop_here(const async_semaphore&, const async_semaphore&, const permit&, const permit&) {
    asm volatile("" ::: "memory");
}

int main() {
    asio::io_context context;
    async_semaphore busy(context, 3, 5);
    asio_semaphore::basic_async_semaphore<asio::io_context::executor_type> idle(context, 7);
    async_semaphore closed(context, 1, 1);
    async_semaphore gone(context, 1, 1);
    const async_semaphore moved = std::move(gone);
    closed.close();
    idle.reduce(9);

    permit held = busy.try_acquire_permit(2);
    const permit empty;
    busy.async_acquire_permit(4, patient_client{17});
    busy.async_acquire_for(std::chrono::hours(1), 2, [](error_code) {});
    co_spawn(context, waiting_session(busy), asio::detached);
    context.poll();

    asio_semaphore::limiter limited(context, 3);
    asio_semaphore::admission_request request;
    request.weight = 2;
    asio_semaphore::admission place = limited.try_admit(request);
    const asio_semaphore::admission no_place;
    limited.async_admit(request, patient_request());
    request.key = 17;
    request.priority = 1;
    limited.async_admit(request, patient_request());
    limited.async_wait_idle([](error_code) {});
    asio_semaphore::limiter ended(context, 1);
    ended.close();

    stop_here(busy, closed, held, empty);
    busy.cancel();
    limited.cancel();
}
