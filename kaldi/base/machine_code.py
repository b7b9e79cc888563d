"""The machine code that numba compiled a core to, kept in a file, and loaded without numba.

To import numba takes longer than all else that a short program does. A core needs little of it: the wrapper that turns
Python objects into arguments and results into Python objects, and what allocates and frees arrays, both of which are
machine code as well, and the C functions of three extension modules of numba's, which do without its Python. LLVM's
linker (llvmlite, which comes with numba) joins them.

A file is good for the sources, and for the versions and the processor, that its name has the hashes of; others are not
read. Several may lie side by side, as machines of a cluster share the folder; those of other sources can go, since
nothing that starts from now on asks for them.
"""

from __future__ import annotations

import builtins
import ctypes
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, source_hash, spec_from_file_location
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from kaldi.base.whole_file import WholeFile

NUMBA = Path(str(getattr(find_spec("numba"), "origin", ""))).parent
HASH = 8  # bytes, of the content that follows them
DAY = 24 * 3600.0

# numba counts the references to an array by atomic instructions, on which a core may spend half of its time. But an
# array gets a count of its own whenever it is passed to a core: no other thread knows of it.
COUNTING = """
declare void @NRT_MemInfo_call_dtor(ptr)
define void @NRT_incref(ptr %array) {
  %none = icmp eq ptr %array, null
  br i1 %none, label %end, label %count
count:
  %old = load i64, ptr %array
  %new = add i64 %old, 1
  store i64 %new, ptr %array
  br label %end
end:
  ret void
}
define void @NRT_decref(ptr %array) {
  %none = icmp eq ptr %array, null
  br i1 %none, label %end, label %count
count:
  %old = load i64, ptr %array
  %new = sub i64 %old, 1
  store i64 %new, ptr %array
  %unused = icmp eq i64 %new, 0
  br i1 %unused, label %free, label %end
free:
  tail call void @NRT_MemInfo_call_dtor(ptr %array)
  br label %end
end:
  ret void
}
"""


def hash_of_sources(source: Path) -> str:
    """Of a core's module, and of those that decide what becomes of it. Raises OSError when it is not there."""
    paths = [source, Path(__file__), Path(__file__).with_name("jit.py")]
    return source_hash(b"\0".join(path.read_bytes() for path in paths)).hex()


def file_of(function: FunctionType) -> Path:
    """Where the machine code of a core is kept: beside its compiled module."""
    import llvmlite
    from llvmlite import binding as llvm

    source = Path(function.__code__.co_filename)
    features = llvm.get_host_cpu_features().flatten()
    target = [sys.version, np.__version__, llvmlite.__version__, llvm.get_host_cpu_name(), features]
    versions = b"\0".join([(NUMBA / "_version.py").read_bytes(), *(word.encode() for word in target)])
    name = f"{source.stem}.{function.__name__}.{hash_of_sources(source)}.{source_hash(versions).hex()}.core"
    return source.parent / "__pycache__" / name


def remove_stale(folder: Path) -> None:
    """Remove the machine code of other sources than the folder has now, and what killed jobs left half written.

    Any number of jobs may run and do the same meanwhile, on other machines too: the sources are read here and now, and
    a program that finds its file gone takes numba.
    """
    for file in (folder / "__pycache__").glob("*.core*"):
        stem, *middle, _ = file.name.split(".")
        with suppress(OSError):  # another job removed it, or the folder is not ours to write to
            if file.suffix == ".core":
                source = folder / f"{stem}.py"
                stale = not source.exists() or hash_of_sources(source) not in middle
            else:  # a temporary name
                stale = time.time() - file.stat().st_mtime > DAY
            if stale:
                file.unlink()


engines: list[Any] = []  # of the cores that were loaded: their constants stay where they are


@cache
def constant(data: int, size: int) -> object:
    return pickle.loads(ctypes.string_at(data, size))


@ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def unpickle(data: int, size: int, digest: int) -> object:
    """In place of numba's function, which imports numba: a constant of the code, such as the class of a result."""
    return constant(data, size)


def extension(name: str) -> Any:
    """One of numba's extension modules, loaded without the package."""
    path = NUMBA.joinpath(*name.split(".")).with_suffix(EXTENSION_SUFFIXES[0])
    spec = spec_from_file_location(f"numba.{name}", path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def linker() -> tuple[Any, Any]:
    """(LLVM, numba's module that makes Python functions): LLVM knows then all that numba's code calls."""
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    helpers, functions, runtime = map(extension, ("_helperlib", "_dynfunc", "core.runtime._nrt_python"))
    for name, address in {**helpers.c_helpers, **functions.c_helpers}.items():
        llvm.add_symbol(f"numba_{name}", address)
        if not llvm.address_of_symbol(name):  # functions of C's mathematics have their own names
            llvm.add_symbol(name, address)
    for name, address in runtime.c_helpers.items():
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    for thing in vars(builtins).values():
        if isinstance(thing, type) and issubclass(thing, BaseException):
            llvm.add_symbol(f"PyExc_{thing.__name__}", id(thing))
    llvm.add_symbol("_Py_NoneStruct", id(None))
    llvm.add_symbol("numba_unpickle", ctypes.cast(unpickle, ctypes.c_void_p).value)
    return llvm, functions


def load(function: FunctionType) -> Callable | None:
    """A core's compiled function, or None where there is no file of it that is whole and fits."""
    try:
        content = file_of(function).read_bytes()
    except (ImportError, OSError, RuntimeError):  # RuntimeError: of a processor that LLVM does not know
        return None
    if source_hash(content[HASH:]) != content[:HASH]:
        return None
    objects, wrapper, environment, constants = pickle.loads(content[HASH:])
    llvm, functions = linker()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    engines.append(engine)
    held = functions.Environment(function.__globals__)
    held.consts[:] = constants
    ctypes.c_void_p.from_address(engine.get_global_value_address(environment)).value = id(held)
    address = engine.get_function_address(wrapper)
    module = sys.modules[function.__module__]
    return functions.make_function(module, function.__name__, function.__doc__ or "", address, held, ())


def save(dispatcher: Any) -> Path:
    """Keep the machine code of a core that numba compiled in this process (not from its cache); returns the file."""
    from llvmlite import binding as llvm
    from numba.core.runtime import rtsys

    [compiled] = dispatcher.overloads.values()
    generator = compiled.library.codegen
    core = compiled.library._final_module.clone()
    core.link_in(llvm.parse_assembly(COUNTING))
    for name in ("NRT_incref", "NRT_decref"):
        core.get_function(name).linkage = "internal"
    manager, builder = generator._module_pass_manager()
    manager.run(core, builder)
    objects = [generator._tm.emit_object(module) for module in (rtsys.library._final_module, core)]
    names = compiled.fndesc.llvm_cpython_wrapper_name, compiled.fndesc.env_name
    content = pickle.dumps((objects, *names, list(compiled.environment.consts)))
    path = file_of(dispatcher.py_func)
    path.parent.mkdir(exist_ok=True)
    with WholeFile(path) as temporary:
        temporary.write_bytes(source_hash(content) + content)
    return path
