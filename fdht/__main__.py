"""`python -m fdht` is the command line `fdht`."""

import sys

from fdht import main

sys.exit(main())
