"""What ``python -m icure_sync._generate`` is made of."""
