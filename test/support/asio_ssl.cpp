// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Compiles Asio's TLS once.
#include <boost/asio/ssl/impl/src.hpp>
