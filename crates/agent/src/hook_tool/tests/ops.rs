//! Real Python charms.
