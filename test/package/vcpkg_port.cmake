# Runs the port for vcpkg. vcpkg's own functions are replaced by functions that do the same with plain CMake.
#
#   -Dport=DIR -Dbuild=DIR -Dparent=FILE -Dgenerator=NAME -Dversion=X.Y.Z -Dreadme=FILE

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${build})
cmake_path(GET port FILENAME PORT)
set(CURRENT_PACKAGES_DIR ${build}/packages/${PORT})
set(called)

macro(called_once)
    if(CMAKE_CURRENT_FUNCTION IN_LIST called)
        message(FATAL_ERROR "${CMAKE_CURRENT_FUNCTION} is called twice")
    endif()
    set(called ${called} ${CMAKE_CURRENT_FUNCTION} PARENT_SCOPE)
endmacro()

function(vcpkg_check_linkage)
    called_once()
endfunction()

function(vcpkg_cmake_configure)
    called_once()
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
    # As in vcpkg, the build must not download anything, and an unknown option is an error.
    execute_process(
        COMMAND ${CMAKE_COMMAND} -S ${arg_SOURCE_PATH} -B ${build}/release -G ${generator} -C ${parent} ${arg_OPTIONS}
            -DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR} -DBUILD_SHARED_LIBS=OFF -DCMAKE_BUILD_TYPE=Release
            -DFETCHCONTENT_FULLY_DISCONNECTED=ON -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_BINDIR=bin
        OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${output}")
    endif()
    file(STRINGS ${build}/release/CMakeCache.txt untyped REGEX "^ASIO_SEMAPHORE_[A-Z_]+:UNINITIALIZED=")
    if(untyped)
        message(FATAL_ERROR "the project does not have these options: ${untyped}")
    endif()
endfunction()

function(vcpkg_cmake_install)
    called_once()
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${build}/release --target install OUTPUT_VARIABLE output
        COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_cmake_config_fixup)
    called_once()
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "PACKAGE_NAME;CONFIG_PATH" "")
    set(from ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH})
    set(to ${CURRENT_PACKAGES_DIR}/share/${arg_PACKAGE_NAME})
    if(NOT EXISTS ${from}/${arg_PACKAGE_NAME}-config.cmake)
        message(FATAL_ERROR "there is no package configuration file in ${from}")
    endif()
    file(MAKE_DIRECTORY ${to})
    file(GLOB files ${from}/*)
    foreach(file IN LISTS files)
        cmake_path(GET file FILENAME name)
        file(RENAME ${file} ${to}/${name})
        # share/x is one directory closer to the prefix than lib/cmake/x.
        file(READ ${to}/${name} text)
        set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
        string(REPLACE "${up}${up}${up}" "${up}${up}" text "${text}")
        string(REPLACE "/../../../" "/../../" text "${text}")
        file(WRITE ${to}/${name} "${text}")
    endforeach()
    file(REMOVE_RECURSE ${CURRENT_PACKAGES_DIR}/lib/cmake)
endfunction()

function(vcpkg_fixup_pkgconfig)
    called_once()
endfunction()

function(vcpkg_install_copyright)
    called_once()
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "FILE_LIST")
    configure_file(${arg_FILE_LIST} ${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright COPYONLY)
endfunction()

include(${port}/portfile.cmake)

list(LENGTH called count)
if(NOT count EQUAL 6)
    message(FATAL_ERROR "the port calls only these functions: ${called}")
endif()
foreach(file IN ITEMS share/${PORT}/copyright share/${PORT}/usage share/asio_semaphore/asio_semaphore-config.cmake
    lib/libasio_semaphore.a lib/pkgconfig/asio_semaphore.pc include/asio_semaphore.hpp)
    if(NOT EXISTS ${CURRENT_PACKAGES_DIR}/${file})
        message(SEND_ERROR "the port does not install ${file}")
    endif()
endforeach()
# vcpkg rejects a package with empty directories, or with CMake files outside share/.
file(GLOB_RECURSE strays ${CURRENT_PACKAGES_DIR}/lib/*.cmake)
file(GLOB_RECURSE all LIST_DIRECTORIES ON ${CURRENT_PACKAGES_DIR}/*)
foreach(directory IN LISTS all)
    if(IS_DIRECTORY ${directory})
        file(GLOB content ${directory}/*)
        if(NOT content)
            list(APPEND strays ${directory})
        endif()
    endif()
endforeach()
if(strays)
    message(SEND_ERROR "vcpkg would reject the package because of ${strays}")
endif()

file(READ ${port}/vcpkg.json manifest)
string(JSON name GET "${manifest}" name)
string(JSON stated GET "${manifest}" version)
if(NOT name STREQUAL PORT OR NOT stated STREQUAL version)
    message(SEND_ERROR "the manifest is for ${name} ${stated}, not for ${PORT} ${version}")
endif()
file(STRINGS ${port}/usage lines REGEX "(find_package|target_link_libraries)")
if(EXISTS ${readme})
    file(READ ${readme} text)
    foreach(line IN LISTS lines)
        string(REGEX MATCH "asio_semaphore::[a-z_]+|find_package\\(asio_semaphore" phrase "${line}")
        string(FIND "${text}" "${phrase}" position)
        if(position EQUAL -1)
            message(SEND_ERROR "the usage text contains ${phrase}, but the README does not")
        endif()
    endforeach()
endif()
