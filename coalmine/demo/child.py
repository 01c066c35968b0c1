"""A command of coalmine that stops when the demo dies: `python -m coalmine.demo.child PARENT ARGUMENT...`.

A supervisor restarts a worker and outlives it; the demo does neither, so its workers look after it.
"""

import sys
import threading

from coalmine.cli import main
from coalmine.streams.worker import stop_with_parent

if __name__ == "__main__":
    parent = int(sys.argv.pop(1))
    threading.Thread(target=stop_with_parent, args=(parent,), daemon=True).start()
    main()
