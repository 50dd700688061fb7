# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# The two targets: header-only, which is the default choice, and with the non-template part compiled once.

find_package(Threads REQUIRED)

# Uses the Boost of the parent project, or else searches for one. No components: only the headers are needed, and every version of
# Boost's package files provides them.
if(NOT TARGET Boost::headers AND NOT TARGET Boost::asio)
    find_package(Boost 1.81 CONFIG REQUIRED)
endif()
set(boost Boost::headers)
if(NOT TARGET Boost::headers)
    set(boost Boost::asio Boost::assert Boost::circular_buffer Boost::config Boost::core Boost::intrusive Boost::smart_ptr Boost::system
        Boost::throw_exception)
endif()
# If Boost is built in the same tree, it is in no export set, so this project's export sets cannot refer to it.
list(GET boost 0 first)
get_target_property(boost_is_imported ${first} IMPORTED)
if(NOT boost_is_imported AND ASIO_SEMAPHORE_INSTALL)
    message(WARNING "asio_semaphore is not installed: Boost is built along with it and cannot be exported")
    set(ASIO_SEMAPHORE_INSTALL OFF)
endif()

add_library(asio_semaphore INTERFACE)
add_library(asio_semaphore::asio_semaphore ALIAS asio_semaphore)
set(targets asio_semaphore)

if(ASIO_SEMAPHORE_BUILD_COMPILED)
    # Always static: the library promises no ABI.
    add_library(asio_semaphore_compiled STATIC src/asio_semaphore.cpp)
    add_library(asio_semaphore::compiled ALIAS asio_semaphore_compiled)
    list(APPEND targets asio_semaphore_compiled)
    set_target_properties(asio_semaphore_compiled PROPERTIES
        EXPORT_NAME compiled
        OUTPUT_NAME asio_semaphore
        POSITION_INDEPENDENT_CODE ON)
    if(NOT PROJECT_IS_TOP_LEVEL AND NOT ASIO_SEMAPHORE_INSTALL)
        # Built only if a target links it.
        set_target_properties(asio_semaphore_compiled PROPERTIES EXCLUDE_FROM_ALL ON)
    endif()
endif()

set(headers
    include/asio_semaphore.hpp
    include/asio_semaphore/async_semaphore.hpp
    include/asio_semaphore/config.hpp
    include/asio_semaphore/detail/operation/acquire_operation.hpp
    include/asio_semaphore/detail/operation/acquire_request.hpp
    include/asio_semaphore/detail/operation/admit_request.hpp
    include/asio_semaphore/detail/operation/completion.hpp
    include/asio_semaphore/detail/operation/deadline_timer.hpp
    include/asio_semaphore/detail/operation/executors.hpp
    include/asio_semaphore/detail/operation/failure_of.hpp
    include/asio_semaphore/detail/operation/initiate_acquire.hpp
    include/asio_semaphore/detail/operation/initiation.hpp
    include/asio_semaphore/detail/operation/limited_token.hpp
    include/asio_semaphore/detail/operation/route.hpp
    include/asio_semaphore/detail/operation/semaphore_service.hpp
    include/asio_semaphore/detail/operation/slot_canceller.hpp
    include/asio_semaphore/detail/operation/start_acquire.hpp
    include/asio_semaphore/detail/operation/with_permit_operation.hpp
    include/asio_semaphore/detail/state/admission_line.hpp
    include/asio_semaphore/detail/state/admission_queue.hpp
    include/asio_semaphore/detail/state/alarm.hpp
    include/asio_semaphore/detail/state/cancellation_link.hpp
    include/asio_semaphore/detail/state/key_tree.hpp
    include/asio_semaphore/detail/state/limiter_counts.hpp
    include/asio_semaphore/detail/state/limiter_state.hpp
    include/asio_semaphore/detail/state/ordered_set.hpp
    include/asio_semaphore/detail/state/record_pool.hpp
    include/asio_semaphore/detail/state/semaphore_state.hpp
    include/asio_semaphore/detail/state/state_registry.hpp
    include/asio_semaphore/detail/state/threads.hpp
    include/asio_semaphore/detail/state/wait_queue.hpp
    include/asio_semaphore/detail/state/waiting_line.hpp
    include/asio_semaphore/error.hpp
    include/asio_semaphore/limiter/admission.hpp
    include/asio_semaphore/limiter/admission_request.hpp
    include/asio_semaphore/limiter/aimd_limit.hpp
    include/asio_semaphore/limiter/gradient_limit.hpp
    include/asio_semaphore/limiter/limit_algorithm.hpp
    include/asio_semaphore/limiter/limiter.hpp
    include/asio_semaphore/limiter/limiter_options.hpp
    include/asio_semaphore/limiter/limiter_statistics.hpp
    include/asio_semaphore/limiter/openmetrics.hpp
    include/asio_semaphore/limiter/with_permit.hpp
    include/asio_semaphore/permit.hpp
    include/asio_semaphore/version.hpp
    include/asio_semaphore/with_permit.hpp)
# Bodies: included at the end of their headers, or compiled from src/. Do not include them on their own.
set(bodies
    include/asio_semaphore/detail/operation/impl/semaphore_service.ipp
    include/asio_semaphore/detail/state/impl/admission_line.ipp
    include/asio_semaphore/detail/state/impl/admission_line_arrivals.ipp
    include/asio_semaphore/detail/state/impl/admission_queue.ipp
    include/asio_semaphore/detail/state/impl/alarm.ipp
    include/asio_semaphore/detail/state/impl/cancellation_link.ipp
    include/asio_semaphore/detail/state/impl/limiter_state.ipp
    include/asio_semaphore/detail/state/impl/semaphore_state.ipp
    include/asio_semaphore/detail/state/impl/state_registry.ipp
    include/asio_semaphore/detail/state/impl/waiting_line.ipp
    include/asio_semaphore/impl/error.ipp
    include/asio_semaphore/impl/permit.ipp
    include/asio_semaphore/impl/src.hpp
    include/asio_semaphore/limiter/impl/aimd_limit.ipp
    include/asio_semaphore/limiter/impl/exposition.hpp
    include/asio_semaphore/limiter/impl/gradient_limit.ipp
    include/asio_semaphore/limiter/impl/gradient_rules.hpp
    include/asio_semaphore/limiter/impl/gradient_samples.hpp
    include/asio_semaphore/limiter/impl/limiter_options.ipp
    include/asio_semaphore/limiter/impl/openmetrics.ipp)

foreach(target IN LISTS targets)
    if(target STREQUAL asio_semaphore)
        set(scope INTERFACE)
        set(mode ASIO_SEMAPHORE_HEADER_ONLY)
    else()
        set(scope PUBLIC)
        set(mode ASIO_SEMAPHORE_SEPARATE_COMPILATION)
    endif()
    target_compile_features(${target} ${scope} cxx_std_17)
    target_compile_definitions(${target} ${scope} ${mode})
    target_link_libraries(${target} ${scope} ${boost} Threads::Threads)
    target_sources(${target} ${scope}
        FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${headers})
    target_sources(${target} ${scope}
        FILE_SET bodies TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${bodies})
    set_target_properties(${target} PROPERTIES
        VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL}
        INTERFACE_HEADER_SETS_TO_VERIFY HEADERS)
endforeach()
