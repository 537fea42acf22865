//! The attribute macro `api` of `tutti-bus`.
