"""What the child process of ``guard`` runs: shape inference under limits of memory and time.

A script of its own that imports onnx alone. It reads a model from its standard input and writes
the model with shapes (exit code 0) or the complaint of onnx (1) to its standard output. Exceeding
a limit ends it in any other way.

Linux enforces both limits. macOS does not limit the memory of a process, so that there the time
alone ends it. Without the module ``resource`` (Windows) the parent's patience does.
"""

import sys


def main(seconds: int, memory: int, check: bool) -> int:
    """Infers; ``memory`` (bytes) is what may be taken on top of what Python and onnx take."""
    import onnx
    from onnx import shape_inference

    data = sys.stdin.buffer.read()
    _limit(seconds, memory)
    try:
        out = shape_inference.infer_shapes(onnx.ModelProto.FromString(data), check_type=check)
        answer, code = out.SerializeToString(), 0
    except MemoryError:
        return 3
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        answer, code = str(error)[:2000].encode(), 1
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return code


def _limit(seconds: int, memory: int) -> None:
    try:
        import resource
    except ImportError:
        return
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3]))))
