#pragma once

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>

#define VISIBLE [[gnu::visibility("default")]]

// What the second library does with objects of the first one.
VISIBLE const void* second_service(boost::asio::io_context& context);
VISIBLE bool second_says_closed(const boost::system::error_code& ec);
VISIBLE boost::system::error_code second_error();
VISIBLE void second_waits(asio_semaphore::async_semaphore& semaphore, int& granted);
VISIBLE asio_semaphore::permit second_takes(asio_semaphore::async_semaphore& semaphore);
