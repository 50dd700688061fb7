# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Runs the recipe for Conan. Conan's own classes are replaced by classes that do the same with plain CMake.

    conan_recipe.py <recipe> <empty directory> <generator> <cache file of the parent build> <version> [fleet]

Without `fleet` it builds the package in both modes, and checks what the recipe declares, with and without the fleet. With
`fleet` it builds the package with the fleet, which needs a build whose Boost is new enough.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import types

recipe, directory, generator, parent, version, *wanted = sys.argv[1:]
shutil.rmtree(directory, ignore_errors=True)


class Options(dict):
    def __getattr__(self, name):
        return self[name]

    def __delattr__(self, name):
        del self[name]

    def rm_safe(self, name):
        self.pop(name, None)


class Component:
    def __init__(self):
        self.properties, self.components = {}, {}
        self.libs, self.requires, self.defines = [], [], []

    def set_property(self, name, value):
        self.properties[name] = value


class Info:
    """The properties from which Conan computes the id of a package."""

    def __init__(self, **parts):
        vars(self).update({name: dict(part) for name, part in parts.items()})
        self.options = Options(self.options)

    def clear(self):
        for part in vars(self).values():
            part.clear()

    def id(self):
        return repr(sorted((name, sorted(part.items())) for name, part in vars(self).items()))


class Components(dict):
    def __missing__(self, name):
        self[name] = Component()
        return self[name]


def targets_of(name, cpp_info):
    """The targets that CMakeDeps would generate: each with its definitions, libraries and requirements.

    A component also has those of the components that it requires. The root target has those of all components. A component with
    the name of the root target is the same target.
    """
    targets = {}

    def add(target, component):
        defines, libs, requires = targets.setdefault(target, (set(), set(), set()))
        defines.update(component.defines)
        libs.update(component.libs)
        for required in component.requires:
            if "::" in required:
                requires.add(required)
            else:
                add(target, cpp_info.components.get(required) or sys.exit("there is no component " + required))

    root = cpp_info.properties.get("cmake_target_name", "%s::%s" % (name, name))
    if not cpp_info.components:
        add(root, cpp_info)
    for component_name, component in cpp_info.components.items():
        add(component.properties.get("cmake_target_name", "%s::%s" % (name, component_name)), component)
        add(root, component)
    return targets


class ConanFile:
    pass


class CMakeToolchain:
    def __init__(self, conanfile):
        self.conanfile, self.cache_variables = conanfile, {}

    def generate(self):
        self.conanfile.cache_variables = self.cache_variables


class CMakeDeps:
    def __init__(self, conanfile):
        pass

    def generate(self):
        pass


class CMake:
    def __init__(self, conanfile):
        self.conanfile = conanfile

    def run(self, *command):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)

    def configure(self):
        self.run("-S", self.conanfile.source_folder, "-B", self.conanfile.build_folder, "-G", generator, "-C", parent,
                 "-DCMAKE_INSTALL_LIBDIR=lib", *("-D%s=%s" % (name, "ON" if value else "OFF")
                                                for name, value in self.conanfile.cache_variables.items()))
        with open(os.path.join(self.conanfile.build_folder, "CMakeCache.txt")) as cache:
            for name in self.conanfile.cache_variables:
                assert name + ":BOOL=" in cache.read(), "the project has no option " + name
                cache.seek(0)

    def build(self):
        self.run("--build", self.conanfile.build_folder, "--config", "Release")

    def install(self):
        self.run("--install", self.conanfile.build_folder, "--config", "Release", "--prefix", self.conanfile.package_folder)


def copy(conanfile, pattern, src, dst):
    import fnmatch

    for folder, _, files in os.walk(src):
        for file in files:
            path = os.path.relpath(os.path.join(folder, file), src)
            if fnmatch.fnmatch(path, pattern):
                os.makedirs(os.path.dirname(os.path.join(dst, path)), exist_ok=True)
                shutil.copy(os.path.join(folder, file), os.path.join(dst, path))


def load(conanfile, path):
    with open(path) as file:
        return file.read()


def rmdir(conanfile, path):
    shutil.rmtree(path, ignore_errors=True)


def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)


module("conan", ConanFile=ConanFile)
module("conan.tools")
module("conan.tools.build", check_min_cppstd=lambda conanfile, standard: None)
module("conan.tools.cmake", CMake=CMake, CMakeDeps=CMakeDeps, CMakeToolchain=CMakeToolchain,
       cmake_layout=lambda conanfile: None)
module("conan.tools.files", copy=copy, load=load, rmdir=rmdir)

spec = importlib.util.spec_from_file_location("recipe", recipe)
recipe_module = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(recipe_module)
(recipe_class,) = (value for value in vars(recipe_module).values()
                   if isinstance(value, type) and issubclass(value, ConanFile) and value is not ConanFile)

ids = {}


def check_package(header_only, fleet, builds, build_type="Release"):
    here = os.path.join(directory, "header_only" if header_only else "compiled")
    package = recipe_class()
    package.recipe_folder = os.path.dirname(os.path.abspath(recipe))
    package.settings = Options(os="Linux", build_type=build_type)
    package.options = Options(package.default_options, header_only=header_only, fleet=fleet)
    package.export_sources_folder = package.source_folder = os.path.join(here, "source")
    package.build_folder, package.package_folder = os.path.join(here, "build"), os.path.join(here, "package")
    package.cpp_info = Component()
    package.cpp_info.components = Components()
    required = {}
    package.requires = lambda reference, **traits: required.update([(reference.split("/")[0], (reference, traits))])

    for method in ("set_version", "config_options", "configure", "layout", "requirements"):
        getattr(package, method)()
    package.info = Info(settings=package.settings, options=package.options, requires={name: r for name, (r, _) in required.items()})
    for method in ("package_id", "validate", *(("export_sources", "generate", "build", "package") if builds else ()),
                   "package_info"):
        getattr(package, method)()
    ids[header_only, fleet, build_type] = package.info.id()

    assert package.version == version, package.version
    assert package.package_type == ("header-library" if header_only else "static-library")
    # The fleet needs a newer Boost.Redis, whose headers need OpenSSL.
    assert required.keys() == ({"boost", "openssl"} if fleet else {"boost"}), required
    assert required["boost"][0] == ("boost/[>=1.91]" if fleet else "boost/[>=1.81]"), required
    assert all(traits["transitive_headers"] for _, traits in required.values())

    assert package.cpp_info.properties["cmake_file_name"] == "asio_semaphore"
    library = "asio_semaphore::asio_semaphore" if header_only else "asio_semaphore::compiled"
    brings = ({"ASIO_SEMAPHORE_HEADER_ONLY"}, set(), {"boost::headers"})
    if not header_only:
        brings = ({"ASIO_SEMAPHORE_SEPARATE_COMPILATION"}, {"asio_semaphore"}, {"boost::headers"})
    expected = {library: brings}
    files = {"asio_semaphore" if header_only else "asio_semaphore-compiled"}
    if fleet:
        with_fleet = (*brings[:2], brings[2] | {"openssl::ssl", "openssl::crypto"})
        expected.update({"asio_semaphore::fleet": with_fleet, "asio_semaphore::all": with_fleet})
        files |= {"asio_semaphore-fleet", "asio_semaphore-all"}
    targets = targets_of(package.name, package.cpp_info)
    assert targets == expected, targets
    assert files == {c.properties["pkg_config_name"] for c in [package.cpp_info, *package.cpp_info.components.values()]}

    if not builds:
        return
    for _, libraries, _ in targets.values():
        for library in libraries:
            assert os.path.exists(os.path.join(package.package_folder, "lib", "lib%s.a" % library)), library
    for file in ("include/asio_semaphore.hpp", "include/asio_semaphore/impl/error.ipp", "licenses/LICENSE",
                 *("share/asio_semaphore/" + tool for tool in
                   ("gdb/asio_semaphore.py", "lldb/asio_semaphore.py", "natvis/asio_semaphore.natvis"))):
        assert os.path.exists(os.path.join(package.package_folder, file)), file
    assert fleet == os.path.exists(os.path.join(package.package_folder, "include/asio_semaphore/fleet/fleet_semaphore.hpp"))
    assert not os.path.exists(os.path.join(package.package_folder, "lib", "cmake"))


if wanted == ["fleet"]:
    check_package(header_only=True, fleet=True, builds=True)
else:
    for header_only in (False, True):
        check_package(header_only, fleet=False, builds=True)
        check_package(header_only, fleet=True, builds=False)
        for fleet in (False, True):
            check_package(header_only, fleet, builds=False, build_type="Debug")
    # A header-only package does not depend on the settings, but on the option for the headers of the fleet.
    assert len(set(ids.values())) == 6, ids
    assert ids[True, True, "Release"] == ids[True, True, "Debug"] != ids[True, False, "Debug"] == ids[True, False, "Release"]
