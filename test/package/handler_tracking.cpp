// A program whose operations Asio's handler tracking shows: one that waits, is granted and called;
// one that is granted at once; one with a deadline that is cancelled; one that its context drops.

#include <asio_semaphore.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>

int main() {
    boost::asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 1);
    boost::asio::cancellation_signal signal;
    semaphore.async_acquire_permit([](auto, auto) {});
    semaphore.async_acquire([](auto) {});
    semaphore.async_acquire_permit_for(
        std::chrono::hours(1),
        boost::asio::bind_cancellation_slot(signal.slot(), [](auto, auto) {}));
    signal.emit(boost::asio::cancellation_type::terminal);
    context.run();
    semaphore.async_acquire_for(std::chrono::hours(1), [](auto) {});
}
