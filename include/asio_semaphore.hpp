// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Includes every public header except the fleet's.

/// @namespace asio_semaphore
/// @brief Concurrency limits for Boost.Asio.

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/error.hpp>
#include <asio_semaphore/limiter/admission.hpp>
#include <asio_semaphore/limiter/admission_request.hpp>
#include <asio_semaphore/limiter/aimd_limit.hpp>
#include <asio_semaphore/limiter/gradient_limit.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>
#include <asio_semaphore/limiter/limiter.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>
#include <asio_semaphore/limiter/openmetrics.hpp>
#include <asio_semaphore/limiter/with_permit.hpp>
#include <asio_semaphore/permit.hpp>
#include <asio_semaphore/version.hpp>
#include <asio_semaphore/with_permit.hpp>
