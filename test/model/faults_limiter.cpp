// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/faults_memory.hpp>

#include <model/faults_limiter_world.hpp>

BOOST_AUTO_TEST_SUITE(model_faults_limiter)

BOOST_AUTO_TEST_CASE_TEMPLATE(no_place_is_lost_whatever_fails, Where, faults::places) {
    faults::check_all<Where, false>({faults::asked::plainly, faults::asked::keyed});
}

BOOST_AUTO_TEST_SUITE_END()
