//! The nouns and rules of Tutti without I/O, and the request and answer types of its API.
