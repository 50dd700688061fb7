# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# An overlay port that builds the tree it lies in:
#
#   vcpkg install asio-semaphore --overlay-ports=<this tree>/packaging/vcpkg
#   vcpkg install asio-semaphore[fleet] --overlay-ports=<this tree>/packaging/vcpkg
#
# In a registry vcpkg_from_github() takes the place of the next line.
cmake_path(SET SOURCE_PATH NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../../..")

vcpkg_check_linkage(ONLY_STATIC_LIBRARY)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        fleet ASIO_SEMAPHORE_FLEET
)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DASIO_SEMAPHORE_BUILD_TESTS=OFF
        -DASIO_SEMAPHORE_BUILD_EXAMPLES=OFF
        -DASIO_SEMAPHORE_BUILD_BENCH=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME asio_semaphore CONFIG_PATH lib/cmake/asio_semaphore)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share"
    "${CURRENT_PACKAGES_DIR}/share/doc")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
