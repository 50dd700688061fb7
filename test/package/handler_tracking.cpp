// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A program for Asio's handler tracking. Operations of a semaphore: two wait and are granted, one
// with a deadline is cancelled, and the context destroys one. Operations of a limiter: one waits
// and is admitted, one is cancelled, one waits for the limiter to be idle, and the context destroys
// one. Operations that are granted at once are posts, and the output shows them as such.

#include <asio_semaphore.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>

namespace {

void use_semaphore() {
    boost::asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 1);
    boost::asio::cancellation_signal signal;
    static_cast<void>(semaphore.try_acquire());
    semaphore.async_acquire_permit([](auto, auto) {});
    semaphore.async_acquire([](auto) {});
    semaphore.async_acquire_permit_for(
        std::chrono::hours(1),
        boost::asio::bind_cancellation_slot(signal.slot(), [](auto, auto) {}));
    signal.emit(boost::asio::cancellation_type::terminal);
    semaphore.release();
    context.run();
    semaphore.async_acquire_for(std::chrono::hours(1), [](auto) {});
}

void use_limiter() {
    boost::asio::io_context context;
    asio_semaphore::limiter limiter(context, 1);
    boost::asio::cancellation_signal signal;
    auto place = limiter.try_admit();
    limiter.async_admit([](auto, auto) {});
    limiter.async_admit(boost::asio::bind_cancellation_slot(signal.slot(), [](auto, auto) {}));
    limiter.async_wait_idle([](auto) {});
    signal.emit(boost::asio::cancellation_type::terminal);
    place.finish();
    context.run();
    place = limiter.try_admit();
    limiter.async_admit([](auto, auto) {});
}

} // namespace

int main() {
    use_semaphore();
    use_limiter();
}
