"""What this process may use of the machine it runs on."""

import os


def cores() -> int:
    """Processor cores that this process may use: of those that its affinity allows, as ``taskset`` and
    containers set it, where the system has one; at least 1.
    """
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; -X cpu_count counts too
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def physical_memory() -> int | None:
    """Bytes of memory in this machine, or None where the system does not say."""
    return _memory("SC_PHYS_PAGES")


def free_memory() -> int | None:
    """Bytes of memory that nothing uses, or None where the system does not say, as macOS."""
    return _memory("SC_AVPHYS_PAGES")


def _memory(pages: str) -> int | None:
    try:
        return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
