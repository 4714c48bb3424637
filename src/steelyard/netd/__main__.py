"""`python -m steelyard.netd`."""

import sys

from steelyard.netd.main import main

sys.exit(main())
