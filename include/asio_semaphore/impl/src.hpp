// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The non-template part of the library. Exactly one translation unit includes this header
// (src/asio_semaphore.cpp).

#include <asio_semaphore/config.hpp>

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#error "define ASIO_SEMAPHORE_SEPARATE_COMPILATION in every translation unit of the program"
#endif

#include <asio_semaphore/detail/operation/impl/semaphore_service.ipp>
#include <asio_semaphore/detail/state/impl/admission_line.ipp>
#include <asio_semaphore/detail/state/impl/admission_line_arrivals.ipp>
#include <asio_semaphore/detail/state/impl/admission_queue.ipp>
#include <asio_semaphore/detail/state/impl/limiter_state.ipp>
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#include <asio_semaphore/detail/state/impl/state_registry.ipp>
#include <asio_semaphore/impl/error.ipp>
#include <asio_semaphore/impl/permit.ipp>
#include <asio_semaphore/limiter/impl/aimd_limit.ipp>
#include <asio_semaphore/limiter/impl/gradient_limit.ipp>
#include <asio_semaphore/limiter/impl/limiter_options.ipp>
#include <asio_semaphore/limiter/impl/openmetrics.ipp>
