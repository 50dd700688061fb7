// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>
#include <asio_semaphore/fleet/with_permit.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <cstdio>

// This operation times out even without a server.
int main() {
    boost::asio::io_context context;
    asio_semaphore::fleet_client client(context.get_executor());
    asio_semaphore::fleet_semaphore limit(context, client, "consumer", 1);
    bool is_right = false;
    limit.async_acquire_permit_for(
        std::chrono::seconds(0),
        [&](boost::system::error_code ec, asio_semaphore::fleet_permit permit) {
            is_right = ec == boost::asio::error::timed_out && !permit;
        });
    context.run();
    std::puts(is_right ? "right" : "wrong");
    return is_right ? 0 : 1;
}
