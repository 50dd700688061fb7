# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""A recipe for Conan 2 that packages the tree it lies in: conan create packaging/conan [-o '&:header_only=False'] [-o '&:fleet=True'].

The package has the one target that the option chooses: asio_semaphore::asio_semaphore, or with header_only=False
asio_semaphore::compiled. With fleet=True it also has asio_semaphore::fleet, which links that target. Then one source file of the
program has to include <boost/redis/src.hpp>.
"""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class AsioSemaphore(ConanFile):
    name = "asio_semaphore"
    description = "Concurrency limits for Boost.Asio: a semaphore, a limiter for servers, and a limit for several processes"
    license = "BSL-1.0"
    topics = ("asio", "boost", "semaphore", "concurrency", "coroutines")
    settings = "os", "arch", "compiler", "build_type"
    options = {"header_only": [True, False], "fleet": [True, False], "fPIC": [True, False]}
    default_options = {"header_only": True, "fleet": False, "fPIC": True}
    package_type = "unknown"

    @property
    def _tree(self):
        return os.path.join(self.recipe_folder, os.pardir, os.pardir)

    def set_version(self):
        text = load(self, os.path.join(self._tree, "include", "asio_semaphore", "version.hpp"))
        self.version = ".".join(re.search(r"version_%s = (\d+);" % part, text)[1] for part in ("major", "minor", "patch"))

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*", "tools/gdb/*.py", "tools/lldb/*.py",
                        "tools/natvis/*.natvis"):
            copy(self, pattern, src=self._tree, dst=self.export_sources_folder)

    def config_options(self):
        if self.settings.os == "Windows":
            del self.options.fPIC

    def configure(self):
        if self.options.header_only:
            self.options.rm_safe("fPIC")
            self.package_type = "header-library"
        else:
            self.package_type = "static-library"

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        boost = "1.91" if self.options.fleet else "1.81"
        self.requires("boost/[>=%s]" % boost, transitive_headers=True, options={"header_only": True})
        if self.options.fleet:
            self.requires("openssl/[>=1.1 <4]", transitive_headers=True, transitive_libs=True)

    def package_id(self):
        # The options stay: the headers of the fleet are there only with its option.
        if self.info.options.header_only:
            self.info.settings.clear()
            self.info.requires.clear()

    def validate(self):
        check_min_cppstd(self, 17)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["ASIO_SEMAPHORE_BUILD_COMPILED"] = not self.options.header_only
        toolchain.cache_variables["ASIO_SEMAPHORE_FLEET"] = bool(self.options.fleet)
        toolchain.cache_variables["ASIO_SEMAPHORE_BUILD_TESTS"] = False
        toolchain.cache_variables["ASIO_SEMAPHORE_BUILD_EXAMPLES"] = False
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        # Conan writes files of its own for these.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share", "doc"))

    # One target a package: beside the components of a package its root target has the definitions of them all, and those of
    # the two modes must not meet in one program. The fleet is a component, because it links OpenSSL. The root target, which
    # links all components, then has a name of its own.
    def package_info(self):
        header_only = self.options.header_only
        self.cpp_info.set_property("cmake_file_name", "asio_semaphore")
        library = self.cpp_info
        if self.options.fleet:
            self.cpp_info.set_property("cmake_target_name", "asio_semaphore::all")
            self.cpp_info.set_property("pkg_config_name", "asio_semaphore-all")
            library = self.cpp_info.components["library"]
            fleet = self.cpp_info.components["fleet"]
            fleet.set_property("cmake_target_name", "asio_semaphore::fleet")
            fleet.set_property("pkg_config_name", "asio_semaphore-fleet")
            fleet.requires = ["library", "openssl::ssl", "openssl::crypto"]
            fleet.bindirs = []
            fleet.libdirs = []
        library.set_property("cmake_target_name",
                             "asio_semaphore::asio_semaphore" if header_only else "asio_semaphore::compiled")
        library.set_property("pkg_config_name", "asio_semaphore" if header_only else "asio_semaphore-compiled")
        library.defines = ["ASIO_SEMAPHORE_HEADER_ONLY" if header_only else "ASIO_SEMAPHORE_SEPARATE_COMPILATION"]
        library.requires = ["boost::headers"]
        library.bindirs = []
        if header_only:
            library.libdirs = []
        else:
            library.libs = ["asio_semaphore"]
        if self.settings.os in ("Linux", "FreeBSD"):
            library.system_libs = ["pthread"]
