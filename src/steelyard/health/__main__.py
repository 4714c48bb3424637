"""`python -m steelyard.health`."""

import sys

from steelyard.health.main import main

sys.exit(main())
