# The two targets: header-only, the plain choice, and with the non-template part compiled once.

find_package(Threads REQUIRED)
if(TARGET Boost::headers)
    set(boost Boost::headers)
elseif(TARGET Boost::asio)
    # Boost built from source inside a larger build: it has no target for all headers, and cannot be exported with ours.
    set(boost Boost::asio Boost::smart_ptr Boost::system)
    set(ASIO_SEMAPHORE_INSTALL OFF)
else()
    # No components: the headers are all there is to find, under every version of Boost's own package files.
    find_package(Boost 1.81 CONFIG REQUIRED)
    set(boost Boost::headers)
endif()

add_library(asio_semaphore INTERFACE)
add_library(asio_semaphore_compiled STATIC src/asio_semaphore.cpp)
set_target_properties(asio_semaphore_compiled PROPERTIES
    EXPORT_NAME compiled
    POSITION_INDEPENDENT_CODE ON
    VERSION ${PROJECT_VERSION})
add_library(asio_semaphore::asio_semaphore ALIAS asio_semaphore)
add_library(asio_semaphore::compiled ALIAS asio_semaphore_compiled)

set(headers
    include/asio_semaphore.hpp
    include/asio_semaphore/async_semaphore.hpp
    include/asio_semaphore/config.hpp
    include/asio_semaphore/detail/acquire_operation.hpp
    include/asio_semaphore/detail/cancellation_link.hpp
    include/asio_semaphore/detail/completion.hpp
    include/asio_semaphore/detail/executors.hpp
    include/asio_semaphore/detail/initiate_acquire.hpp
    include/asio_semaphore/detail/semaphore_service.hpp
    include/asio_semaphore/detail/semaphore_state.hpp
    include/asio_semaphore/detail/state_registry.hpp
    include/asio_semaphore/detail/threads.hpp
    include/asio_semaphore/detail/wait_queue.hpp
    include/asio_semaphore/detail/with_permit_operation.hpp
    include/asio_semaphore/error.hpp
    include/asio_semaphore/permit.hpp
    include/asio_semaphore/version.hpp
    include/asio_semaphore/with_permit.hpp)
# Bodies: included at the end of their headers, or compiled from src/; not headers to include on their own.
set(bodies
    include/asio_semaphore/impl/cancellation_link.ipp
    include/asio_semaphore/impl/error.ipp
    include/asio_semaphore/impl/permit.ipp
    include/asio_semaphore/impl/semaphore_service.ipp
    include/asio_semaphore/impl/semaphore_state.ipp
    include/asio_semaphore/impl/src.hpp
    include/asio_semaphore/impl/state_registry.ipp)

foreach(target IN ITEMS asio_semaphore asio_semaphore_compiled)
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
