//! Repositories with immutable versions, content units and artifacts addressed by digest.
