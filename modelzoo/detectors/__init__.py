"""Detectors in plain PyTorch: trained on good images only, no Django inside.

This module imports nothing heavy, so that web code may import its neighbours (`errors`, `options`, `registry`) without
paying for torch. `modelzoo.detectors.registry` is the entrance: it lists all detectors, and loads the one that is asked
for.
"""

import os

# OpenMP's threads wait for each other by spinning. Where a training and an inspection share the cores, each then spins
# while the other ought to run: 1400 to 2000 ms for a training step that takes 90 to 220 ms with threads that sleep.
# But waking them costs a single image a quarter of its time, so they spin for some microseconds before they sleep: as
# long as the next operation of the same pass takes to come. Read when torch is loaded, which happens after this module;
# whoever sets a variable decides.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
