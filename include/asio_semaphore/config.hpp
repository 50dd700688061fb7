// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Definitions that depend on how the library is built and on the version of Boost.

#include <boost/version.hpp>

#if BOOST_VERSION < 108100
#error "asio_semaphore needs Boost 1.81 or newer"
#endif

// There are two ways to use the library: header-only, which needs no macro, although
// ASIO_SEMAPHORE_HEADER_ONLY may state it; or with the non-template part compiled once from src/,
// which needs ASIO_SEMAPHORE_SEPARATE_COMPILATION in every translation unit.
#if defined(ASIO_SEMAPHORE_HEADER_ONLY) && defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#error "one program uses asio_semaphore either header-only or compiled: link one of its two targets"
#endif

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#define ASIO_SEMAPHORE_DECL
#else
#define ASIO_SEMAPHORE_DECL inline
#endif

// Handlers can have an associated immediate executor.
#if BOOST_VERSION >= 108200
#define ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR 1
#else
#define ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR 0
#endif
