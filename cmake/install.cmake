include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ASIO_SEMAPHORE_INSTALL_CMAKEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/asio_semaphore CACHE STRING
    "Where the CMake package goes, below the prefix")

# Two export sets, so that the compiled library can be asked for, and missed, by name.
set(component asio_semaphore_development)
install(TARGETS asio_semaphore EXPORT asio_semaphore-targets
    FILE_SET HEADERS COMPONENT ${component} FILE_SET bodies COMPONENT ${component})
install(TARGETS asio_semaphore_compiled EXPORT asio_semaphore-compiled-targets
    ARCHIVE COMPONENT ${component}
    FILE_SET HEADERS COMPONENT ${component} FILE_SET bodies COMPONENT ${component})
foreach(set IN ITEMS asio_semaphore-targets asio_semaphore-compiled-targets)
    install(EXPORT ${set} NAMESPACE asio_semaphore:: COMPONENT ${component}
        DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR})
    export(EXPORT ${set} NAMESPACE asio_semaphore:: FILE ${PROJECT_BINARY_DIR}/${set}.cmake)
endforeach()

configure_package_config_file(cmake/asio_semaphore-config.cmake.in
    ${PROJECT_BINARY_DIR}/asio_semaphore-config.cmake
    INSTALL_DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/asio_semaphore-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/asio_semaphore-config.cmake
    ${PROJECT_BINARY_DIR}/asio_semaphore-config-version.cmake
    DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR} COMPONENT ${component})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ${component})
