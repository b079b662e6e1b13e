"""From listed files to arrays: shards that are decoded once, and splits put together from them."""
