# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ASIO_SEMAPHORE_INSTALL_CMAKEDIR ${CMAKE_INSTALL_LIBDIR}/cmake/asio_semaphore CACHE STRING
    "Where the CMake package goes, below the prefix")
set(ASIO_SEMAPHORE_INSTALL_PKGCONFIGDIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig CACHE STRING
    "Where the files for pkg-config go, below the prefix")
set(component asio_semaphore_development)

# Two export sets, so that find_package can request the compiled library as a component, and report that it is missing.
install(TARGETS asio_semaphore EXPORT asio_semaphore-targets
    FILE_SET HEADERS COMPONENT ${component} FILE_SET bodies COMPONENT ${component})
set(export_sets asio_semaphore-targets)
set(architecture ARCH_INDEPENDENT)
set(pkg_config_modes header-only)
if(ASIO_SEMAPHORE_BUILD_COMPILED)
    install(TARGETS asio_semaphore_compiled EXPORT asio_semaphore-compiled-targets
        ARCHIVE COMPONENT ${component}
        FILE_SET HEADERS COMPONENT ${component} FILE_SET bodies COMPONENT ${component})
    list(APPEND export_sets asio_semaphore-compiled-targets)
    set(architecture)
    list(APPEND pkg_config_modes compiled)
endif()
if(ASIO_SEMAPHORE_FLEET)
    install(TARGETS asio_semaphore_fleet asio_semaphore_fleet_redis EXPORT asio_semaphore-fleet-targets
        FILE_SET HEADERS COMPONENT ${component} FILE_SET bodies COMPONENT ${component})
    install(FILES src/fleet_redis.cpp
        DESTINATION ${CMAKE_INSTALL_DATADIR}/asio_semaphore/src COMPONENT ${component})
    list(APPEND export_sets asio_semaphore-fleet-targets)
    list(APPEND pkg_config_modes fleet)
endif()
foreach(set IN LISTS export_sets)
    install(EXPORT ${set} NAMESPACE asio_semaphore:: COMPONENT ${component}
        DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR})
    # Also found with asio_semaphore_DIR=<build tree>, so that dependents of an uninstalled library can be exported.
    export(EXPORT ${set} NAMESPACE asio_semaphore:: FILE ${PROJECT_BINARY_DIR}/${set}.cmake)
endforeach()

configure_package_config_file(cmake/asio_semaphore-config.cmake.in
    ${PROJECT_BINARY_DIR}/asio_semaphore-config.cmake
    INSTALL_DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR})
# Before 1.0 a minor version may break source code. See CHANGELOG.md.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/asio_semaphore-config-version.cmake
    COMPATIBILITY SameMinorVersion ${architecture})
install(FILES
    ${PROJECT_BINARY_DIR}/asio_semaphore-config.cmake
    ${PROJECT_BINARY_DIR}/asio_semaphore-config-version.cmake
    DESTINATION ${ASIO_SEMAPHORE_INSTALL_CMAKEDIR} COMPONENT ${component})

# pkg-config: one file for each way to use the library. The prefix is relative to the file, so the installation can be moved.
cmake_path(ABSOLUTE_PATH ASIO_SEMAPHORE_INSTALL_PKGCONFIGDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
    NORMALIZE OUTPUT_VARIABLE pc_dir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${pc_dir} OUTPUT_VARIABLE pc_to_prefix)
foreach(dir IN ITEMS INCLUDE LIB)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}DIR}")
        set(pc_${dir} ${CMAKE_INSTALL_${dir}DIR})
    else()
        set(pc_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}DIR}")
    endif()
endforeach()
foreach(mode IN LISTS pkg_config_modes)
    set(pc_requires)
    if(mode STREQUAL fleet)
        # The file of the header-only library has the headers.
        set(pc_name asio_semaphore-fleet)
        set(pc_define ASIO_SEMAPHORE_HEADER_ONLY)
        set(pc_libs "-pthread")
        set(pc_requires "\nRequires: asio_semaphore, openssl")
    elseif(mode STREQUAL compiled)
        set(pc_name asio_semaphore-compiled)
        set(pc_define ASIO_SEMAPHORE_SEPARATE_COMPILATION)
        set(pc_libs "-L\${libdir} -lasio_semaphore -pthread")
    else()
        set(pc_name asio_semaphore)
        set(pc_define ASIO_SEMAPHORE_HEADER_ONLY)
        set(pc_libs "-pthread")
    endif()
    configure_file(cmake/asio_semaphore.pc.in ${PROJECT_BINARY_DIR}/${pc_name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${pc_name}.pc
        DESTINATION ${ASIO_SEMAPHORE_INSTALL_PKGCONFIGDIR} COMPONENT ${component})
endforeach()

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ${component})
foreach(tool IN ITEMS gdb/asio_semaphore.py lldb/asio_semaphore.py natvis/asio_semaphore.natvis)
    cmake_path(GET tool PARENT_PATH debugger)
    install(FILES tools/${tool}
        DESTINATION ${CMAKE_INSTALL_DATADIR}/asio_semaphore/${debugger} COMPONENT ${component})
endforeach()
