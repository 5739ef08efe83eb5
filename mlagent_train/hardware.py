"""What the machine has, asked without importing torch."""

from __future__ import annotations

import ctypes
import functools
import os

__all__ = ["cpu_count", "gpu_count", "gpu_memory_gb"]


def cpu_count() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0))


@functools.cache
def gpu_count() -> int:
    """Return the CUDA devices the driver shows to this process; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@functools.cache
def gpu_memory_gb() -> float | None:
    """Return the memory of the first CUDA device; None where there is none."""
    if not gpu_count():
        return None
    driver, device, size = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0), ctypes.c_size_t(0)
    if driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    if driver.cuDeviceTotalMem_v2(ctypes.byref(size), device) != 0:
        return None
    return size.value / 1e9
