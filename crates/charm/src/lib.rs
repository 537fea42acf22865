//! What an operator author sees: metadata, config and action formats, archives and packing, events, the hook-tool protocol.
