// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/impl/src.hpp>

// The only instantiation of the state layer that programs use.
template class asio_semaphore::detail::alarm<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::cancellation_link<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::state_registry<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::waiting_line<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::admission_line<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::limiter_state<asio_semaphore::detail::threads>;
template class asio_semaphore::detail::semaphore_state<asio_semaphore::detail::threads>;
