"""fp6llm._capi: its structs against C's layout, its functions against the stub, and how it calls.

FP6LLM_LAYOUT names the file with C's layout (generate_layout_probe.py). No NumPy: arrays of the standard
library, and ctypes to look at memory.
"""

import array
import ast
import ctypes
import faulthandler
import inspect
import os
import sys
import threading
import unittest
from pathlib import Path

import fp6llm
from fp6llm import _capi, _enums, errors

# A deadlock over the GIL stops every thread but this one.
faulthandler.dump_traceback_later(240, exit=True)

PACKAGE = Path(fp6llm.__file__).resolve().parent
STUB = ast.parse((PACKAGE / "_capi.pyi").read_text(encoding="utf-8"))


def address(values):
    return values.buffer_info()[0]


class Layout(unittest.TestCase):
    """Writes each field through the module and reads it back from memory where C has it."""

    def fields(self):
        for line in Path(os.environ["FP6LLM_LAYOUT"]).read_text().splitlines():
            name, *numbers = line.split()
            if "." in name:
                yield (*name.split("."), *map(int, numbers))

    def test_fields_lie_where_c_has_them(self):
        seen = {}
        for struct, field, offset, size in self.fields():
            made = getattr(_capi, struct)()
            before = getattr(made, field)
            if isinstance(before, str):
                value = "x" * (size - 1)
                expected = value.encode() + b"\0"
            elif isinstance(before, float):
                value = 1.5
                expected = bytes(ctypes.c_double(value))
            else:
                value = int.from_bytes(bytes(range(1, size + 1)), "little")
                expected = value.to_bytes(size, "little")
            setattr(made, field, value)
            self.assertEqual(getattr(made, field), value, field)
            found = ctypes.string_at(int(made.this) + offset, size)
            self.assertEqual(found, expected, f"{struct}.{field}")
            seen.setdefault(struct, set()).add(field)
        # Nothing in the module that C does not have.
        for name, kind in inspect.getmembers(_capi, inspect.isclass):
            if name.startswith("fp6llm"):
                properties = {n for n, p in inspect.getmembers(kind) if isinstance(p, property)}
                self.assertEqual(properties - {"thisown"}, seen.pop(name))
        self.assertEqual(seen, {})

    def test_new_structs_are_initialized(self):
        config = _capi.fp6llmQuantConfig_t()
        self.assertEqual(config.format, _enums.DataType.R_6F_E3M2)
        self.assertEqual(config.scaleType, _capi.FP6LLM_SCALE_TYPE_DEFAULT)
        sizes = {line.split()[0]: int(line.split()[1])
                 for line in Path(os.environ["FP6LLM_LAYOUT"]).read_text().splitlines()
                 if "." not in line.split()[0]}  # fmt: skip
        for name, size in sizes.items():
            self.assertEqual(getattr(_capi, name)().structSize, size, name)


class Stub(unittest.TestCase):
    """What _capi.pyi and _enums.py say is what the module has."""

    def test_functions(self):
        stubbed = {f.name: [a.arg for a in f.args.args] for f in STUB.body if isinstance(f, ast.FunctionDef)}
        found = {
            name: list(inspect.signature(function).parameters)
            for name, function in inspect.getmembers(_capi, inspect.isfunction)
            if name.startswith("fp6llm")
        }
        self.assertEqual(found, stubbed)

    def test_constants(self):
        stubbed = {
            c.target.id: ast.literal_eval(c.value) for c in STUB.body if isinstance(c, ast.AnnAssign)
        }
        found = {name: value for name, value in vars(_capi).items() if name.startswith("FP6LLM_")}
        self.assertEqual(found, stubbed)

    def test_enums(self):
        values = {}
        for name, enum in inspect.getmembers(_enums, inspect.isclass):
            if enum.__module__ == _enums.__name__:
                for member in enum:
                    named = [value for c, value in vars(_capi).items()
                             if c.startswith("FP6LLM_") and c.endswith(f"_{member.name}")]  # fmt: skip
                    self.assertIn(member.value, named, f"{name}.{member.name}")
                    values[name] = values.get(name, 0) + 1
        enumerators = [c for c in vars(_capi) if c.startswith("FP6LLM_")]
        macros = [c for c in enumerators if c.startswith("FP6LLM_VERSION") or c in (
            "FP6LLM_BLOB_ALIGNMENT", "FP6LLM_ALGO_DEFAULT", "FP6LLM_SCALE_TYPE_DEFAULT")]  # fmt: skip
        self.assertEqual(sum(values.values()), len(enumerators) - len(macros))

    def test_a_status_has_its_exception(self):
        for status in _enums.Status:
            if status != _enums.Status.SUCCESS:
                error = errors.from_status(status, "why")
                self.assertIsNot(type(error), errors.Fp6llmError)
                self.assertEqual((error.status, str(error)), (status, "why"))
        self.assertEqual(errors.from_status(99, "").status, 99)


class Calls(unittest.TestCase):
    ROWS, COLS = 5, 32

    def setUp(self):
        config = _capi.fp6llmHandleConfig_t()
        config.backend = _enums.Backend.CPU
        self.handle = _capi.fp6llmCreateWithConfig(config)
        self.addCleanup(_capi.fp6llmDestroy, self.handle)
        # Powers of two, which every format holds exactly.
        self.values = array.array("f", [1 << i % 3 for i in range(self.ROWS * self.COLS)])
        self.config = _capi.fp6llmQuantConfig_t()
        self.config.scaleMode = _enums.ScaleMode.MX
        self.weight = _capi.fp6llmWeightCreate(self.handle, self.config, self.ROWS, self.COLS,
                                               address(self.values), 0, self.COLS)  # fmt: skip
        self.addCleanup(_capi.fp6llmWeightDestroy, self.weight)
        self.x = array.array("f", [1] * self.COLS)
        self.y = array.array("f", [0] * self.ROWS)
        self.sums = [sum(self.values[r * self.COLS : (r + 1) * self.COLS]) for r in range(self.ROWS)]

    def gemm(self, alpha, beta):
        _capi.fp6llmGemmEx(self.handle, _enums.Operation.T, 0, self.ROWS, 1, self.COLS, alpha, self.weight,
                           address(self.x), 0, self.COLS, beta, address(self.y), 0, self.ROWS,
                           _enums.ComputeType.COMPUTE_32F, -1)  # fmt: skip

    def grouped(self, groups, weights):
        offsets = array.array("q", [0, 1])
        _capi.fp6llmGemmGroupedEx(self.handle, groups, 1, 0, self.ROWS, 1, self.COLS, address(offsets), 1.0,
                                  weights, address(self.x), 0, self.COLS, 0.0, address(self.y), 0, self.ROWS,
                                  _capi.FP6LLM_COMPUTE_32F, -1)  # fmt: skip

    def test_linear(self):
        _capi.fp6llmLinear(self.handle, 1, address(self.x), 0, self.COLS, self.weight, None, address(self.y),
                           0, self.ROWS)  # fmt: skip
        self.assertEqual(list(self.y), self.sums)

    def test_linear_with_an_epilogue(self):
        bias = array.array("f", [100 * r for r in range(self.ROWS)])
        epilogue = _capi.fp6llmEpilogue_t()
        self.assertIsNone(epilogue.bias)
        epilogue.bias = address(bias)
        _capi.fp6llmLinear(self.handle, 1, address(self.x), 0, self.COLS, self.weight, epilogue,
                           address(self.y), 0, self.ROWS)  # fmt: skip
        self.assertEqual(list(self.y), [s + b for s, b in zip(self.sums, bias)])

    def test_factors_by_value_and_by_address(self):
        self.gemm(2.0, 0.0)
        self.assertEqual(list(self.y), [2 * s for s in self.sums])
        factors = array.array("f", [1, 3])
        self.gemm(address(factors), address(factors) + 4)
        self.assertEqual(list(self.y), [7 * s for s in self.sums])

    def test_grouped(self):
        self.grouped(1, [self.weight])
        self.assertEqual(list(self.y), self.sums)
        with self.assertRaisesRegex(ValueError, "A holds 1 weights, groups = 2"):
            self.grouped(2, [self.weight])
        with self.assertRaisesRegex(TypeError, r"A\[0\] is not a weight"):
            self.grouped(1, [self.handle])
        with self.assertRaises(TypeError):
            self.grouped(1, None)

    def test_outputs_are_returned(self):
        self.assertEqual(_capi.fp6llmQuantGetSizes(self.config, 5, 32), (5 * 24, 5))
        info = _capi.fp6llmWeightGetInfo(self.weight)
        self.assertEqual((info.rows, info.cols, info.codeBytes), (5, 32, 5 * 24))
        codes, scales = bytearray(5 * 24), bytearray(5)
        stats = _capi.fp6llmQuantStats_t()
        places = [ctypes.addressof((ctypes.c_char * len(b)).from_buffer(b)) for b in (codes, scales)]
        _capi.fp6llmQuantize(self.handle, self.config, 5, 32, address(self.values), 0, 32, *places, stats)
        self.assertEqual(stats.mse, 0)
        self.assertEqual(_capi.fp6llmGetBackend(self.handle), _enums.Backend.CPU)
        self.assertIsNone(_capi.fp6llmGetStream(self.handle))
        _capi.fp6llmSetStream(self.handle, 4096)
        self.assertEqual(_capi.fp6llmGetStream(self.handle), 4096)
        found = _capi.fp6llmGemmGetHeuristic(self.handle, 1, 0, 5, 1, 32, self.weight, 0, 0, 68, 100)
        self.assertTrue(all(isinstance(f, _capi.fp6llmHeuristicResult_t) and f.name for f in found))
        self.assertTrue(1 < len(found) < 100)
        first = _capi.fp6llmGemmGetHeuristic(self.handle, 1, 0, 5, 1, 32, self.weight, 0, 0, 68, 1)
        self.assertEqual([f.name for f in first], [found[0].name])

    def test_text_of_any_length(self):
        self.assertTrue(_capi.fp6llmGetBuildInfo().endswith("}"))
        self.assertEqual(_capi.fp6llmGetErrorString(self.handle), "")

    def test_failures_say_why(self):
        with self.assertRaisesRegex(errors.InvalidValueError, "^rows = -7 is negative$") as caught:
            _capi.fp6llmQuantGetSizes(self.config, -7, 32)
        self.assertEqual(caught.exception.status, _enums.Status.INVALID_VALUE)
        self.assertIsInstance(caught.exception, ValueError)
        with self.assertRaises(errors.NotInitializedError):
            _capi.fp6llmSetStream(None, 0)
        _capi.fp6llmDestroy(None)

    def test_wrong_types_are_refused(self):
        linear = _capi.fp6llmLinear
        good = [self.handle, 1, address(self.x), 0, self.COLS, self.weight, None, address(self.y), 0,
                self.ROWS]  # fmt: skip
        for position, wrong in (
            (0, self.weight), (0, 5), (1, 1.5), (2, "x"), (2, 1.5), (3, "R_32F"), (5, self.handle),
            (6, self.config), (7, b"bytes"),
        ):  # fmt: skip
            with self.subTest(position=position, wrong=wrong), self.assertRaises(TypeError):
                linear(*good[:position], wrong, *good[position + 1 :])
        for position, wrong in ((1, 1 << 70), (2, -1), (2, 1 << 70), (3, 1 << 40)):
            with self.subTest(position=position, wrong=wrong), self.assertRaises(OverflowError):
                linear(*good[:position], wrong, *good[position + 1 :])
        with self.assertRaises(TypeError):
            linear(*good[:-1])
        for requested in (0, -1, 1 << 31, 1 << 70):
            with self.assertRaises((ValueError, OverflowError)):
                _capi.fp6llmGemmGetHeuristic(self.handle, 1, 0, 5, 1, 32, self.weight, 0, 0, 68, requested)
        with self.assertRaises(AttributeError):
            self.config.scalemode = 1


class Threads(unittest.TestCase):
    """The library holds a lock while it calls the log receiver, which needs the GIL."""

    def test_failing_threads_with_a_log_receiver(self):
        logged = []
        _capi.fp6llmSetLogger(lambda level, message: logged.append((level, message)))
        self.addCleanup(_capi.fp6llmSetLogger, None)
        wrong = []

        def fail(first):
            config = _capi.fp6llmQuantConfig_t()
            for rows in range(first, first - 500, -1):
                try:
                    _capi.fp6llmQuantGetSizes(config, rows, 32)
                except errors.InvalidValueError as error:
                    if str(error) != f"rows = {rows} is negative":
                        wrong.append(str(error))

        threads = [threading.Thread(target=fail, args=(-1000 * t - 1,), daemon=True) for t in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive(), "deadlock")
        self.assertEqual(wrong, [])
        self.assertEqual(len(logged), 8 * 500)
        self.assertIn((_enums.LogLevel.ERROR, "rows = -1 is negative"), logged)

    def test_a_receiver_that_raises(self):
        def receiver(level, message):
            raise RuntimeError("in the receiver")

        _capi.fp6llmSetLogger(receiver)
        self.addCleanup(_capi.fp6llmSetLogger, None)
        unraisable = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        try:
            with self.assertRaisesRegex(errors.InvalidValueError, "rows = -1"):
                _capi.fp6llmQuantGetSizes(_capi.fp6llmQuantConfig_t(), -1, 1)
        finally:
            sys.unraisablehook = hook
        self.assertEqual([str(u.exc_value) for u in unraisable], ["in the receiver"])

    def test_a_receiver_is_kept_and_let_go(self):
        import gc
        import weakref

        def receiver(level, message):
            pass

        alive = weakref.ref(receiver)
        _capi.fp6llmSetLogger(receiver)
        del receiver
        gc.collect()
        self.assertIsNotNone(alive())
        _capi.fp6llmSetLogger(None)
        gc.collect()
        self.assertIsNone(alive())
        with self.assertRaises(TypeError):
            _capi.fp6llmSetLogger(3)


if __name__ == "__main__":
    unittest.main()
