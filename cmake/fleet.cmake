# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# The fleet: an optional component on top of the library. It needs the Boost.Redis of Boost 1.91 or newer, and OpenSSL, which Boost.Redis
# needs.

set(fleet_headers
    include/asio_semaphore/detail/fleet/client_state.hpp
    include/asio_semaphore/detail/fleet/end_requests.hpp
    include/asio_semaphore/detail/fleet/lease.hpp
    include/asio_semaphore/detail/fleet/limit.hpp
    include/asio_semaphore/detail/fleet/limit_line.hpp
    include/asio_semaphore/detail/fleet/lines.hpp
    include/asio_semaphore/detail/fleet/machine.hpp
    include/asio_semaphore/detail/fleet/protocol.hpp
    include/asio_semaphore/detail/fleet/redis_store.hpp
    include/asio_semaphore/detail/fleet/requests.hpp
    include/asio_semaphore/detail/fleet/script.hpp
    include/asio_semaphore/detail/fleet/store.hpp
    include/asio_semaphore/detail/fleet/ticket.hpp
    include/asio_semaphore/fleet/config.hpp
    include/asio_semaphore/fleet/fleet_client.hpp
    include/asio_semaphore/fleet/fleet_error.hpp
    include/asio_semaphore/fleet/fleet_options.hpp
    include/asio_semaphore/fleet/fleet_permit.hpp
    include/asio_semaphore/fleet/fleet_semaphore.hpp
    include/asio_semaphore/fleet/fleet_statistics.hpp
    include/asio_semaphore/fleet/openmetrics.hpp
    include/asio_semaphore/fleet/while_held.hpp
    include/asio_semaphore/fleet/with_permit.hpp)
set(fleet_bodies
    include/asio_semaphore/detail/fleet/impl/client_state.ipp
    include/asio_semaphore/detail/fleet/impl/lease.ipp
    include/asio_semaphore/detail/fleet/impl/limit_line.ipp
    include/asio_semaphore/detail/fleet/impl/machine.ipp
    include/asio_semaphore/detail/fleet/impl/machine_calls.ipp
    include/asio_semaphore/detail/fleet/impl/machine_replies.ipp
    include/asio_semaphore/detail/fleet/impl/machine_tickets.ipp
    include/asio_semaphore/detail/fleet/impl/protocol.ipp
    include/asio_semaphore/detail/fleet/impl/redis_store.ipp
    include/asio_semaphore/detail/fleet/impl/redis_store_calls.ipp
    include/asio_semaphore/detail/fleet/impl/ticket.ipp
    include/asio_semaphore/fleet/impl/fleet_error.ipp
    include/asio_semaphore/fleet/impl/openmetrics.ipp)

if(NOT ASIO_SEMAPHORE_FLEET)
    return()
endif()

if(Boost_VERSION AND Boost_VERSION VERSION_LESS 1.91)
    message(FATAL_ERROR "ASIO_SEMAPHORE_FLEET needs Boost 1.91 or newer; this is ${Boost_VERSION}")
endif()
find_package(OpenSSL REQUIRED)
include(GNUInstallDirs)

# Header-only, on top of either form of the library: to use the compiled form, link asio_semaphore::compiled as well.
add_library(asio_semaphore_fleet INTERFACE)
add_library(asio_semaphore::fleet ALIAS asio_semaphore_fleet)
set_target_properties(asio_semaphore_fleet PROPERTIES EXPORT_NAME fleet)
target_compile_features(asio_semaphore_fleet INTERFACE cxx_std_17)
target_link_libraries(asio_semaphore_fleet INTERFACE ${boost} Threads::Threads OpenSSL::SSL OpenSSL::Crypto)
if(NOT TARGET Boost::headers)
    target_link_libraries(asio_semaphore_fleet INTERFACE Boost::redis)
endif()
target_sources(asio_semaphore_fleet INTERFACE
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${fleet_headers})
target_sources(asio_semaphore_fleet INTERFACE
    FILE_SET bodies TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${fleet_bodies})

# The bodies of Boost.Redis, for programs that do not include <boost/redis/src.hpp>: a source file that is added to the program.
add_library(asio_semaphore_fleet_redis INTERFACE)
add_library(asio_semaphore::fleet_redis ALIAS asio_semaphore_fleet_redis)
set_target_properties(asio_semaphore_fleet_redis PROPERTIES EXPORT_NAME fleet_redis)
target_link_libraries(asio_semaphore_fleet_redis INTERFACE asio_semaphore_fleet)
target_sources(asio_semaphore_fleet_redis INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src/fleet_redis.cpp>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_DATADIR}/asio_semaphore/src/fleet_redis.cpp>)
