"""Throughput, then latency, beside the rivals: `make bench`. Options are those of `bench.throughput`."""

import sys

from . import latency, throughput

if __name__ == "__main__":
    missed = throughput.main(sys.argv[1:])
    sys.exit(latency.main([]) or missed)
