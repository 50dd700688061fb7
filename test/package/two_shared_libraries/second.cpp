// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "second.hpp"

const void* second_service(boost::asio::io_context& context) {
    return &boost::asio::use_service<asio_semaphore::detail::semaphore_service>(context);
}

bool second_says_closed(const boost::system::error_code& ec) {
    return ec == asio_semaphore::error::closed && ec.category() == asio_semaphore::error_category();
}

boost::system::error_code second_error() {
    return asio_semaphore::error::over_release;
}

void second_waits(asio_semaphore::async_semaphore& semaphore, int& granted) {
    semaphore.async_acquire_permit(
        [&granted](boost::system::error_code, asio_semaphore::permit held) {
            granted += held ? 1 : 0;
        });
}

asio_semaphore::permit second_takes(asio_semaphore::async_semaphore& semaphore) {
    return semaphore.try_acquire_permit();
}

std::unique_ptr<dropping_semaphore> second_makes(boost::asio::io_context& context) {
    return std::make_unique<dropping_semaphore>(dropping_executor{&context}, 0);
}
