"""Runs the recipe for Conan with stand-ins for Conan's own classes, which do with plain CMake what those do.

    conan_recipe.py <recipe> <empty directory> <generator> <cache file of the parent build> <version>
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import types

recipe, directory, generator, parent, version = sys.argv[1:]
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


class Components(dict):
    def __missing__(self, name):
        self[name] = Component()
        return self[name]


def targets_of(name, cpp_info):
    """What CMakeDeps makes of it: for each target the definitions that it brings, and what is linked with it.

    The root target has those of all components. A component with the root target's name is the same target.
    """
    targets = {}

    def add(target, component):
        defines, libs = targets.setdefault(target, (set(), set()))
        defines.update(component.defines)
        libs.update(component.libs)

    root = cpp_info.properties.get("cmake_target_name", "%s::%s" % (name, name))
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

for header_only in (False, True):
    here = os.path.join(directory, "header_only" if header_only else "compiled")
    package = recipe_class()
    package.recipe_folder = os.path.dirname(os.path.abspath(recipe))
    package.settings = Options(os="Linux")
    package.options = Options(package.default_options, header_only=header_only)
    package.info = types.SimpleNamespace(options=package.options, clear=lambda: None)
    package.export_sources_folder = package.source_folder = os.path.join(here, "source")
    package.build_folder, package.package_folder = os.path.join(here, "build"), os.path.join(here, "package")
    package.cpp_info = Component()
    package.cpp_info.components = Components()
    required = []
    package.requires = lambda reference, **traits: required.append(reference.split("/")[0])

    for method in ("set_version", "config_options", "configure", "layout", "requirements", "package_id", "validate",
                   "export_sources", "generate", "build", "package", "package_info"):
        getattr(package, method)()

    assert package.version == version, package.version
    assert package.package_type == ("header-library" if header_only else "static-library")
    assert required == ["boost"], required
    assert package.cpp_info.properties["cmake_file_name"] == "asio_semaphore"
    targets = targets_of(package.name, package.cpp_info)
    assert targets == (
        {"asio_semaphore::asio_semaphore": ({"ASIO_SEMAPHORE_HEADER_ONLY"}, set())} if header_only else
        {"asio_semaphore::compiled": ({"ASIO_SEMAPHORE_SEPARATE_COMPILATION"}, {"asio_semaphore"})}), targets
    assert package.cpp_info.properties["pkg_config_name"] == (
        "asio_semaphore" if header_only else "asio_semaphore-compiled")
    for component in [package.cpp_info, *package.cpp_info.components.values()]:
        assert component.requires == ["boost::headers"]
    for _, libraries in targets.values():
        for library in libraries:
            assert os.path.exists(os.path.join(package.package_folder, "lib", "lib%s.a" % library)), library
    for file in ("include/asio_semaphore.hpp", "include/asio_semaphore/impl/error.ipp", "licenses/LICENSE",
                 *("share/asio_semaphore/" + tool for tool in
                   ("gdb/asio_semaphore.py", "lldb/asio_semaphore.py", "natvis/asio_semaphore.natvis"))):
        assert os.path.exists(os.path.join(package.package_folder, file)), file
    assert not os.path.exists(os.path.join(package.package_folder, "lib", "cmake"))
