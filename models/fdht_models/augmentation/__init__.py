"""Training clips changed at random, for sets that are small: section `[augmentation]`.

Needs numpy only. Clips are changed as the network sees them, uint8, inside the input pipeline.
"""

from fdht_models.augmentation.batches import Augmentation
from fdht_models.augmentation.section import AugmentationSettings, check_augmentation

__all__ = ["Augmentation", "AugmentationSettings", "check_augmentation"]
