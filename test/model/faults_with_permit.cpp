// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/faults_memory.hpp>
#include <model/faults_world.hpp>

BOOST_AUTO_TEST_SUITE(model_faults_with_permit)

BOOST_AUTO_TEST_CASE_TEMPLATE(nothing_is_lost_whatever_fails, Where, faults::places) {
    faults::check_all<Where, true>({faults::form::with_permit});
}

BOOST_AUTO_TEST_SUITE_END()
